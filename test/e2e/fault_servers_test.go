// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"testing"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"

	"kurator.dev/migrate-apiserver/test/netproxy"
)

// serverFaults returns the cases with faults of our server, of the host and of its etcd. The
// etcd of our server runs in its process, so both are killed together.
func serverFaults() []faultCase {
	return []faultCase{{
		name: "server-killed-before-the-backup",
		steps: []step{
			{do(setClusterReady(false, source), apply), expectation{source: reports("ClusterNotReady")}},
			{do(kill(ourServer), setClusterReady(true, source), start(ourServer)), nil},
		},
	}, {
		name: "server-killed-during-the-backup",
		steps: []step{
			{do(stop(storage), apply), expectation{source: reports("BackupInProgress"), 2: reports("WaitingForBackup")}},
			{do(kill(ourServer), resume(storage), awaitBackupFinished, start(ourServer)), nil},
		},
	}, {
		name: "server-killed-before-the-handoff",
		steps: []step{
			{do(stop(veleroOf(source)), apply), expectation{source: reports(backupNew)}},
			{do(link(netproxy.Refuse, 2), resume(veleroOf(source))), expectation{source: reports("BackupCompleted"), 2: reports("MemberUnreachable", "connection refused")}},
			{do(kill(ourServer), link(netproxy.Pass, 2), start(ourServer)), nil},
		},
	}, {
		name: "server-killed-during-the-restore",
		steps: []step{
			{do(holdNamespace(2), apply), expectation{2: reports(restoreHeld)}},
			{do(kill(ourServer), start(ourServer)), expectation{2: reports("NamespaceTerminating")}},
			{resume(heldNamespace), nil},
		},
	}, {
		name: "server-killed-at-the-end",
		steps: []step{
			{do(stop(veleroOf(2)), apply), expectation{2: reports(restoreNew)}},
			{do(kill(ourServer), resume(veleroOf(2)), awaitRestoreFinished(2), start(ourServer)), nil},
		},
	}, {
		name: "host-down",
		steps: []step{
			{do(stop(veleroOf(source)), apply), expectation{source: reports(backupNew)}},
			{do(kill(hostAPIServer), resume(veleroOf(source)), awaitBackupFinished, start(hostAPIServer)), nil},
		},
	}, {
		name: "etcd-of-all-clusters-down-for-30-s",
		steps: []step{
			{do(stop(veleroOf(source)), apply), expectation{source: reports(backupNew)}},
			{do(kill(etcd), resume(veleroOf(source)), waitFor(30*time.Second), start(etcd)), nil},
		},
	}}
}

// setClusterReady sets whether a member is ready in its AttachedCluster, until the end of
// the case.
func setClusterReady(ready bool, n int) action {
	return func(t *testing.T, r *run) {
		setReady(t, faultsNamespace, n, ready)
		r.addCleanup(func() { setReady(t, faultsNamespace, n, true) })
	}
}

// awaitBackupFinished waits until the source's Velero has finished the Backup. It doesn't
// use the host.
func awaitBackupFinished(t *testing.T, r *run) {
	eventually(t, "the Backup is finished", func() (string, bool) {
		for _, b := range members[source].backups(t, r.uid) {
			return string(b.Status.Phase), b.Status.Phase == velerov1.BackupPhaseCompleted
		}
		return "there is no Backup", false
	})
}

// awaitRestoreFinished waits until a member's Velero has finished the Restore. It doesn't
// use the host.
func awaitRestoreFinished(n int) action {
	return func(t *testing.T, r *run) {
		eventually(t, "the Restore is finished", func() (string, bool) {
			for _, restore := range members[n].restores(t, r.uid) {
				return string(restore.Status.Phase), restore.Status.Phase == velerov1.RestorePhaseCompleted
			}
			return "there is no Restore", false
		})
	}
}
