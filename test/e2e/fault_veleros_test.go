// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

// veleroFaults returns the cases in which a member's Velero is stopped or killed. At its start
// Velero sets objects in progress to Failed.
func veleroFaults() []faultCase {
	return []faultCase{{
		name: "velero-stopped-before-the-backup",
		steps: []step{
			{do(stop(veleroOf(source)), apply), expectation{source: reports("VeleroNotAnswering", "Velero in kurator-member1 does not answer a ServerStatusRequest; check whether its server runs. Backup ", "waiting for Velero to process it"), 2: reports("WaitingForBackup")}},
			{resume(veleroOf(source)), nil},
		},
	}, {
		name: "velero-dead-before-the-backup",
		steps: []step{
			{do(kill(veleroOf(source)), apply), expectation{source: reports(backupNew, "waiting for Velero to process it"), 2: reports("WaitingForBackup")}},
			{start(veleroOf(source)), nil},
		},
	}, {
		name: "velero-dies-during-the-backup",
		steps: []step{
			{do(stop(storage), apply), expectation{source: reports("BackupInProgress")}},
			{do(kill(veleroOf(source)), resume(storage), start(veleroOf(source))), nil},
		},
		end: "Failed",
		ended: expectation{
			0:      reports("BackupFailed", "kurator-member1: Backup "),
			source: reports("BackupFailed", `found a backup with status "InProgress" during the server starting, mark it as "Failed"`),
			2:      reports("BackupFailed", "Nothing was restored because kurator-member1 has no completed Backup."),
		},
		restored: none,
	}, {
		name: "velero-dead-before-the-restore",
		steps: []step{
			{do(stop(veleroOf(2)), apply), expectation{2: reports(restoreNew, "waiting for Velero, which processes one Restore at a time")}},
			{do(kill(veleroOf(2)), start(veleroOf(2))), nil},
		},
	}, {
		name: "velero-stopped-during-the-restore",
		steps: []step{
			{do(holdNamespace(2), apply), expectation{2: reports(restoreHeld)}},
			{do(stop(veleroOf(2)), resume(heldNamespace)), expectation{2: reports("VeleroNotAnswering", "Velero in kurator-member2 does not answer a ServerStatusRequest")}},
			{resume(veleroOf(2)), nil},
		},
	}, {
		name:    "velero-dies-during-the-restore",
		targets: []int{2, 3},
		steps: []step{
			{do(holdNamespace(2), apply), expectation{2: reports(restoreHeld), 3: reports("RestoreCompleted")}},
			{do(kill(veleroOf(2)), start(veleroOf(2))), nil},
		},
		end: "PartiallyFailed",
		ended: expectation{
			0:      reports("RestoreFailed", "1 of 2 targets done. kurator-member2: Restore "),
			source: reports("BackupCompleted"),
			2:      reports("RestoreFailed", `found a restore with status "InProgress" during the server starting, mark it as "Failed"`),
			3:      reports("RestoreCompleted"),
		},
		migrated: []int{3},
	}}
}
