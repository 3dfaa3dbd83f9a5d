// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package etcd runs an etcd of one member inside the process, so that nothing
// else has to be installed where one replica is enough.
//
// It listens on one unix socket that only its user can open, and on no port; it
// has no peers and so no peer listener. Every write is synced to disk. A data
// directory has one process at a time. It is the caller's to stop the API server
// first: Stop closes what is open.
//
// It imports nothing of ours.
package etcd
