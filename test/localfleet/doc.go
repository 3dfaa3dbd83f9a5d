// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package localfleet brings a whole Kurator fleet up on one machine: etcd, a
// host kube-apiserver that aggregates migrate-apiserver, any number of member
// control planes with a real Velero each, and one S3 server they share. There
// are no containers, and nothing runs as root; TLS and RBAC are on everywhere.
//
// It exists because what matters about a migration can't be shown on fakes: that
// Velero accepts what we create, that the aggregator passes what kubectl sends,
// and that a process which dies at the wrong moment harms nothing.
//
// A fleet is one directory. Its state file says which ports it has and which
// processes it started, so that Up can be called again and again: what runs and
// answers stays, what died is started again on its old data and ports. A process
// is known by its id, its start time and the boot it started in; an id that was
// given to another program since is never signalled. All processes also carry
// the fleet's random identity in their environment, which is how Down finds the
// helpers that a killed process left behind.
//
// Fleets live in two ways. A detached one, as `make up` makes it, survives the
// command. An attached one, as tests make it, is bound to the process that
// called Up: a watchdog process holds the other end of a pipe and, when that
// breaks for whatever reason, kills the fleet and removes its directory.
//
// The package may import client-go, its own pki and netproxy; it knows our server as
// a program with flags only, and none of its packages. What the server is granted is
// read from artifacts/deploy, so a fleet is started from within the repository.
package localfleet
