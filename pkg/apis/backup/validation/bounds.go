// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
)

const (
	// maxBytes is what metadata and spec may have together. The status needs the rest
	// of what etcd takes for one object, which is 1.5 MiB.
	maxBytes = 512 << 10
	// maxErrors is how many errors are told.
	maxErrors = 100
)

func validateBytes(m *backup.Migrate) field.ErrorList {
	if bytesOf(m) <= maxBytes {
		return nil
	}
	return field.ErrorList{tooLarge("spec")}
}

// validateBytesUpdate lets what is too large already, by an older rule, be changed but
// not grow.
func validateBytesUpdate(m, old *backup.Migrate) field.ErrorList {
	if now := bytesOf(m); now <= maxBytes || now <= bytesOf(old) {
		return nil
	}
	return field.ErrorList{tooLarge("metadata")}
}

func tooLarge(at string) *field.Error {
	return field.Forbidden(field.NewPath(at), fmt.Sprintf("metadata and spec are larger than %d KiB together: "+
		"select by labels instead of naming everything, or split it into several Migrates", maxBytes>>10))
}

// bytesOf is about what metadata and spec of m are in JSON.
func bytesOf(m *backup.Migrate) int {
	encoded, err := json.Marshal(struct{ Metadata, Spec any }{&m.ObjectMeta, &m.Spec})
	if err != nil {
		return 0 // what was decoded from JSON can be encoded
	}
	return len(encoded)
}

// firstOf keeps the first errors of a list that nobody would read.
func firstOf(errs field.ErrorList) field.ErrorList {
	if len(errs) <= maxErrors {
		return errs
	}
	more := fmt.Sprintf("and %d errors more", len(errs)-maxErrors)
	return append(errs[:maxErrors:maxErrors], field.Forbidden(field.NewPath("spec"), more))
}
