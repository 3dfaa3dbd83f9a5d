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
	// maxResults bounds what is read of a results file when it is unpacked, in bytes.
	maxResults = 16 << 20
	// maxErrors is how many errors are read of it, and maxErrorLength how much of each, in
	// bytes: a file of 16 MiB may have millions of them, and one is told in few words.
	maxErrors, maxErrorLength = 1000, 4096
	// maxDepth is how deep what is passed over may be: the decoder remembers each level.
	maxDepth = 100
)

var errNotResults = errors.New("unexpected format")

// logNotUploaded begins the error that Velero's restore controller adds where the
// storage did not take the Restore's log, and that is about nothing else.
const logNotUploaded = "error uploading log file to backup storage"

// ReadErrors reads the errors of a Backup or Restore from the results file that
// Velero keeps of it in the storage (pkg/util/results, gzipped JSON): those of
// Velero itself first, then those of cluster-scoped resources, then those of each
// namespace, which they name. It returns the first 1,000 of the file, each cut to 4 KiB.
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

// resultErrors are the errors that are read of a results file, by where they are in it.
type resultErrors struct {
	byPlace map[string][]string
	count   int
}

// Where errors are in the file; the order is that in which they are told.
const (
	ofVelero     = "1"
	ofCluster    = "2"
	ofNamespaces = "3"
)

// read reads a file token by token: whatever it holds is not in memory at once.
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
	if open, err := begin(d, '['); err != nil || !open {
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

// fields calls f for each field of an object, or for none if it is null. f reads the
// value.
func fields(d *json.Decoder, f func(name string) error) error {
	if open, err := begin(d, '{'); err != nil || !open {
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

// begin reads the beginning of an object or list; false if it is null instead.
func begin(d *json.Decoder, with json.Delim) (bool, error) {
	token, err := d.Token()
	if err != nil || token == nil {
		return false, err
	}
	if token != with {
		return false, errNotResults
	}
	return true, nil
}

// skip reads a value.
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

// IsLogNotUploaded says whether an error of a Restore is only that Velero could
// not upload its log.
func IsLogNotUploaded(message string) bool { return strings.HasPrefix(message, logNotUploaded) }
