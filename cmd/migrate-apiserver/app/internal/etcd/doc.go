// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package etcd runs a single-member etcd within the process, so that a server with one replica
// needs no other installation.
//
// It listens on a unix socket that only its user can open, and on no port; it has no peers and no
// peer listener. Each write is synced to disk. Only one process at a time can use a data
// directory. The caller must stop the API server first, because Stop closes its connections.
//
// An etcd that meets a full disk ends its process. So while the disk is nearly full, this one has the alarm NOSPACE and refuses
// writes, as if its database were full, and it does not start where the disk is full. What it has acknowledged is never lost.
// Alarms reports the alarms of an etcd, embedded or not.
//
// Snapshot and Restore back its data up while it runs, and make a data directory of that. Defragment has one that was full accept
// writes again.
//
// It imports nothing of ours.
package etcd
