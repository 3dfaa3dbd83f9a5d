// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package member

// Bounds of what is kept of a member and of what it may send, beside those of package limits.
const (
	// maxKept is for the objects of one Migrate in one member that are kept: its Backup
	// or its Restore, and what else carries its label. It is a size in bytes.
	maxKept = 1 << 20
	// maxKeptObjects is how many objects of one kind are kept of a Migrate in a member,
	// which are one, or a few if others carry its label.
	maxKeptObjects = 16
	// maxLocations is how many BackupStorageLocations are kept of a member, and
	// maxKeptLocations is for all of them: each may have a bundle of certificates.
	maxLocations, maxKeptLocations = 100, 4 << 20

	// pageSize is how many objects are listed at a time.
	pageSize = 100
	// maxPages is how many pages a list may have: those of 100,000 objects that were
	// left behind by Migrates that have ended.
	maxPages = 1000
	// maxForeign is how many objects may come in a list or by a watch that were not
	// asked for. An API server sends none.
	maxForeign = 100
	// maxVersion and maxContinue bound the resource version of an object and the token
	// of a next page, which are sent back, in bytes.
	maxVersion, maxContinue = 256, 16 << 10
)
