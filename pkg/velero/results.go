// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

const (
	// maxResults is how much of an unpacked results file is read, in bytes.
	maxResults = 16 << 20
	// maxErrors is how many of its errors are kept, and maxErrorLength how much of each, in
	// bytes: a file of 16 MiB may have millions of them, and a status shows only a few.
	maxErrors, maxErrorLength = 1000, 4096
	// maxDepth is how deeply a skipped value may be nested: the decoder keeps each level.
	maxDepth = 100
)

var errNotResults = errors.New("unexpected format")

// logNotUploaded is the prefix of the error that Velero's restore controller adds if it can't
// upload the log of the Restore to the storage.
const logNotUploaded = "error uploading log file to backup storage"

// ReadErrors returns the errors of a Backup or Restore from its results file in the storage
// (pkg/util/results of Velero, gzipped JSON): first those of Velero itself, then those of
// cluster-scoped resources, then those of each namespace, with its name as a prefix. It
// returns the first 1,000 of the file, each cut to 4 KiB.
func ReadErrors(file io.Reader) ([]string, error) {
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		return nil, fmt.Errorf("unpacking the results failed: %w", err)
	}
	found := resultErrors{byPlace: map[string][]string{}}
	if err := found.read(json.NewDecoder(io.LimitReader(unpacked, maxResults))); err != nil {
		return nil, fmt.Errorf("parsing the results failed: %w", err)
	}
	var errs []string
	for _, place := range slices.Sorted(maps.Keys(found.byPlace)) {
		errs = append(errs, found.byPlace[place]...)
	}
	return errs, nil
}

// resultErrors collects the errors of a results file by their place in it.
type resultErrors struct {
	byPlace map[string][]string
	count   int
}

// The places of errors in a results file; ReadErrors returns errors in this order.
const (
	ofVelero     = "1"
	ofCluster    = "2"
	ofNamespaces = "3"
)

// read reads a file token by token, so that it is never in memory as a whole.
func (e *resultErrors) read(d *json.Decoder) error {
	return fields(d, func(kind string) error {
		if kind != "errors" {
			return skip(d)
		}
		return fields(d, func(of string) error {
			switch of {
			case "velero":
				return e.readList(d, ofVelero, "")
			case "cluster":
				return e.readList(d, ofCluster, "")
			case "namespaces":
				return fields(d, func(namespace string) error {
					namespace = strings.Clone(namespace[:min(len(namespace), maxErrorLength)])
					return e.readList(d, ofNamespaces+namespace, "namespace "+namespace+": ")
				})
			}
			return skip(d)
		})
	})
}

func (e *resultErrors) readList(d *json.Decoder, place, prefix string) error {
	if opened, err := open(d, '['); err != nil || !opened {
		return err
	}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return err
		}
		message, ok := token.(string)
		if !ok {
			return errNotResults
		}
		if e.count++; e.count <= maxErrors {
			message = prefix + message
			e.byPlace[place] = append(e.byPlace[place], strings.Clone(message[:min(len(message), maxErrorLength)]))
		}
	}
	_, err := d.Token()
	return err
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

// open reads the opening delimiter of an object or list. It returns false if it reads null.
func open(d *json.Decoder, delim json.Delim) (bool, error) {
	token, err := d.Token()
	if err != nil || token == nil {
		return false, err
	}
	if token != delim {
		return false, errNotResults
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
				return errNotResults
			}
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

// IsLogNotUploaded reports whether message, an error of a Restore, only says that Velero could
// not upload the log of the Restore.
func IsLogNotUploaded(message string) bool { return strings.HasPrefix(message, logNotUploaded) }
