// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Bounds of Velero's files in the storage. Other clusters write them, and none of them may need much
// memory here, however large it is.
const (
	// maxUnpacked is how much of an unpacked file is read, in bytes.
	maxUnpacked = 256 << 20
	// maxToken bounds a string of a file, in bytes. The decoder keeps each as a whole.
	maxToken = 1 << 20
	// maxDepth is how deeply a skipped value may be nested: the decoder keeps each level.
	maxDepth = 100
)

var (
	errUnexpected = errors.New("unexpected format")
	errTooLong    = errors.New("a value is too long")
	errTooLarge   = fmt.Errorf("it has more than %d MiB", maxUnpacked>>20)
)

// decode unpacks a file, gzipped JSON, and calls read with its decoder.
func decode(file io.Reader, what string, read func(*json.Decoder) error) error {
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		return fmt.Errorf("unpacking the %s failed: %w", what, err)
	}
	if err := read(json.NewDecoder(&boundedReader{from: unpacked})); err != nil {
		return fmt.Errorf("parsing the %s failed: %w", what, err)
	}
	return nil
}

// boundedReader reads JSON and fails at a value of more than maxToken bytes, or after maxUnpacked
// bytes.
type boundedReader struct {
	from io.Reader
	// total is the number of bytes read, and token that of the current string or other value.
	total, token int
	// inString is set within a string, and escaped after a backslash in it.
	inString, escaped bool
}

func (r *boundedReader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	for _, c := range p[:n] {
		r.token++
		switch {
		case r.escaped:
			r.escaped = false
		case r.inString:
			r.escaped, r.inString = c == '\\', c != '"'
		case strings.IndexByte("\"{}[]:, \t\r\n", c) >= 0:
			r.token, r.inString = 0, c == '"'
		}
		if r.token > maxToken {
			return 0, errTooLong
		}
	}
	if r.total += n; r.total > maxUnpacked {
		return 0, errTooLarge
	}
	return n, err
}

// fields reads an object or null and calls f for each field of it; f must read the value.
func fields(d *json.Decoder, f func(name string) error) error {
	if opened, err := open(d, '{'); err != nil || !opened {
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		if err := f(name.(string)); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

// elements reads a list or null and calls f for each element of it; f must read it.
func elements(d *json.Decoder, f func() error) error {
	if opened, err := open(d, '['); err != nil || !opened {
		return err
	}
	for d.More() {
		if err := f(); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

// texts reads a list of strings or null and calls f for each of them.
func texts(d *json.Decoder, f func(string) error) error {
	return elements(d, func() error {
		token, err := d.Token()
		if err != nil {
			return err
		}
		text, ok := token.(string)
		if !ok {
			return errUnexpected
		}
		return f(text)
	})
}

// open reads the opening delimiter of an object or list. It returns false if it reads null.
func open(d *json.Decoder, delim json.Delim) (bool, error) {
	token, err := d.Token()
	if err != nil || token == nil {
		return false, err
	}
	if token != delim {
		return false, errUnexpected
	}
	return true, nil
}

// skip reads a value and drops it.
func skip(d *json.Decoder) error {
	for depth := 0; ; {
		token, err := d.Token()
		if err != nil {
			return err
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			if depth++; depth > maxDepth {
				return errUnexpected
			}
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}
