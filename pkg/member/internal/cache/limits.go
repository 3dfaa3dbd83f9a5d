// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package cache

// Bounds of what a Cache keeps and of what a member may send, besides those of package limits.
const (
	// maxKept is the largest size of the Backups, or Restores, of one Migrate, in bytes.
	maxKept = 1 << 20
	// maxKeptObjects is the largest number of Backups, or Restores, of one Migrate: usually
	// one, and more if others have its label.
	maxKeptObjects = 16
	// maxLocations is the largest number of BackupStorageLocations, and maxKeptLocations
	// the largest size of all: each may have a bundle of certificates.
	maxLocations, maxKeptLocations = 100, 4 << 20

	// maxRunning is the largest number of Backups that a Velero may run, or have in its queue, and
	// maxKeptRunning their largest size.
	maxRunning, maxKeptRunning = 10000, 8 << 20

	// pageSize is the number of objects in a page of a list.
	pageSize = 100
	// maxPages is the largest number of pages of a list, enough for 100,000 objects left
	// behind by Migrates that have ended.
	maxPages = 1000
	// maxForeign is the largest number of objects in a list or watch that were not requested.
	// An API server sends none.
	maxForeign = 100
	// maxVersion and maxContinue are the largest sizes of a resource version and of a
	// continue token, which are sent back, in bytes.
	maxVersion, maxContinue = 256, 16 << 10
)
