// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration_test

import (
	"strings"
	"testing"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

func TestImported(t *testing.T) {
	m := &v1alpha1.Migrate{}
	m.Generation = 3
	m.Status = v1alpha1.MigrateStatus{
		Phase: v1alpha1.MigratePhaseCompleted,
		SourceClusterStatus: &v1alpha1.BackupDetails{
			ClusterStatus: v1alpha1.ClusterStatus{ClusterName: "member1", ClusterKind: "AttachedCluster"}, BackupNameInCluster: "b",
			BackupStatusInCluster: &velerov1.BackupStatus{Phase: velerov1.BackupPhaseCompleted},
		},
		TargetClusterStatus: []v1alpha1.RestoreDetails{
			{ClusterStatus: v1alpha1.ClusterStatus{ClusterName: "member2"}, RestoreNameInCluster: "r", RestoreStatusInCluster: &velerov1.RestoreStatus{Phase: velerov1.RestorePhaseCompleted}},
			{ClusterStatus: v1alpha1.ClusterStatus{ClusterName: "member3"}, RestoreNameInCluster: "r3"},
		},
	}
	now := time.Unix(1_700_000_000, 0)
	status, err := migration.Imported(m, now)
	if err != nil {
		t.Fatal(err)
	}
	phases := []v1alpha1.MigratePhase{status.Phase, status.SourceClusterStatus.Phase, status.TargetClusterStatus[0].Phase, status.TargetClusterStatus[1].Phase}
	for i, want := range []v1alpha1.MigratePhase{"Completed", "Completed", "Completed", "Failed"} {
		if phases[i] != want {
			t.Errorf("phase %d is %s, want %s", i, phases[i], want)
		}
	}
	if got, want := status.TargetClusterStatus[1].Message, "Velero's phase of Restore r3 was unknown when Kurator last read it."; got != want {
		t.Errorf("message: got %s, want %s", got, want)
	}
	if got, want := meta.FindStatusCondition(status.Conditions, "Ready").Message, "Kurator reported Completed, by Velero's phases. Whether every item and the data of every volume arrived was not checked. "+
		"member3: Velero's phase of Restore r3 was unknown when Kurator last read it."; got != want {
		t.Errorf("Ready: got %s, want %s", got, want)
	}
	for kind, want := range map[string]string{
		"Ready": "True", "Finished": "True", "Reconciling": "False", "Stalled": "False", "ItemsRestored": "Unknown", "VolumesMoved": "Unknown", "sourceReady": "True",
	} {
		if c := meta.FindStatusCondition(status.Conditions, kind); c == nil || string(c.Status) != want || c.Message == "" || c.ObservedGeneration != 3 {
			t.Errorf("condition %s: got %+v, want %s", kind, c, want)
		}
	}

	m.Status = *status
	m.Status.Phase = v1alpha1.MigratePhaseFailed
	if _, err := migration.Retry(m, v1alpha1.RetryBackupNew, "user", now); err == nil || !strings.Contains(err.Error(), "Kurator ran it") {
		t.Errorf("a retry: %v", err)
	}
	// Kurator's phase of what failed stays in progress.
	for name, tc := range map[string]struct {
		backup   velerov1.BackupPhase
		restores []velerov1.RestorePhase
		want     v1alpha1.MigratePhase
	}{
		"the Backup was refused":  {velerov1.BackupPhaseFailedValidation, nil, "FailedValidation"},
		"the Backup failed":       {velerov1.BackupPhasePartiallyFailed, nil, "Failed"},
		"all Restores failed":     {velerov1.BackupPhaseCompleted, []velerov1.RestorePhase{"Failed", "PartiallyFailed"}, "Failed"},
		"one Restore failed":      {velerov1.BackupPhaseCompleted, []velerov1.RestorePhase{"Failed", "Completed"}, "PartiallyFailed"},
		"one Restore goes on":     {velerov1.BackupPhaseCompleted, []velerov1.RestorePhase{"Failed", "InProgress"}, ""},
		"the Backup goes on":      {velerov1.BackupPhaseInProgress, nil, ""},
		"Kurator is not done":     {velerov1.BackupPhaseCompleted, []velerov1.RestorePhase{"Completed"}, ""},
		"nothing is restored yet": {velerov1.BackupPhaseCompleted, nil, ""},
	} {
		m := &v1alpha1.Migrate{}
		m.Status.Phase = v1alpha1.MigratePhaseBackupInProgress
		m.Status.SourceClusterStatus = &v1alpha1.BackupDetails{BackupStatusInCluster: &velerov1.BackupStatus{Phase: tc.backup}}
		for _, phase := range tc.restores {
			m.Status.TargetClusterStatus = append(m.Status.TargetClusterStatus, v1alpha1.RestoreDetails{RestoreStatusInCluster: &velerov1.RestoreStatus{Phase: phase}})
		}
		status, err := migration.Imported(m, now)
		if (err != nil) != (tc.want == "") || err == nil && (status.Phase != tc.want || !strings.Contains(status.Conditions[0].Message, "Kurator reported BackupInProgress")) {
			t.Errorf("%s: %+v, %v, want %s", name, status, err, tc.want)
		}
	}

	m.Status.SourceClusterStatus = nil
	for _, phase := range []v1alpha1.MigratePhase{"", "Pending", "BackupInProgress", "RestoreInProgress", "Unheard"} {
		m.Status.Phase = phase
		if _, err := migration.Imported(m, now); err == nil {
			t.Errorf("phase %q is imported", phase)
		}
	}
}
