// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package velero builds and interprets Velero's objects; it does no I/O. It names and
// labels the objects of a Migrate, builds its Backup and Restores, builds the objects that
// hand a completed Backup over to another cluster, maps Velero's phases, compares
// BackupStorageLocations and the Backups in them, reads results files and interprets filters. It does not
// reimplement how Velero matches patterns against resources.
//
// The rules are those of Velero 1.18. The package imports only the API types of this module.
package velero
