// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package storage is the REST storage of Migrates.
//
// The generic store keeps Migrates in etcd and serves them from the watch cache: create, get, list,
// watch, update, patch and delete make no calls to members, and each resourceVersion has one
// content. The driver reads Migrates and writes their status by the Client, within the process. The subresources that change
// a status as a user requests (ActionREST) write it, too. The subresource status is read-only; the driver computes it
// on read from the recorded object.
//
// Objects from the watch cache are shared between readers, so they are copied before they are
// changed.
//
// It imports the API types and package migrate.
package storage
