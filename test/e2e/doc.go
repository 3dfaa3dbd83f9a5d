// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package e2e tests whole migrations on real programs: kubectl, a host kube-apiserver that
// aggregates migrate-apiserver, and members in which real Veleros migrate objects through a real
// S3 server.
//
// The tests share a local fleet of four members, which they start and stop;
// kurator-member1 is the source of every Migrate. They need the programs of
// `make tools build`. To run a single case:
//
//	go test ./test/e2e -run TestFilters/label-selector -v
//
// A fleet starts in about twenty seconds. With FLEET_DIR, an absolute path or one relative to
// the root of the repository, the tests use the fleet there, such as that of `make up`, start
// what does not run of it, and don't stop it:
//
//	FLEET_DIR=_output/fleet go test ./test/e2e -run TestSeed -v
//
// Each case has its own names and first removes what an earlier run left of them, so that it
// can run again on the same fleet. Cases run one after the other: Velero processes one Backup
// at a time in a cluster, and takes a queued one up only half a minute later.
//
// Where timing matters, a process that is stopped by SIGSTOP holds a migration in the phase
// that a case is about. Nothing sleeps.
//
// TestFaults is a table of fault injection: which process is killed, stopped or cut off at
// which step, what the status reports meanwhile, and how the migration ends. Its rows and
// actions are in the files fault_*_test.go. To run a single row:
//
//	go test ./test/e2e -run TestFaults/host-down -v
//
// A case that fails prints its Migrate, its Events and Velero's objects; the logs of all
// processes are kept in _output/e2e-logs.
package e2e
