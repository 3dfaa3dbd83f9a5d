// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package velero knows Velero's objects and does no I/O: how ours are named and
// labelled, how Backup and Restore are built from a Migrate, how a finished
// Backup is handed over to another cluster, what Velero's phases mean, and
// whether two BackupStorageLocations are the same storage.
//
// The rules are those of Velero 1.18. It imports nothing of ours but the API
// types.
package velero
