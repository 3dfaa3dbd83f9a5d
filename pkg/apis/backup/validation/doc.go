// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package validation refuses a Migrate that can't be what its author meant: one
// that names no cluster, that would write into its own source, or whose policy
// Velero would refuse or silently take for something else.
//
// Velero's rules (v1.18) are carried over, so that its FailedValidation, which
// comes minutes later and from another cluster, is a 422 at once. Every message
// says what to write instead.
//
// It needs no other object than the Migrate; what needs one is admission's. It
// imports nothing of ours but the API types.
package validation
