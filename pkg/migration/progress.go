// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"k8s.io/apimachinery/pkg/api/equality"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// Change is how much two statuses differ; see Compare.
type Change int

const (
	// Unchanged means that they are equal.
	Unchanged Change = iota
	// ProgressOnly means that only counts and messages differ; recording them may be delayed.
	ProgressOnly
	// Transition means that a phase, a reason, a cluster or a condition differs; it is recorded
	// at once.
	Transition
)

// Compare returns how much b differs from a.
func Compare(a, b *v1alpha1.MigrateStatus) Change {
	switch {
	case equality.Semantic.DeepEqual(a, b):
		return Unchanged
	case equality.Semantic.DeepEqual(withoutProgress(a), withoutProgress(b)):
		return ProgressOnly
	default:
		return Transition
	}
}

// withoutProgress returns a copy of status without the fields that change while Velero makes
// progress within one phase.
func withoutProgress(status *v1alpha1.MigrateStatus) *v1alpha1.MigrateStatus {
	status = status.DeepCopy()
	for i := range status.Conditions {
		status.Conditions[i].Message = ""
	}
	for _, cs := range clusterStatuses(status) {
		cs.Message, cs.LastProgressTime, cs.VolumeProgress, cs.Workloads = "", nil, nil, nil
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
