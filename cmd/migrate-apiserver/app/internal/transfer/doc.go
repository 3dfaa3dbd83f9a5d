// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package transfer moves the objects of the group between the definitions of Kurator on a host, files, and the etcd of this
// server, with their metadata and status.
//
// Import is the way from Kurator to this server. It can be run again: an object is replaced only if it has changed where it
// comes from since it was imported. Export is the way back, and deletes nothing; import deletes what it
// is asked to prune.
//
// It imports the storages of the group, the pure core, and who serves the group on the host.
package transfer
