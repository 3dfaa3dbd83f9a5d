// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package ha tests the availability of the server under load, through the host's
// aggregator. With two replicas and an external etcd of three members, requests keep
// succeeding when any one of these processes is killed, and a rolling restart fails few
// requests. A single replica with embedded etcd loses no acknowledged write when it is
// killed.
//
// The clients are client-go's with its default retries: a request that fails after them
// counts as failed. The load records each acknowledged write. A watch that resumes from
// its last resourceVersion, like an informer's, must match a list at the end.
//
// The tests need the programs of `make tools build`. With -short they are skipped.
package ha
