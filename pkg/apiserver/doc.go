// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package apiserver assembles the server from scheme, storage, driver, health checks and hooks.
// A Config is completed, New makes a server from it without I/O, and Run serves until its context
// ends.
//
// The driver starts when the server listens. On shutdown it stops first, while requests are still
// served, because it reads and records through the server; then requests are drained.
//
// It imports the registry; group.go has the storage of each resource. Only cmd and tests import
// it.
package apiserver
