// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package validation validates Migrates: the references to clusters, and a policy that
// Velero would reject or silently interpret differently.
//
// It applies Velero's rules (v1.18), so that a mistake is a 422 at once and not a
// FailedValidation minutes later in another cluster. Each message says what to write
// instead.
//
// It uses the Migrate only; a rule that needs another object belongs to admission. It
// imports nothing of ours but the API types.
package validation
