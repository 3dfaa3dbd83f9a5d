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
	// maxBytes is the largest size of metadata and spec together, in bytes. The rest of
	// etcd's limit of 1.5 MiB is for the status.
	maxBytes = 512 << 10
	// maxErrors is the largest number of errors in a response.
	maxErrors = 100
)

func validateBytes(m *backup.Migrate) field.ErrorList {
	if bytesOf(m) <= maxBytes {
		return nil
	}
	return field.ErrorList{tooLarge("spec")}
}

// validateBytesUpdate allows updates of an object that is too large, because it was stored
// under an older rule, if they don't enlarge it.
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

// bytesOf returns the approximate size of metadata and spec in JSON, in bytes.
func bytesOf(m *backup.Migrate) int {
	encoded, err := json.Marshal(struct{ Metadata, Spec any }{&m.ObjectMeta, &m.Spec})
	if err != nil {
		return 0 // an object decoded from JSON can be encoded
	}
	return len(encoded)
}

// firstOf returns the first maxErrors errors, and the number of the others.
func firstOf(errs field.ErrorList) field.ErrorList {
	if len(errs) <= maxErrors {
		return errs
	}
	more := fmt.Sprintf("and %d more errors", len(errs)-maxErrors)
	return append(errs[:maxErrors:maxErrors], field.Forbidden(field.NewPath("spec"), more))
}
