// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package ha proves what is promised of replicas and of crashes, under load and
// through the host's aggregator: two replicas over an etcd of three members go on
// when any one process of these dies, and are restarted one after the other without
// a failure; one replica on its embedded etcd loses nothing that was acknowledged
// when it is killed.
//
// The load is that of client-go with its own retries and no others: a request that
// fails after them counts as failed. A keeper of the books knows what was
// acknowledged; a watch that resumes where it ended, as an informer does, is
// compared with a list at the end.
//
// It needs what `make tools build` puts into _output/bin. With -short, nothing runs.
package ha
