// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package velero knows Velero's objects and does no I/O: how ours are named and
// labelled, how Backup and Restore are built from a Migrate, how a finished
// Backup is handed over to another cluster, what Velero's phases mean, whether
// two BackupStorageLocations are the same storage, and to what a filter bounds a
// migration. It doesn't repeat how Velero matches patterns with resources.
//
// The rules are those of Velero 1.18. It imports nothing of ours but the API
// types.
package velero
