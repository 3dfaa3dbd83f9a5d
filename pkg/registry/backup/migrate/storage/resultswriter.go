// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"io"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// resultsWriter writes MigrateResults as JSON, element by element. After an error of the writer below it
// returns that error.
type resultsWriter struct {
	out *bufio.Writer
	// clusters is the number of clusters, and array the open array of the current one; empty if none is.
	clusters int
	array    string
}

func newResultsWriter(to io.Writer) *resultsWriter {
	w := &resultsWriter{out: bufio.NewWriter(to)}
	w.text(`{"kind":"MigrateResults","apiVersion":"` + v1alpha1.SchemeGroupVersion.String() + `","clusters":[`)
	return w
}

// text writes JSON. The error of a bufio.Writer stays until it is flushed.
func (w *resultsWriter) text(json string) { _, _ = w.out.WriteString(json) }

// fields writes the fields of an object without its braces.
func (w *resultsWriter) fields(object any) error {
	encoded, err := json.Marshal(object)
	if err != nil {
		return err
	}
	_, err = w.out.Write(encoded[1 : len(encoded)-1])
	return err
}

// beginCluster begins a cluster.
func (w *resultsWriter) beginCluster(of migration.Operation) error {
	if w.clusters++; w.clusters > 1 {
		w.text(",")
	}
	w.text("{")
	return w.fields(v1alpha1.ClusterResults{
		ClusterName: of.Cluster.Name, ClusterKind: of.Cluster.Kind, Stage: of.Stage, ObjectName: of.Object,
	})
}

// element writes an element of an array of the current cluster. The elements of one array follow each other.
func (w *resultsWriter) element(array string, value any) error {
	if w.array == array {
		w.text(",")
	} else {
		w.endArray()
		w.array = array
		w.text(`,"` + array + `":[`)
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return err
	}
	_, err = w.out.Write(encoded)
	return err
}

func (w *resultsWriter) endArray() {
	if w.array != "" {
		w.text("]")
		w.array = ""
	}
}

// endCluster ends the current cluster. unavailable is why its results are not complete; nil if they are.
func (w *resultsWriter) endCluster(errs, warnings []string, unavailable error) error {
	w.endArray()
	rest := struct {
		Errors      []string `json:"errors,omitempty"`
		Warnings    []string `json:"warnings,omitempty"`
		Unavailable string   `json:"unavailable,omitempty"`
	}{Errors: errs, Warnings: warnings}
	if unavailable != nil {
		const maxUnavailable = 4096
		rest.Unavailable = migration.Shorten(unavailable.Error(), maxUnavailable)
	}
	if len(errs)+len(warnings) > 0 || unavailable != nil {
		w.text(",")
		if err := w.fields(rest); err != nil {
			return err
		}
	}
	w.text("}")
	return w.out.Flush() // a reader sees a cluster while the next one is read
}

// end ends the results. next is where to continue; nil at their end.
func (w *resultsWriter) end(next *position) error {
	w.text(`],"metadata":{`)
	if next != nil {
		token, err := json.Marshal(next)
		if err != nil {
			return err
		}
		w.text(`"continue":"` + base64.RawURLEncoding.EncodeToString(token) + `"`)
	}
	w.text("}}\n")
	return w.out.Flush()
}
