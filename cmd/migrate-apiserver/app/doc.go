// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package app is the command migrate-apiserver: it reads the flags, starts the
// embedded etcd if there is no other, then the server, and stops them in the
// opposite order.
package app
