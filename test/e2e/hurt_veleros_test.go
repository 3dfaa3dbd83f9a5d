// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

// hurtVeleros are the cases in which a member's Velero is stopped or killed. One
// that starts ends what an earlier one had begun as Failed, so that is the end of
// it here.
func hurtVeleros() []hurt {
	return []hurt{{
		name: "velero-stopped-before-the-backup",
		steps: []step{
			{do(stop(veleroOf(source)), apply), says{source: tells("VeleroNotAnswering", "Velero in kurator-member1 does not answer a ServerStatusRequest; check whether its server runs. Backup ", "waiting for Velero to process it"), 2: tells("WaitingForBackup")}},
			{goOn(veleroOf(source)), nil},
		},
	}, {
		name: "velero-dead-before-the-backup",
		steps: []step{
			{do(kill(veleroOf(source)), apply), says{source: tells(backupNew, "waiting for Velero to process it"), 2: tells("WaitingForBackup")}},
			{start(veleroOf(source)), nil},
		},
	}, {
		name: "velero-dies-during-the-backup",
		steps: []step{
			{do(stop(storage), apply), says{source: tells("BackupInProgress")}},
			{do(kill(veleroOf(source)), goOn(storage), start(veleroOf(source))), nil},
		},
		end: "Failed",
		ended: says{
			0:      tells("BackupFailed", "kurator-member1: Backup "),
			source: tells("BackupFailed", `found a backup with status "InProgress" during the server starting, mark it as "Failed"`),
			2:      tells("BackupFailed", "Nothing was restored because kurator-member1 has no completed Backup."),
		},
		restored: none,
	}, {
		name: "velero-dead-before-the-restore",
		steps: []step{
			{do(stop(veleroOf(2)), apply), says{2: tells(restoreNew, "waiting for Velero, which processes one Restore at a time")}},
			{do(kill(veleroOf(2)), start(veleroOf(2))), nil},
		},
	}, {
		name: "velero-stopped-during-the-restore",
		steps: []step{
			{do(holdNamespace(2), apply), says{2: tells(restoreHeld)}},
			{do(stop(veleroOf(2)), goOn(theNamespace)), says{2: tells("VeleroNotAnswering", "Velero in kurator-member2 does not answer a ServerStatusRequest")}},
			{goOn(veleroOf(2)), nil},
		},
	}, {
		name:    "velero-dies-during-the-restore",
		targets: []int{2, 3},
		steps: []step{
			{do(holdNamespace(2), apply), says{2: tells(restoreHeld), 3: tells("RestoreCompleted")}},
			{do(kill(veleroOf(2)), start(veleroOf(2))), nil},
		},
		end: "PartiallyFailed",
		ended: says{
			0:      tells("RestoreFailed", "1 of 2 targets done. kurator-member2: Restore "),
			source: tells("BackupCompleted"),
			2:      tells("RestoreFailed", `found a restore with status "InProgress" during the server starting, mark it as "Failed"`),
			3:      tells("RestoreCompleted"),
		},
		arrived: []int{3},
	}}
}
