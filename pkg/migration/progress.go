// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"cmp"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
		cs.Message, cs.LastProgressTime, cs.VolumeProgress, cs.Workloads, cs.Progress = "", nil, nil, nil, nil
	}
	status.Progress, status.Preview = nil, nil
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

// setProgress sets the progress of each cluster, and that of the migration, from the rest of the status.
func setProgress(status *v1alpha1.MigrateStatus) {
	status.Progress = nil
	source := status.SourceClusterStatus
	if source == nil {
		return
	}
	source.Progress = nil
	if b := source.BackupStatusInCluster; b != nil {
		p := &v1alpha1.MigrateProgress{StartTime: b.StartTimestamp}
		if b.Progress != nil {
			p.ItemsDone, p.ItemsTotal = int64(b.Progress.ItemsBackedUp), int64(b.Progress.TotalItems)
		}
		complete(p, &source.ClusterStatus)
	}
	for i := range status.TargetClusterStatus {
		target := &status.TargetClusterStatus[i]
		target.Progress = nil
		if r := target.RestoreStatusInCluster; r != nil {
			p := &v1alpha1.MigrateProgress{StartTime: r.StartTimestamp}
			if r.Progress != nil {
				p.ItemsDone, p.ItemsTotal = int64(r.Progress.ItemsRestored), int64(r.Progress.TotalItems)
			}
			complete(p, &target.ClusterStatus)
		}
	}
	status.Progress = overallProgress(status)
}

// complete adds the volumes and the estimate to the progress of a cluster, and sets it. After the end the items are
// those that count.
func complete(p *v1alpha1.MigrateProgress, cs *v1alpha1.ClusterStatus) {
	if cs.Items != nil {
		p.ItemsDone, p.ItemsTotal = cs.Items.Total, cs.Items.Total
	}
	if v := cs.VolumeProgress; v != nil {
		p.BytesDone, p.BytesTotal = v.BytesDone, max(v.BytesDone, v.TotalBytes)
	}
	if !IsTerminal(cs.Phase) && p.StartTime != nil && cs.LastProgressTime != nil {
		p.EstimatedCompletionTime = estimate(p, cs.LastProgressTime.Time)
	}
	cs.Progress = p
}

// estimate returns when something would end that has come so far at a time; nil if it has not come far enough to tell.
func estimate(p *v1alpha1.MigrateProgress, at time.Time) *metav1.Time {
	const least, leastFraction = 5 * time.Second, 0.05
	done, total := p.ItemsDone, p.ItemsTotal
	if p.BytesTotal > 0 {
		done, total = p.BytesDone, p.BytesTotal
	}
	elapsed := at.Sub(p.StartTime.Time)
	if total <= 0 || done >= total || elapsed < least || float64(done) < leastFraction*float64(total) {
		return nil
	}
	whole := time.Duration(float64(elapsed) / float64(done) * float64(total))
	return &metav1.Time{Time: p.StartTime.Add(whole).Truncate(time.Second)}
}

// overallProgress returns the progress of the Backup until it is complete, and then the sum of those of the Restores,
// of which one that has not started has the items of the Backup.
func overallProgress(status *v1alpha1.MigrateStatus) *v1alpha1.MigrateProgress {
	source := status.SourceClusterStatus
	if source.Progress == nil || source.Phase != v1alpha1.MigratePhaseCompleted {
		if source.Progress == nil {
			return nil
		}
		p := *source.Progress
		p.EstimatedCompletionTime = nil // the Restores come after it
		return &p
	}
	sum := &v1alpha1.MigrateProgress{StartTime: source.Progress.StartTime}
	known := true
	for i := range status.TargetClusterStatus {
		target := &status.TargetClusterStatus[i]
		p := v1alpha1.MigrateProgress{}
		if target.Progress != nil {
			p = *target.Progress
		}
		if target.Progress == nil || !IsTerminal(target.Phase) { // Velero does not know its totals at once
			p.ItemsTotal, p.BytesTotal = cmp.Or(p.ItemsTotal, source.Progress.ItemsTotal), cmp.Or(p.BytesTotal, source.Progress.BytesTotal)
		}
		sum.ItemsDone += p.ItemsDone
		sum.ItemsTotal += p.ItemsTotal
		sum.BytesDone += p.BytesDone
		sum.BytesTotal += p.BytesTotal
		switch ends := p.EstimatedCompletionTime; {
		case IsTerminal(target.Phase):
		case ends == nil:
			known = false
		case sum.EstimatedCompletionTime == nil || sum.EstimatedCompletionTime.Before(ends):
			sum.EstimatedCompletionTime = ends
		}
	}
	if !known {
		sum.EstimatedCompletionTime = nil
	}
	return sum
}
