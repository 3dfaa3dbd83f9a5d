// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package app is the command migrate-apiserver. It reads the flags, starts the embedded etcd
// unless --etcd-servers is set, then the server, and stops them in reverse order.
package app
