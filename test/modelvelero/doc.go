// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package modelvelero is a model of Velero 1.18. It performs the writes of a velero server
// to its objects in one cluster, and to a bucket that clusters may share, but moves no data.
//
// Tests use it because a real Velero is slow, and rarely does what matters, at a time that
// a test can't choose. The simulation of package driver takes the steps of the model one by
// one, in any order, interleaved with other events. The scale test runs a hundred models
// against one real kube-apiserver. A table of scenarios (Scenarios) runs on the model in
// this package and on a real Velero in package e2e, to show that both behave alike.
//
// A Server has the state of one velero server process. Steps returns, without I/O, the
// possible next steps for given objects; Take performs one of them on a Store. Memory is a
// Store in memory, Client one behind a kube-apiserver. Each step is one write like those of
// Velero's controllers: a patch without a precondition, which keeps concurrent changes of
// other clients.
//
// The model covers what other clients can see and rely on: the order of phases and the
// queues; validation errors and failures; the sync from the bucket into the cluster, write
// by write; expiry; a restart. Comments name the Velero controllers that the functions
// follow. The contents of backups, plugins, schedules, snapshots, and the deletion of a
// Backup on request are not modelled.
//
// The package imports Velero's API types and client-go, and no other package of ours.
package modelvelero
