// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package transport opens connections to members and to their storage, and bounds what
// comes over them.
//
// The address in a kubeconfig, and the URL at which Velero offers a file, are untrusted
// input. Addresses checks each IP address when a connection to it is opened, so that a name
// can't resolve to another one after the check. An answer must begin within a time, must
// not exceed the limits.Allowance of its call, and is never decompressed.
//
// Behind a proxy of the environment, whose address is the operator's choice, the host name
// is resolved and checked before each request. The proxy resolves it again, and may get
// another address.
//
// It is used by packages client and results, and imports nothing of ours but limits,
// metrics and migration.
package transport
