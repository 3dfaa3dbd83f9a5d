// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package apiserver puts the server together: scheme, storage, driver, health
// checks and the hooks between them. Config is completed, then New makes a server
// from it without any I/O, then Run serves until its context ends.
//
// The driver starts when the server listens. When the server is told to stop, the
// driver stops first, while requests are still served, because it reads and
// records through them; then requests are drained.
//
// It imports the registry, and what serves which resource is in group.go. Nothing
// imports it but cmd and tests.
package apiserver
