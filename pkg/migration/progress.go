// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"cmp"
	"slices"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// Change is how much two statuses differ; see Compare.
type Change int

const (
	// Unchanged means that they are equal.
	Unchanged Change = iota
	// Step means that only counts, messages, and what goes as it should differ: a source before Velero works on its Backup, and
	// targets, of which there may be many, while the migration goes on. Recording it may be delayed.
	Step
	// Transition means that something else differs; it is recorded at once.
	Transition
)

// Compare returns how much b differs from a.
func Compare(a, b *v1alpha1.MigrateStatus) Change {
	if equality.Semantic.DeepEqual(a, b) {
		return Unchanged
	}
	before, after := outlineOf(a), outlineOf(b)
	if slices.Contains(firstSteps, after.source.reason) {
		after.phase, after.source = before.phase, before.source
	}
	if before != after || startsRestore(a, b) {
		return Transition
	}
	return Step
}

// startsRestore reports whether a target of b is to be restored now, with what must be recorded before: by which Velero, and why its
// storage is that of the source.
func startsRestore(a, b *v1alpha1.MigrateStatus) bool {
	for _, target := range b.TargetClusterStatus {
		was := cmp.Or(targetOf(a, ClusterOf(target.ClusterStatus)), &v1alpha1.RestoreDetails{})
		if target.Reason == v1alpha1.ReasonRestoreStarting && was.Reason != target.Reason ||
			was.VeleroNamespace != target.VeleroNamespace || !equality.Semantic.DeepEqual(was.StorageProof, target.StorageProof) {
			return true
		}
	}
	return false
}

// firstSteps are the reasons of a source that Velero does not work for yet.
var firstSteps = []string{v1alpha1.ReasonConnecting, v1alpha1.ReasonBackupNew, v1alpha1.ReasonBackupQueued, v1alpha1.ReasonBackupReadyToStart}

// outline is what of a status is recorded at once.
type outline struct {
	phase  v1alpha1.MigratePhase
	source sourceOutline
	// Whether the conditions tell of something unusual.
	stalled, suspended, unreachable bool
	// warnings are the targets with something unusual, and what that is.
	warnings string
}

// sourceOutline is that of the source. While the clusters are not resolved it has only a reason.
type sourceOutline struct {
	cluster                 Cluster
	phase                   v1alpha1.MigratePhase
	reason, veleroNamespace string
	backup                  velerov1.BackupPhase
}

func outlineOf(status *v1alpha1.MigrateStatus) outline {
	o := outline{
		phase:       status.Phase,
		stalled:     meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionStalled),
		suspended:   meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionSuspended),
		unreachable: meta.IsStatusConditionFalse(status.Conditions, v1alpha1.ConditionMembersReachable),
	}
	if source := status.SourceClusterStatus; source != nil {
		o.source = sourceOutline{cluster: ClusterOf(source.ClusterStatus), phase: source.Phase, reason: source.Reason, veleroNamespace: source.VeleroNamespace}
		if source.BackupStatusInCluster != nil {
			o.source.backup = source.BackupStatusInCluster.Phase
		}
	} else if ready := readyCondition(status); ready != nil {
		o.source.reason = ready.reason
	}
	for _, target := range status.TargetClusterStatus {
		if isWarning(&target.ClusterStatus) {
			o.warnings += target.ClusterName + "/" + target.Reason + " "
		}
	}
	return o
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
