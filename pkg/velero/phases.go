// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"strings"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// BackupPhase says what a Backup's phase means for the part of its cluster.
// Every phase that is not an end, one we don't know among them, is
// BackupInProgress. A Backup that is being deleted has failed: there is nothing
// that could be restored.
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

// DidNotKnowBackup says whether Velero refused a Restore for no other reason than
// that it did not know its Backup. It looks that up in a cache, which is behind after
// the API server was away, and so may lack a Backup that is there.
func DidNotKnowBackup(r *velerov1.Restore) bool {
	return r.Status.Phase == velerov1.RestorePhaseFailedValidation && len(r.Status.ValidationErrors) == 1 &&
		strings.Contains(r.Status.ValidationErrors[0], "can't find backup ")
}

// RestorePhase says what a Restore's phase means for the part of its cluster.
// Every phase that is not an end, one we don't know among them, is
// RestoreInProgress.
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
