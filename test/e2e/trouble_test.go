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

// TestServerRestarts kills our server while the Backup is under way and ends it
// in good order while the Restore is.
func TestServerRestarts(t *testing.T) {
	needsFleet(t)
	absent(t, "restarted")
	members[source].apply(t, settings("restarted"))
	resumeSource, resumeTarget := pauseVelero(t, source), pauseVelero(t, 2)
	t.Cleanup(func() { startServer(t) })
	m := migrate(t, manifest("restarted", only("restarted"), 2))

	before := m.awaitPhase(t, v1alpha1.MigratePhaseBackupInProgress)
	killServer(t)
	startServer(t)
	after := m.awaitPhase(t, v1alpha1.MigratePhaseBackupInProgress)
	if before.UID != after.UID || before.Status.SourceClusterStatus.BackupNameInCluster != after.Status.SourceClusterStatus.BackupNameInCluster {
		t.Error("the Migrate is another one after a restart")
	}
	resumeSource()

	m.await(t, "that the Restore is made", func(m *v1alpha1.Migrate) bool {
		return m.Status.TargetClusterStatus[0].Reason == "RestoreNew"
	})
	stopServer(t)
	// Velero goes on while nobody looks.
	resumeTarget()
	eventually(t, "the Restore is finished", func() (string, bool) {
		restores := members[2].restores(t, before.UID)
		if len(restores) != 1 {
			return "there is none", false
		}
		return string(restores[0].Status.Phase), restores[0].Status.Phase == velerov1.RestorePhaseCompleted
	})
	startServer(t)
	checkOnce(t, m.completed(t), 2)
	if data := members[2].configMap(t, "restarted", "settings"); data["greeting"] != "hello" {
		t.Errorf("the ConfigMap arrived as %q", data)
	}
}

// TestVeleroRefusesTheBackup makes the storage read-only when the Backup is made
// and not taken up yet: what could be seen before would have been waited for.
func TestVeleroRefusesTheBackup(t *testing.T) {
	needsFleet(t)
	absent(t, "refused")
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

	refused := m.ended(t, v1alpha1.MigratePhaseFailedValidation)
	checkCondition(t, refused, v1alpha1.ConditionReady, metav1.ConditionFalse, "BackupFailedValidation")
	checkCondition(t, refused, v1alpha1.ConditionStalled, metav1.ConditionTrue, "FailedValidation")
	checkCondition(t, refused, v1alpha1.ConditionSourceReady, metav1.ConditionFalse, "BackupFailedValidation")
	if message := refused.Status.SourceClusterStatus.Message; !strings.Contains(message, "was rejected by Velero: ") || !strings.Contains(message, "read-only mode") {
		t.Errorf("the source's status says %q", message)
	}
	if status := refused.Status.TargetClusterStatus[0]; status.Phase != v1alpha1.MigratePhaseFailed || status.Reason != "BackupFailed" {
		t.Errorf("the target's status is %s with reason %s", status.Phase, status.Reason)
	}
	checkOnce(t, refused)
	awaitSteps(t, refused, "Warning kurator-member1 BackupFailedValidation", "Warning - FailedValidation")
}

// TestBackupFails names a namespace that does not exist, for which Velero ends
// the Backup PartiallyFailed.
func TestBackupFails(t *testing.T) {
	needsFleet(t)
	failed := migrate(t, manifest("no-backup", only("no-such-namespace"), 2)).ended(t, v1alpha1.MigratePhaseFailed)
	checkCondition(t, failed, v1alpha1.ConditionReady, metav1.ConditionFalse, "BackupPartiallyFailed")
	checkCondition(t, failed, v1alpha1.ConditionStalled, metav1.ConditionTrue, "Failed")
	if message := failed.Status.SourceClusterStatus.Message; !strings.Contains(message, "ended PartiallyFailed with 1 error") {
		t.Errorf("the source's status says %q", message)
	}
	checkOnce(t, failed)
	awaitSteps(t, failed, "Warning kurator-member1 BackupPartiallyFailed", "Warning - Failed")
}

// TestPodVolumeBackups checks that the PodVolumeBackups of a Backup come to the
// target with it. No node agent runs in a fleet without nodes, so the one here is
// made by hand, as an agent would leave it, while Velero has not begun; that data
// of volumes is moved is not shown.
func TestPodVolumeBackups(t *testing.T) {
	needsFleet(t)
	absent(t, "volumes")
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
	m.completed(t)

	there := list[velerov1.Backup](t, members[2], backupResource, uidLabel+"="+string(begun.UID))
	if len(there) != 1 {
		t.Fatalf("the target has %d Backups, want 1", len(there))
	}
	volumes := list[velerov1.PodVolumeBackup](t, members[2], podVolumeBackupResource, velerov1.BackupUIDLabel+"="+string(there[0].UID))
	if len(volumes) != 1 {
		t.Fatalf("the target has %d PodVolumeBackups of its Backup, want 1", len(volumes))
	}
	got := volumes[0]
	if pod := got.Spec.Pod; pod.Namespace != "volumes" || pod.Name != "nobody" || got.Spec.Volume != "data" || got.Spec.RepoIdentifier != "" {
		t.Errorf("the target has the volume of another pod, or names a repository: %+v", got.Spec)
	}
	if got.Labels[velerov1.BackupNameLabel] != backup.Name || got.Status.SnapshotID != "none" ||
		len(got.OwnerReferences) != 1 || got.OwnerReferences[0].UID != there[0].UID {
		t.Errorf("the target has PodVolumeBackup %+v", got)
	}
}
