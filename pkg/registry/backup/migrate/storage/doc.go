// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package storage is the REST storage of Migrates.
//
// Migrates are kept in etcd and served from the watch cache by the generic
// store: create, get, list, watch, update, patch and delete are its own, so one
// resourceVersion has one content and no member is asked. The status is written
// by the Recorder only, in process. The subresource status is read only; it is
// computed on read by what Status is given (see package driver), over the
// metadata of the recorded object.
//
// What the watch cache hands out is shared by all readers: it is copied before
// anything in it is replaced.
//
// It imports the API types and package migrate.
package storage
