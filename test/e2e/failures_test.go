// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// TestServerRestartContinuesTheMigration kills our server during the Backup and stops
// it gracefully during the Restore.
func TestServerRestartContinuesTheMigration(t *testing.T) {
	needsFleet(t)
	ensureAbsent(t, "restarted")
	members[source].apply(t, settings("restarted"))
	resumeSource, resumeTarget := pauseVelero(t, source), pauseVelero(t, 2)
	t.Cleanup(func() { startServer(t) })
	m := migrate(t, manifest("restarted", only("restarted"), 2))

	before := m.awaitPhase(t, v1alpha1.MigratePhaseBackupInProgress)
	killServer(t)
	startServer(t)
	after := m.awaitPhase(t, v1alpha1.MigratePhaseBackupInProgress)
	if before.UID != after.UID || before.Status.SourceClusterStatus.BackupNameInCluster != after.Status.SourceClusterStatus.BackupNameInCluster {
		t.Error("the Migrate has another UID or Backup after a restart")
	}
	resumeSource()

	m.await(t, "that the Restore is created", func(m *v1alpha1.Migrate) bool {
		return m.Status.TargetClusterStatus[0].Reason == "RestoreNew"
	})
	stopServer(t)
	// Velero restores while our server doesn't run.
	resumeTarget()
	eventually(t, "the Restore is finished", func() (string, bool) {
		restores := members[2].restores(t, before.UID)
		if len(restores) != 1 {
			return "there is no Restore", false
		}
		return string(restores[0].Status.Phase), restores[0].Status.Phase == velerov1.RestorePhaseCompleted
	})
	startServer(t)
	checkOnce(t, m.awaitCompleted(t), 2)
	if data := members[2].configMap(t, "restarted", "settings"); data["greeting"] != "hello" {
		t.Errorf("the ConfigMap has %q in the target", data)
	}
}

// TestRejectedBackupEndsFailedValidation makes the storage read-only after the Backup is
// created and before Velero processes it. Before that, our server would see it and wait.
func TestRejectedBackupEndsFailedValidation(t *testing.T) {
	needsFleet(t)
	ensureAbsent(t, "refused")
	members[source].apply(t, settings("refused"))
	mode := func(mode string) {
		members[source].kubectl(t, "patch", "backupstoragelocation", "default", "--namespace="+veleroNamespace, "--type=merge",
			`--patch={"spec":{"accessMode":"`+mode+`"}}`)
	}
	resume := pauseVelero(t, source)
	m := migrate(t, manifest("refused", only("refused"), 2))
	m.awaitPhase(t, v1alpha1.MigratePhaseBackupInProgress)
	mode("ReadOnly")
	defer mode("ReadWrite")
	resume()

	refused := m.awaitEnd(t, v1alpha1.MigratePhaseFailedValidation)
	checkCondition(t, refused, v1alpha1.ConditionReady, metav1.ConditionFalse, "BackupFailedValidation")
	checkCondition(t, refused, v1alpha1.ConditionStalled, metav1.ConditionTrue, "FailedValidation")
	checkCondition(t, refused, v1alpha1.ConditionSourceReady, metav1.ConditionFalse, "BackupFailedValidation")
	if message := refused.Status.SourceClusterStatus.Message; !strings.Contains(message, "was rejected by Velero: ") || !strings.Contains(message, "read-only mode") {
		t.Errorf("the source's message is %q", message)
	}
	if status := refused.Status.TargetClusterStatus[0]; status.Phase != v1alpha1.MigratePhaseFailed || status.Reason != "BackupFailed" {
		t.Errorf("the target's status is %s with reason %s", status.Phase, status.Reason)
	}
	checkOnce(t, refused)
	awaitEvents(t, refused, "Warning kurator-member1 BackupFailedValidation", "Warning - FailedValidation")
}

// TestFailedBackupEndsFailed selects a namespace that does not exist, so that Velero
// ends the Backup as PartiallyFailed.
func TestFailedBackupEndsFailed(t *testing.T) {
	needsFleet(t)
	failed := migrate(t, manifest("no-backup", only("no-such-namespace"), 2)).awaitEnd(t, v1alpha1.MigratePhaseFailed)
	checkCondition(t, failed, v1alpha1.ConditionReady, metav1.ConditionFalse, "BackupPartiallyFailed")
	checkCondition(t, failed, v1alpha1.ConditionStalled, metav1.ConditionTrue, "Failed")
	if message := failed.Status.SourceClusterStatus.Message; !strings.Contains(message, "ended PartiallyFailed with 1 error") {
		t.Errorf("the source's message is %q", message)
	}
	checkOnce(t, failed)
	awaitEvents(t, failed, "Warning kurator-member1 BackupPartiallyFailed", "Warning - Failed")
}

// TestPodVolumeBackupsAreCopiedToTheTarget checks that the PodVolumeBackups of a Backup
// are copied to the target. The fleet has no nodes, so no node agent runs; the test
// itself creates a completed PodVolumeBackup before Velero processes the Backup. It does
// not show that the data of volumes is migrated.
func TestPodVolumeBackupsAreCopiedToTheTarget(t *testing.T) {
	needsFleet(t)
	ensureAbsent(t, "volumes")
	members[source].apply(t, settings("volumes"))
	resume := pauseVelero(t, source)
	m := migrate(t, manifest("volumes", only("volumes"), 2))
	begun := m.awaitPhase(t, v1alpha1.MigratePhaseBackupInProgress)
	backup := members[source].backups(t, begun.UID)[0]
	members[source].kubectl(t, "delete", "podvolumebackup/by-hand", "--namespace="+veleroNamespace, "--ignore-not-found")
	members[2].kubectl(t, "delete", "podvolumebackup/by-hand", "--namespace="+veleroNamespace, "--ignore-not-found")
	members[source].apply(t, `
apiVersion: velero.io/v1
kind: PodVolumeBackup
metadata:
  name: by-hand
  namespace: velero
  labels:
    velero.io/backup-name: `+backup.Name+`
    velero.io/backup-uid: `+string(backup.UID)+`
spec:
  backupStorageLocation: default
  node: nowhere
  pod: {kind: Pod, namespace: volumes, name: nobody}
  repoIdentifier: none
  uploaderType: kopia
  volume: data
status:
  phase: Completed
  snapshotID: none
`)
	resume()
	m.awaitCompleted(t)

	copied := list[velerov1.Backup](t, members[2], backupResource, uidLabel+"="+string(begun.UID))
	if len(copied) != 1 {
		t.Fatalf("the target has %d Backups, want 1", len(copied))
	}
	volumes := list[velerov1.PodVolumeBackup](t, members[2], podVolumeBackupResource, velerov1.BackupUIDLabel+"="+string(copied[0].UID))
	if len(volumes) != 1 {
		t.Fatalf("the target has %d PodVolumeBackups of its Backup, want 1", len(volumes))
	}
	got := volumes[0]
	if pod := got.Spec.Pod; pod.Namespace != "volumes" || pod.Name != "nobody" || got.Spec.Volume != "data" || got.Spec.RepoIdentifier != "" {
		t.Errorf("the target's PodVolumeBackup has another volume, or a repository: %+v", got.Spec)
	}
	if got.Labels[velerov1.BackupNameLabel] != backup.Name || got.Status.SnapshotID != "none" ||
		len(got.OwnerReferences) != 1 || got.OwnerReferences[0].UID != copied[0].UID {
		t.Errorf("the target has PodVolumeBackup %+v", got)
	}
}
