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
			{do(clusterReady(false, source), apply), expectation{source: reports("ClusterNotReady")}},
			{do(kill(ourServer), clusterReady(true, source), start(ourServer)), nil},
		},
	}, {
		name: "server-killed-during-the-backup",
		steps: []step{
			{do(stop(storage), apply), expectation{source: reports("BackupInProgress"), 2: reports("WaitingForBackup")}},
			{do(kill(ourServer), goOn(storage), backupFinished, start(ourServer)), nil},
		},
	}, {
		name: "server-killed-before-the-handoff",
		steps: []step{
			{do(stop(veleroOf(source)), apply), expectation{source: reports(backupNew)}},
			{do(link(netproxy.Refuse, 2), goOn(veleroOf(source))), expectation{source: reports("BackupCompleted"), 2: reports("MemberUnreachable", "connection refused")}},
			{do(kill(ourServer), link(netproxy.Pass, 2), start(ourServer)), nil},
		},
	}, {
		name: "server-killed-during-the-restore",
		steps: []step{
			{do(holdNamespace(2), apply), expectation{2: reports(restoreHeld)}},
			{do(kill(ourServer), start(ourServer)), expectation{2: reports("NamespaceTerminating")}},
			{goOn(theNamespace), nil},
		},
	}, {
		name: "server-killed-at-the-end",
		steps: []step{
			{do(stop(veleroOf(2)), apply), expectation{2: reports(restoreNew)}},
			{do(kill(ourServer), goOn(veleroOf(2)), restoreFinished(2), start(ourServer)), nil},
		},
	}, {
		name: "host-down",
		steps: []step{
			{do(stop(veleroOf(source)), apply), expectation{source: reports(backupNew)}},
			{do(kill(hostAPIServer), goOn(veleroOf(source)), backupFinished, start(hostAPIServer)), nil},
		},
	}, {
		name: "etcd-of-all-clusters-down-for-30-s",
		steps: []step{
			{do(stop(veleroOf(source)), apply), expectation{source: reports(backupNew)}},
			{do(kill(etcd), goOn(veleroOf(source)), lasts(30*time.Second), start(etcd)), nil},
		},
	}}
}

// clusterReady says on the host whether a member may be used.
func clusterReady(is bool, n int) action {
	return func(t *testing.T, r *run) {
		setReady(t, faultsNamespace, n, is)
		r.later(func() { setReady(t, faultsNamespace, n, true) })
	}
}

// backupFinished waits until the source's Velero has finished the Backup, without
// asking the host.
func backupFinished(t *testing.T, r *run) {
	eventually(t, "the Backup is finished", func() (string, bool) {
		for _, b := range members[source].backups(t, r.uid) {
			return string(b.Status.Phase), b.Status.Phase == velerov1.BackupPhaseCompleted
		}
		return "there is none", false
	})
}

// restoreFinished waits until a member's Velero has finished the Restore, without
// asking the host.
func restoreFinished(n int) action {
	return func(t *testing.T, r *run) {
		eventually(t, "the Restore is finished", func() (string, bool) {
			for _, restore := range members[n].restores(t, r.uid) {
				return string(restore.Status.Phase), restore.Status.Phase == velerov1.RestorePhaseCompleted
			}
			return "there is none", false
		})
	}
}
