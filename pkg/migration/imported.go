// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"cmp"
	"fmt"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// Imported returns the status of a Migrate that Kurator has finished, for this server: Kurator's phase and Velero's statuses,
// and what follows of them for each cluster. Kurator's verdict is that of Velero's phases, so what became of the items is
// unknown. The error is why a Migrate that Kurator has not finished can't be imported, and what to do instead.
func Imported(m *v1alpha1.Migrate, now time.Time) (*v1alpha1.MigrateStatus, error) {
	phase := finishedPhase(&m.Status)
	if !IsTerminal(phase) {
		return nil, fmt.Errorf("it is not finished, Kurator reports %s: let Kurator finish it and import again, or delete it while Kurator's controller runs; "+
			"if it stays, it is hidden, and can be applied to this server once that serves the group", phaseOfKurator(phase))
	}
	status := m.Status.DeepCopy()
	status.Phase, status.ObservedGeneration, status.Conditions = phase, m.Generation, nil
	if source := status.SourceClusterStatus; source != nil {
		source.ClusterStatus = importedCluster(source.ClusterStatus, importedBackupPhase(source.BackupStatusInCluster), "Backup "+source.BackupNameInCluster)
	}
	for i := range status.TargetClusterStatus {
		target := &status.TargetClusterStatus[i]
		target.ClusterStatus = importedCluster(target.ClusterStatus, importedRestorePhase(target.RestoreStatusInCluster), "Restore "+target.RestoreNameInCluster)
	}

	set := func(kind string, value metav1.ConditionStatus, reason, message string) {
		meta.SetStatusCondition(&status.Conditions, metav1.Condition{
			Type: kind, Status: value, Reason: reason, Message: message,
			ObservedGeneration: m.Generation, LastTransitionTime: metav1.NewTime(now.Truncate(time.Second)),
		})
	}
	message := fmt.Sprintf("Kurator reported %s, by Velero's phases. Whether every item and the data of every volume arrived was not checked.", phaseOfKurator(m.Status.Phase))
	for _, cluster := range ClusterStatuses(status) {
		if cluster.Phase != v1alpha1.MigratePhaseCompleted {
			message += fmt.Sprintf(" %s: %s", cluster.ClusterName, cluster.Message)
		}
	}
	message = Shorten(message, maxMessageLength)
	set(v1alpha1.ConditionReady, conditionStatus(phase == v1alpha1.MigratePhaseCompleted), v1alpha1.ReasonImported, message)
	set(v1alpha1.ConditionFinished, metav1.ConditionTrue, string(phase), message)
	set(v1alpha1.ConditionReconciling, metav1.ConditionFalse, string(phase), message)
	set(v1alpha1.ConditionStalled, conditionStatus(phase != v1alpha1.MigratePhaseCompleted), v1alpha1.ReasonImported, message)
	set(v1alpha1.ConditionItemsRestored, metav1.ConditionUnknown, v1alpha1.ReasonImported, message)
	set(v1alpha1.ConditionVolumesMoved, metav1.ConditionUnknown, v1alpha1.ReasonImported, message)
	if source := status.SourceClusterStatus; source != nil {
		set(v1alpha1.ConditionSourceReady, conditionStatus(source.Phase == v1alpha1.MigratePhaseCompleted), v1alpha1.ReasonImported, source.Message)
	}
	return status, nil
}

func phaseOfKurator(phase v1alpha1.MigratePhase) string { return cmp.Or(string(phase), "no phase") }

// finishedPhase returns the phase of a Migrate of Kurator. Kurator never reports a failure: a Migrate whose Backup or Restores have
// failed stays in progress for ever.
func finishedPhase(s *v1alpha1.MigrateStatus) v1alpha1.MigratePhase {
	source := s.SourceClusterStatus
	if IsTerminal(s.Phase) || source == nil || source.BackupStatusInCluster == nil {
		return s.Phase
	}
	switch source.BackupStatusInCluster.Phase {
	case velerov1.BackupPhaseFailedValidation:
		return v1alpha1.MigratePhaseFailedValidation
	case velerov1.BackupPhaseFailed, velerov1.BackupPhasePartiallyFailed:
		return v1alpha1.MigratePhaseFailed
	}
	completed, failed := 0, 0
	for _, target := range s.TargetClusterStatus {
		switch velerov1.RestorePhase(importedRestorePhase(target.RestoreStatusInCluster)) {
		case velerov1.RestorePhaseCompleted:
			completed++
		case velerov1.RestorePhaseFailed, velerov1.RestorePhasePartiallyFailed, velerov1.RestorePhaseFailedValidation:
			failed++
		}
	}
	switch {
	case failed == 0 || completed+failed < len(s.TargetClusterStatus):
		return s.Phase
	case completed == 0:
		return v1alpha1.MigratePhaseFailed
	}
	return v1alpha1.MigratePhasePartiallyFailed
}

// IsImported reports whether Kurator ran the migration.
func IsImported(m *v1alpha1.Migrate) bool {
	ready := meta.FindStatusCondition(m.Status.Conditions, v1alpha1.ConditionReady)
	return ready != nil && ready.Reason == v1alpha1.ReasonImported
}

func importedCluster(c v1alpha1.ClusterStatus, phase, object string) v1alpha1.ClusterStatus {
	imported := v1alpha1.ClusterStatus{ClusterName: c.ClusterName, ClusterKind: c.ClusterKind, Phase: v1alpha1.MigratePhaseFailed, Reason: v1alpha1.ReasonImported}
	if phase == string(velerov1.BackupPhaseCompleted) {
		imported.Phase = v1alpha1.MigratePhaseCompleted
	}
	imported.Message = fmt.Sprintf("Velero's phase of %s was %s when Kurator last read it.", object, cmp.Or(phase, "unknown"))
	return imported
}

func importedBackupPhase(s *velerov1.BackupStatus) string {
	if s == nil {
		return ""
	}
	return string(s.Phase)
}

func importedRestorePhase(s *velerov1.RestoreStatus) string {
	if s == nil {
		return ""
	}
	return string(s.Phase)
}
