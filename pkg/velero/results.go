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
	// maxErrors is how many of its errors, and of its warnings, are kept, and maxErrorLength how
	// much of each, in bytes: a file of 16 MiB may have millions of them, and a status shows only
	// a few.
	maxErrors, maxErrorLength = 1000, 4096
	// maxDepth is how deeply a skipped value may be nested: the decoder keeps each level.
	maxDepth = 100
)

var errNotResults = errors.New("unexpected format")

// logNotUploaded is the prefix of the error that Velero's restore controller adds if it can't
// upload the log of the Restore to the storage.
const logNotUploaded = "error uploading log file to backup storage"

// ReadResults returns the errors and the warnings of a Backup or Restore from its results file in
// the storage (pkg/util/results of Velero, gzipped JSON): first those of Velero itself, then
// those of cluster-scoped resources, then those of each namespace, with its name as a prefix.
// Of each it returns the first 1,000 of the file, cut to 4 KiB.
func ReadResults(file io.Reader) (errs, warnings []string, err error) {
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		return nil, nil, fmt.Errorf("unpacking the results failed: %w", err)
	}
	var foundErrors, foundWarnings messages
	d := json.NewDecoder(io.LimitReader(unpacked, maxResults))
	err = fields(d, func(kind string) error {
		switch kind {
		case "errors":
			return foundErrors.read(d)
		case "warnings":
			return foundWarnings.read(d)
		}
		return skip(d)
	})
	if err != nil {
		return nil, nil, fmt.Errorf("parsing the results failed: %w", err)
	}
	return foundErrors.sorted(), foundWarnings.sorted(), nil
}

// messages collects the messages of one kind by their place in a results file.
type messages struct {
	byPlace map[string][]string
	count   int
}

func (m *messages) sorted() []string {
	var all []string
	for _, place := range slices.Sorted(maps.Keys(m.byPlace)) {
		all = append(all, m.byPlace[place]...)
	}
	return all
}

// The places of messages in a results file; ReadResults returns them in this order.
const (
	ofVelero     = "1"
	ofCluster    = "2"
	ofNamespaces = "3"
)

// read reads the messages of one kind token by token, so that they are never in memory as a whole.
func (m *messages) read(d *json.Decoder) error {
	return fields(d, func(of string) error {
		switch of {
		case "velero":
			return m.readList(d, ofVelero, "")
		case "cluster":
			return m.readList(d, ofCluster, "")
		case "namespaces":
			return fields(d, func(namespace string) error {
				namespace = strings.Clone(namespace[:min(len(namespace), maxErrorLength)])
				return m.readList(d, ofNamespaces+namespace, "namespace "+namespace+": ")
			})
		}
		return skip(d)
	})
}

func (m *messages) readList(d *json.Decoder, place, prefix string) error {
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
		if m.count++; m.count <= maxErrors {
			message = prefix + message
			if m.byPlace == nil {
				m.byPlace = map[string][]string{}
			}
			m.byPlace[place] = append(m.byPlace[place], strings.Clone(message[:min(len(message), maxErrorLength)]))
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

// IsAboutRootCA reports whether message, a warning of a Restore, is about ConfigMap
// kube-root-ca.crt, which every namespace of every cluster has with another content.
func IsAboutRootCA(message string) bool {
	return strings.Contains(message, `ConfigMap "kube-root-ca.crt" already exists`) ||
		strings.Contains(message, "ConfigMap:kube-root-ca.crt already exists")
}
