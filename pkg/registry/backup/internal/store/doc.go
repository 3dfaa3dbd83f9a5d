// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package store is the generic store of k8s.io/apiserver, with clear errors where that one answers with a 500, or
// with nothing for ever.
//
// It is used by the storages of the group's stored kinds, and imports nothing of ours.
package store
