// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package modelvelero is a model of Velero 1.18: what its server does to its
// objects in one cluster, and to a bucket that clusters may share, without moving
// any data.
//
// It exists because a real Velero does what matters rarely, slowly, and when it
// likes. The simulation of package driver takes the model's steps one by one, in
// any order and with anything in between; a test of a hundred clusters runs a
// hundred models against one real kube-apiserver. That the model does what a
// Velero does is tested by a table of scenarios (Scenarios) that run on both:
// here, and in package e2e on the local fleet.
//
// A Server is the memory of one velero server process. Steps says, without any
// I/O, what it may do next to the objects that it is shown; Take does one of them
// to a Store. Memory is a Store in memory, Client one behind a kube-apiserver.
// Each step is one write, as Velero's controllers make them: patches without a
// precondition, so that what others write meanwhile stays.
//
// What is modelled is what others can see and rely on: the sequence of phases and
// the queues; what is refused, and how; the sync of the bucket into the cluster,
// write by write; expiry; a restart. The functions say which of Velero's
// controllers they follow. Left out are the contents of backups, plugins,
// schedules, snapshots, and the deletion of a Backup on request.
//
// It imports Velero's API types and client-go, and nothing of ours.
package modelvelero
