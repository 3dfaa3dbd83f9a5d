// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"
)

// maxErrors is how many errors, and how many warnings, of a results file are kept, and
// maxErrorLength how much of each, in bytes: a file may have millions of them, and a status shows
// only a few.
const maxErrors, maxErrorLength = 1000, 4096

// logNotUploaded is the prefix of the error that Velero's restore controller adds if it can't
// upload the log of the Restore to the storage.
const logNotUploaded = "error uploading log file to backup storage"

// Results are the errors and warnings of a Backup or Restore: first those of Velero itself, then
// those of cluster-scoped resources, then those of each namespace, with its name as a prefix. Of
// each only the first 1,000 of the file are kept, cut to 4 KiB.
type Results struct {
	Errors []string
	// Warnings are those besides the ones about items that exist and differ.
	Warnings []string
	// kept are the items that exist and differ, by namespace, kind and name.
	kept itemSet
	// veleros is the number of errors of Velero itself.
	veleros int
}

// ReadResults returns the results of a Backup or Restore from its results file in the storage
// (pkg/util/results of Velero, gzipped JSON). It calls use before it takes memory for many items.
func ReadResults(file io.Reader, use Use) (Results, error) {
	var foundErrors, foundWarnings messages
	results := Results{kept: itemSet{use: use}}
	foundWarnings.drop = func(namespace, message string) (bool, error) {
		kind, name, ok := keptItem(message)
		if !ok {
			return false, nil
		}
		return true, results.kept.add(hashOf(namespace, kind, name))
	}
	err := decode(file, "results", func(d *json.Decoder) error {
		return fields(d, func(kind string) error {
			switch kind {
			case "errors":
				return foundErrors.read(d)
			case "warnings":
				return foundWarnings.read(d)
			}
			return skip(d)
		})
	})
	if err != nil {
		return Results{}, err
	}
	results.Errors, results.Warnings = foundErrors.sorted(), foundWarnings.sorted()
	results.veleros = len(foundErrors.byPlace[ofVelero])
	results.kept.sort()
	return results, nil
}

// keptItem returns the kind and the name of the item that message, a warning of a Restore, reports
// as existing and different. Velero v1.18.3 has two forms (restoreItem in pkg/restore/restore.go):
// the second one is used if the Restore has an existingResourcePolicy.
func keptItem(message string) (kind, name string, ok bool) {
	const prefix, suffix = "could not restore, ", " already exists. Warning: the in-cluster version is different than the backed-up version"
	item, found := strings.CutSuffix(message, suffix)
	item, begins := strings.CutPrefix(item, prefix)
	if !found || !begins {
		return "", "", false
	}
	if kind, name, ok = strings.Cut(item, ` "`); ok {
		return kind, strings.TrimSuffix(name, `"`), true
	}
	return strings.Cut(item, ":")
}

// messages collects the messages of one kind by their place in a results file.
type messages struct {
	byPlace map[string][]string
	count   int
	// drop reports whether a message about a namespace, empty for a cluster-scoped item, is not
	// collected; nil for none.
	drop func(namespace, message string) (bool, error)
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
				return m.readList(d, ofNamespaces+namespace, namespace)
			})
		}
		return skip(d)
	})
}

func (m *messages) readList(d *json.Decoder, place, namespace string) error {
	return texts(d, func(message string) error {
		if m.drop != nil {
			if dropped, err := m.drop(namespace, message); dropped || err != nil {
				return err
			}
		}
		if m.count++; m.count > maxErrors {
			return nil
		}
		if namespace != "" {
			message = placeOf(namespace) + message
		}
		if m.byPlace == nil {
			m.byPlace = map[string][]string{}
		}
		m.byPlace[place] = append(m.byPlace[place], strings.Clone(message[:min(len(message), maxErrorLength)]))
		return nil
	})
}

// placeOf returns the prefix of a message about a namespace.
func placeOf(namespace string) string { return "namespace " + namespace + ": " }

// isToldAgain reports whether the lists of a later Restore tell again what an error about a namespace or a cluster-scoped item is
// about: that an item could not be restored. So do errors of Velero itself, such as those about volumes (pkg/restore/restore.go of
// v1.18.3). Others are about what is there: hooks that failed, volumes and items that were not patched.
func isToldAgain(message string) bool {
	if rest, found := strings.CutPrefix(message, "namespace "); found {
		_, message, _ = strings.Cut(rest, ": ")
	}
	return slices.ContainsFunc([]string{"error ", "additional items for ", "the CRD "}, func(prefix string) bool { return strings.HasPrefix(message, prefix) })
}

// Size returns the size of the messages, in bytes.
func (r *Results) Size() (size int64) {
	for _, message := range slices.Concat(r.Errors, r.Warnings) {
		size += int64(len(message))
	}
	return size
}

// IsLogNotUploaded reports whether message, an error of a Restore, only says that Velero could
// not upload the log of the Restore.
func IsLogNotUploaded(message string) bool { return strings.HasPrefix(message, logNotUploaded) }
