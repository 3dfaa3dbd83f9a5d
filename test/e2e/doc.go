// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package e2e proves on real parts that a Migrate migrates: a user's kubectl, a
// host kube-apiserver that aggregates migrate-apiserver, and members in which
// real Veleros move real objects through a real S3 server.
//
// The tests bring a local fleet of four members up once and take it down at the
// end, whatever happens; kurator-member1 is the source of every Migrate. They
// need the programs that `make tools build` makes. One case alone:
//
//	go test ./test/e2e -run TestFilters/label-selector -v
//
// A fleet is up in about twenty seconds. With FLEET_DIR, a path from the
// repository's root or an absolute one, the tests use the fleet there, as
// `make up` leaves one, bring it up as far as it isn't, and leave it:
//
//	FLEET_DIR=_output/fleet go test ./test/e2e -run TestSeed -v
//
// Each case has names of its own and begins by removing what an earlier run left
// under them, so it can be run again on the same fleet. Cases run one after the
// other: Velero makes one Backup at a time in a cluster, and one that had to
// queue is taken up half a minute later only.
//
// Nothing is left to luck where a moment matters: a process that is stopped by
// SIGSTOP holds a migration in the phase that a case is about. Nothing sleeps.
//
// TestHurt is one table of what may go wrong around a migration: who is killed,
// stopped or cut off at which step, what the status tells meanwhile, and what it
// ends with. Its rows and its actions are in the files hurt_*_test.go. A row alone:
//
//	go test ./test/e2e -run TestHurt/host-down -v
//
// When a case fails it shows its Migrate, the Events on it and what Velero has;
// the logs of all processes are kept in _output/e2e-logs.
package e2e
