// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"k8s.io/apimachinery/pkg/api/equality"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// Change says how much two statuses differ.
type Change int

const (
	// Unchanged means not at all.
	Unchanged Change = iota
	// ProgressOnly means in counts and in words that go with them: it may be
	// recorded a little later.
	ProgressOnly
	// Step means in a phase, a reason, a cluster or a condition: it is recorded at
	// once.
	Step
)

// Compare says how much b differs from a.
func Compare(a, b *v1alpha1.MigrateStatus) Change {
	switch {
	case equality.Semantic.DeepEqual(a, b):
		return Unchanged
	case equality.Semantic.DeepEqual(withoutProgress(a), withoutProgress(b)):
		return ProgressOnly
	default:
		return Step
	}
}

// withoutProgress is a copy without what changes as Velero goes on within one
// phase.
func withoutProgress(status *v1alpha1.MigrateStatus) *v1alpha1.MigrateStatus {
	status = status.DeepCopy()
	for i := range status.Conditions {
		status.Conditions[i].Message = ""
	}
	for _, part := range partsOf(status) {
		part.Message, part.LastProgressTime, part.VolumeProgress = "", nil, nil
	}
	if source := status.SourceClusterStatus; source != nil && source.BackupStatusInCluster != nil {
		s := source.BackupStatusInCluster
		s.Progress, s.Warnings, s.Errors, s.QueuePosition = nil, 0, 0, 0
		s.BackupItemOperationsAttempted, s.BackupItemOperationsCompleted, s.BackupItemOperationsFailed = 0, 0, 0
	}
	for i := range status.TargetClusterStatus {
		if s := status.TargetClusterStatus[i].RestoreStatusInCluster; s != nil {
			s.Progress, s.Warnings, s.Errors = nil, 0, 0
			s.RestoreItemOperationsAttempted, s.RestoreItemOperationsCompleted, s.RestoreItemOperationsFailed = 0, 0, 0
		}
	}
	return status
}
