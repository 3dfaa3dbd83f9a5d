// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cache keeps the Velero objects of Migrates in one member up to date by watches, and
// reads them live.
//
// A Cache keeps the Backups and Restores that have the label of a registered Migrate, trimmed,
// and all BackupStorageLocations. Once that is requested, which is for a source, it also keeps
// the name, phase and times of all Backups that Velero runs, of everybody: a second watch,
// because Backups can't be selected by phase, and a member may have thousands that have ended.
// A member may be hostile, so it keeps only so many objects of each Migrate and kind, all within
// the quota of the member, and counts what the member sends although it was not requested.
//
// The reflector is client-go's, the store is our own: a SharedIndexInformer's transform can
// change an object but not drop it; an error of its store is logged while the watch goes on, so
// it can't enforce a quota; it can't add the objects of a Migrate that is registered later
// without another list; and a panic in it ends the process by default. The objects that we
// created are kept until the reflector has passed their resource version; client-go's
// MutationCache keeps them by number and age, counts no bytes, and documents that an object
// which is deleted soon may stay until its time ends.
//
// # How fast a dead member is noticed by a watch
//
// Backups, Restores and BackupStorageLocations have a list and watch each. With the default
// Options:
//
//   - A process that ends (connection closed or reset): at once. The watch ends, and the list
//     that follows fails.
//   - A process that is stopped, or a network that drops packets: an HTTP/2 ping is sent after
//     10 s of silence and must be answered within 5 s; then the list that follows has 5 s to
//     connect and 10 s to be answered. 30 s at most.
//   - The same behind a proxy that speaks HTTP/1.1 only: a lost network is noticed by TCP
//     keepalive after 25 s of silence, and the list that follows as above; a stopped process
//     is noticed only by the next call.
//
// It is used by package member, and imports nothing of ours but client, limits, metrics,
// transport, migration, recovery and velero.
package cache
