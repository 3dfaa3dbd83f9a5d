// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package localfleet brings a whole Kurator fleet up on one machine: etcd, a
// host kube-apiserver that aggregates migrate-apiserver, any number of member
// control planes with a real Velero each, and one S3 server they share. TLS and RBAC
// are on everywhere. These are plain processes that need no root. With Options.Nodes
// each member also has a real node, on which pods run; that needs Linux, root and runc.
//
// Tests need it because fakes can't show what matters about a migration: that
// Velero accepts the objects we create, that the aggregator passes on what kubectl
// sends, and that a process which dies at the wrong moment does no harm.
//
// A fleet is one directory. Its state file records the ports and the processes of
// the fleet, so that Up is idempotent: it leaves a process that runs and answers,
// and restarts one that died on its old data and ports. A process is identified by
// its PID, its start time and the boot ID; a PID that the kernel has reused is
// never signalled. All processes also carry the fleet's random ID in their
// environment. By it Down finds the children that a killed process left behind.
//
// A fleet is detached or attached. A detached fleet, as `make up` starts it,
// survives the command. An attached fleet, as tests start it, is bound to the
// process that called Up: a watchdog process reads from a pipe and, when the pipe
// breaks for whatever reason, kills the fleet and removes its directory.
//
// A node is one process tree in namespaces of its own (package node), so that the
// machine's network, mounts and settings stay as they are; outside of them it has only
// a cgroup, which Down and the watchdog remove. All its images are built from our own
// programs, because it reaches no registry. Volumes are directories of the machine.
//
// The package may import client-go, its own pki and node, and netproxy. It imports no package
// of our server and starts it as a program with flags. It reads the server's RBAC
// from artifacts/deploy, so a fleet must be started from within the repository.
package localfleet
