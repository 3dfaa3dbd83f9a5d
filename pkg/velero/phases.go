// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"strings"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// BackupPhase returns the phase of the source cluster for a phase of its Backup. A phase that
// is not final, or not known, is BackupInProgress. A Backup that is being deleted is Failed:
// nothing can be restored from it.
func BackupPhase(phase velerov1.BackupPhase) v1alpha1.MigratePhase {
	switch phase {
	case velerov1.BackupPhaseCompleted:
		return v1alpha1.MigratePhaseCompleted
	case velerov1.BackupPhasePartiallyFailed:
		return v1alpha1.MigratePhasePartiallyFailed
	case velerov1.BackupPhaseFailed, velerov1.BackupPhaseDeleting:
		return v1alpha1.MigratePhaseFailed
	case velerov1.BackupPhaseFailedValidation:
		return v1alpha1.MigratePhaseFailedValidation
	default:
		return v1alpha1.MigratePhaseBackupInProgress
	}
}

// IsRunning reports whether a Backup in a phase, which may be unknown, takes one of the places among the
// Backups that Velero runs at the same time, or waits for one. A Backup whose data is still being moved
// after its items are backed up does not (RunningCount in backup_tracker.go of v1.18).
func IsRunning(phase velerov1.BackupPhase) bool {
	switch phase {
	case velerov1.BackupPhaseWaitingForPluginOperations, velerov1.BackupPhaseWaitingForPluginOperationsPartiallyFailed,
		velerov1.BackupPhaseFinalizing, velerov1.BackupPhaseFinalizingPartiallyFailed:
		return false
	}
	return BackupPhase(phase) == v1alpha1.MigratePhaseBackupInProgress
}

// IsRejectedEarly reports whether Velero rejected r only because it did not find its Backup, or the
// ConfigMap with its resource modifiers. Velero looks them up in a cache, which may lack an object
// that was just created, or an existing one after the API server was unavailable.
func IsRejectedEarly(r *velerov1.Restore) bool {
	if r.Status.Phase != velerov1.RestorePhaseFailedValidation || len(r.Status.ValidationErrors) != 1 {
		return false
	}
	return strings.Contains(r.Status.ValidationErrors[0], "can't find backup ") ||
		strings.Contains(r.Status.ValidationErrors[0], "failed to get resource modifiers configmap ")
}

// RestorePhase returns the phase of a target cluster for a phase of its Restore. A phase that is
// not final, or not known, is RestoreInProgress.
func RestorePhase(phase velerov1.RestorePhase) v1alpha1.MigratePhase {
	switch phase {
	case velerov1.RestorePhaseCompleted:
		return v1alpha1.MigratePhaseCompleted
	case velerov1.RestorePhasePartiallyFailed:
		return v1alpha1.MigratePhasePartiallyFailed
	case velerov1.RestorePhaseFailed:
		return v1alpha1.MigratePhaseFailed
	case velerov1.RestorePhaseFailedValidation:
		return v1alpha1.MigratePhaseFailedValidation
	default:
		return v1alpha1.MigratePhaseRestoreInProgress
	}
}
