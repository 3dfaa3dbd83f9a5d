// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// Status returns the recorded status of m, updated by the observation, whose plan must be that
// of m. If the recorded phase is final, it returns the recorded status unchanged.
func Status(m *v1alpha1.Migrate, seen Observation, now time.Time) v1alpha1.MigrateStatus {
	return statusOf(m, seen, now, false)
}

// LiveStatus returns the status of m for a reader: Status without final phases, of the Migrate
// or of a cluster, that are not recorded yet. A reported final phase must not change, and only
// recording it guarantees that: until then the errors of an object are still being read, and
// its member may change. Such a cluster keeps its recorded status, with the message of its end.
func LiveStatus(m *v1alpha1.Migrate, seen Observation, now time.Time) v1alpha1.MigrateStatus {
	return statusOf(m, seen, now, true)
}

func statusOf(m *v1alpha1.Migrate, seen Observation, now time.Time, withholdEnds bool) v1alpha1.MigrateStatus {
	status := *m.Status.DeepCopy()
	if IsTerminal(status.Phase) {
		return status
	}
	status.ObservedGeneration = m.Generation

	seen.Plan.apply(&status)
	if seen.Preview != nil && isSuspended(m) {
		status.Preview = shortened(seen.Preview)
	}
	if source := status.SourceClusterStatus; source != nil {
		recorded := *source
		observeSource(m, source, status.TargetClusterStatus, seen, now)
		if withholdEnds && isNewEnd(recorded.ClusterStatus, source.ClusterStatus) {
			recorded.ClusterStatus = withUnrecordedEnd(recorded.ClusterStatus, source.ClusterStatus)
			*source = recorded
		}
		for i := range status.TargetClusterStatus {
			target := &status.TargetClusterStatus[i]
			recorded := *target
			observeTarget(m, target, source, seen, now)
			if withholdEnds && isNewEnd(recorded.ClusterStatus, target.ClusterStatus) {
				recorded.ClusterStatus = withUnrecordedEnd(recorded.ClusterStatus, target.ClusterStatus)
				*target = recorded
			}
		}
		if isPlanned(m, &status) {
			for _, cs := range ClusterStatuses(&status) {
				if !IsTerminal(cs.Phase) {
					cs.LastProgressTime = nil
				}
			}
		}
		boundMessages(&status)
	}
	if phase := overallPhase(&status); !withholdEnds || !IsTerminal(phase) {
		status.Phase = phase
	}
	setProgress(&status)
	setConditions(m, &status, seen, now)
	return status
}

// isNewEnd reports whether the phase of a cluster became final since it was recorded.
func isNewEnd(recorded, observed v1alpha1.ClusterStatus) bool {
	return IsTerminal(observed.Phase) && !IsTerminal(recorded.Phase)
}

// withUnrecordedEnd returns the recorded status of a cluster with the message of its observed
// end.
func withUnrecordedEnd(recorded, ended v1alpha1.ClusterStatus) v1alpha1.ClusterStatus {
	recorded.Phase = cmp.Or(recorded.Phase, v1alpha1.MigratePhasePending)
	recorded.Reason = cmp.Or(recorded.Reason, v1alpha1.ReasonConnecting)
	recorded.Message = Shorten("Not recorded yet: "+ended.Message, maxMessageLength)
	return recorded
}

// IsTerminal reports whether a Migrate or one of its clusters never leaves phase.
func IsTerminal(phase v1alpha1.MigratePhase) bool {
	return backup.MigratePhase(phase).IsTerminal()
}

// IsPinned reports whether the clusters of a Migrate are resolved permanently, which is when the
// name of the Backup is recorded.
func IsPinned(status *v1alpha1.MigrateStatus) bool {
	return status.SourceClusterStatus != nil && status.SourceClusterStatus.BackupNameInCluster != ""
}

// observeSource updates the status of the source. When the source is ready, and at least one
// target, it sets the name of the Backup, which pins the clusters.
func observeSource(m *v1alpha1.Migrate, source *v1alpha1.BackupDetails, targets []v1alpha1.RestoreDetails, seen Observation, now time.Time) {
	cs := &source.ClusterStatus
	if IsTerminal(cs.Phase) {
		return
	}
	was, before := *cs, progressOf(*cs, source.BackupStatusInCluster)
	member, read := seen.Members[ClusterOf(*cs)]
	switch {
	case source.BackupStatusInCluster != nil && (!read || member.Err != nil):
		setUnreachable(m, cs, member)
	case member.Backup != nil:
		pinVelero(cs, seen.Plan)
		observeBackup(m, source, member)
	case source.BackupStatusInCluster != nil:
		setState(cs, v1alpha1.MigratePhaseFailed, backupDeleted(source))
	case isCanceled(m):
		s, ended := canceled(m, cs, "Backup", source.BackupNameInCluster != "", seen, now)
		setCanceled(cs, s, ended)
	default:
		state, ready := sourceReadiness(m, source, targets, seen)
		if ready {
			pinVelero(cs, seen.Plan)
			source.BackupNameInCluster = velero.ObjectName(cs.ClusterName, m)
		}
		setPending(cs, state)
	}
	appendUnexpected(cs, member)
	setTransitionTime(cs, was, now)
	if was.Reason == v1alpha1.ReasonQueueBlocked && cs.Reason != was.Reason {
		cs.LastProgressTime = nil // it was that of another Backup
	}
	setProgressTime(cs, before, progressOf(*cs, source.BackupStatusInCluster), now)
	if turn := member.Turn; cs.Reason == v1alpha1.ReasonQueueBlocked && turn != nil && turn.Blocked {
		cs.LastProgressTime = &metav1.Time{Time: turn.Since.Truncate(time.Second)}
	}
}

// observeBackup updates the status of the source from its Backup. Until its results are read, an end
// is none.
func observeBackup(m *v1alpha1.Migrate, source *v1alpha1.BackupDetails, member Member) {
	cs, b := &source.ClusterStatus, member.Backup
	before := progressOf(*cs, source.BackupStatusInCluster)
	source.BackupNameInCluster = Shorten(b.Name, maxTokenLength)
	source.BackupStatusInCluster = boundedBackup(b.Status)
	setVolumeProgress(cs, member.Diagnosis)
	cs.Phase = velero.BackupPhase(b.Status.Phase)
	if _, needed := backupResults(m, b); needed && member.Results == nil {
		setState(cs, v1alpha1.MigratePhaseBackupInProgress, readingResults("Backup", b.Name, string(b.Status.Phase), member.ResultsErr))
		return
	}
	setResults(cs, member.Results)
	if r := member.Results; r != nil && r.Lists != nil {
		source.Contents = r.Lists.Contents
	}
	moved := progressOf(*cs, source.BackupStatusInCluster) != before
	setState(cs, cs.Phase, withDiagnosis(m, *cs, backupState(m, b, cs.VolumeProgress, member.Results), moved, member.Diagnosis))
}

// observeTarget updates the status of one target; that of the source must be up to date.
func observeTarget(m *v1alpha1.Migrate, target *v1alpha1.RestoreDetails, source *v1alpha1.BackupDetails, seen Observation, now time.Time) {
	cs := &target.ClusterStatus
	if IsTerminal(cs.Phase) {
		return
	}
	was, before := *cs, progressOf(*cs, target.RestoreStatusInCluster)
	member, read := seen.Members[ClusterOf(*cs)]
	switch {
	case target.RestoreStatusInCluster != nil && (!read || member.Err != nil):
		setUnreachable(m, cs, member)
	case isRefusedEarly(member) && isCanceled(m):
		target.RestoreNameInCluster, target.RestoreStatusInCluster = member.Restore.Name, nil
		s, ended := canceled(m, cs, "Restore", true, seen, now)
		if ended {
			s.message = fmt.Sprintf("Canceled by %s. Velero in %s had rejected Restore %s, which restored nothing.", m.Status.Cancellation.Username, cs.ClusterName, member.Restore.Name)
		}
		setCanceled(cs, s, ended)
	case isRefusedEarly(member):
		target.RestoreNameInCluster, target.RestoreStatusInCluster = "", nil
		state, ready := targetReadiness(m, target, source, seen)
		if ready || state.reason == v1alpha1.ReasonConnecting {
			state = refusedEarly(cs.ClusterName, member)
		}
		setPending(cs, state)
	case member.Restore != nil:
		pinVelero(cs, seen.Plan)
		observeRestore(m, target, source, member, now)
	case target.RestoreStatusInCluster != nil:
		setState(cs, v1alpha1.MigratePhaseFailed, restoreDeleted(target))
	case source.Phase == v1alpha1.MigratePhaseCanceled:
		setState(cs, v1alpha1.MigratePhaseCanceled, state{v1alpha1.ReasonCanceled, source.Message})
	case source.Phase == v1alpha1.MigratePhaseCompleted && hasNoItems(source.BackupStatusInCluster) && hadItems(m, source):
		setState(cs, v1alpha1.MigratePhaseFailed, nothingMoreToRestore(source))
	case source.Phase == v1alpha1.MigratePhaseCompleted && hasNoItems(source.BackupStatusInCluster):
		setState(cs, v1alpha1.MigratePhaseCompleted, nothingToRestore(source))
	case IsTerminal(source.Phase) && source.Phase != v1alpha1.MigratePhaseCompleted:
		setState(cs, v1alpha1.MigratePhaseFailed, nothingRestored(source))
	case isCanceled(m) && source.Phase == v1alpha1.MigratePhaseCompleted:
		s, ended := canceled(m, cs, "Restore", wasComplete(m), seen, now)
		setCanceled(cs, s, ended)
	case read && member.Err == nil && member.Backup == nil && isExpired(source.BackupStatusInCluster, now):
		setState(cs, v1alpha1.MigratePhaseFailed, backupExpired(source))
	default:
		state, ready := targetReadiness(m, target, source, seen)
		if ready {
			pinVelero(cs, seen.Plan)
		}
		setPending(cs, state)
		observeStorageProof(target, source, seen)
	}
	appendUnexpected(cs, member)
	setTransitionTime(cs, was, now)
	setProgressTime(cs, before, progressOf(*cs, target.RestoreStatusInCluster), now)
}

// observeRestore updates the status of a target from its Restore. Until its results are read, an end
// is none. If they are recorded, because the target waits for its workloads, only the driver updates
// the status.
func observeRestore(m *v1alpha1.Migrate, target *v1alpha1.RestoreDetails, source *v1alpha1.BackupDetails, member Member, now time.Time) {
	cs, r := &target.ClusterStatus, member.Restore
	before := progressOf(*cs, target.RestoreStatusInCluster)
	target.RestoreNameInCluster = Shorten(r.Name, maxTokenLength)
	target.RestoreStatusInCluster = boundedRestore(r.Status)
	setVolumeProgress(cs, member.Diagnosis)
	if _, needed := restoreResults(m, source, target, r); needed && member.Results == nil {
		if cs.Reason != v1alpha1.ReasonWaitingForWorkloads {
			setState(cs, v1alpha1.MigratePhaseRestoreInProgress, readingResults("Restore", r.Name, string(r.Status.Phase), member.ResultsErr))
		}
		return
	}
	setResults(cs, member.Results)
	cs.Phase = restorePhase(m, r, member.Results)
	moved := progressOf(*cs, target.RestoreStatusInCluster) != before
	state := withDiagnosis(m, *cs, restoreState(m, r, cs.VolumeProgress, member.Results), moved, member.Diagnosis)
	if cs.Phase == v1alpha1.MigratePhaseCompleted && hasOnlyNamespaces(m, source) && hadItems(m, source) {
		cs.Phase, state = v1alpha1.MigratePhaseFailed, nothingMoreToRestore(source)
	}
	if m.Spec.WaitForWorkloads != nil && r.Status.Phase == velerov1.RestorePhaseCompleted {
		cs.Phase, state = awaitWorkloads(m, cs, cs.Phase, state, member.Workloads, now)
	}
	setState(cs, cs.Phase, state)
}

// overallPhase returns the phase of the Migrate for the phases of its clusters, as specified by
// the API document.
func overallPhase(status *v1alpha1.MigrateStatus) v1alpha1.MigratePhase {
	source := status.SourceClusterStatus
	switch {
	case source == nil && status.Cancellation != nil:
		return v1alpha1.MigratePhaseCanceled
	case source == nil:
		return v1alpha1.MigratePhasePending
	case source.Phase == v1alpha1.MigratePhaseCanceled:
		return v1alpha1.MigratePhaseCanceled
	case hasFailed(source.Phase) && slices.ContainsFunc(status.TargetClusterStatus, isCompleted):
		return v1alpha1.MigratePhasePartiallyFailed // by an earlier attempt
	case source.Phase == v1alpha1.MigratePhaseFailedValidation:
		return v1alpha1.MigratePhaseFailedValidation
	case hasFailed(source.Phase):
		return v1alpha1.MigratePhaseFailed
	case source.Phase == v1alpha1.MigratePhaseCompleted:
		return phaseOfTargets(source, status.TargetClusterStatus)
	case source.BackupStatusInCluster != nil:
		return v1alpha1.MigratePhaseBackupInProgress
	default:
		return v1alpha1.MigratePhasePending
	}
}

func isCompleted(target v1alpha1.RestoreDetails) bool {
	return target.Phase == v1alpha1.MigratePhaseCompleted
}

// hasFailed reports whether a terminal phase is a failure.
func hasFailed(phase v1alpha1.MigratePhase) bool {
	return slices.Contains([]v1alpha1.MigratePhase{v1alpha1.MigratePhaseFailed, v1alpha1.MigratePhasePartiallyFailed, v1alpha1.MigratePhaseFailedValidation}, phase)
}

// lacksItems reports whether the Backup of a target, which may be that of an earlier attempt, lacks what the filter selects.
func lacksItems(source *v1alpha1.BackupDetails, target v1alpha1.RestoreDetails) bool {
	if target.BackupNameInCluster != "" {
		return target.BackupReason == v1alpha1.ReasonItemsLeftOut
	}
	return source.Reason == v1alpha1.ReasonItemsLeftOut
}

// phaseOfTargets returns the phase of a Migrate whose Backup is complete. If the Backup lacks what the
// filter selects, that is no success.
func phaseOfTargets(source *v1alpha1.BackupDetails, targets []v1alpha1.RestoreDetails) v1alpha1.MigratePhase {
	count := map[v1alpha1.MigratePhase]int{}
	for _, t := range targets {
		if !IsTerminal(t.Phase) {
			return v1alpha1.MigratePhaseRestoreInProgress
		}
		count[t.Phase]++
	}
	switch {
	case count[v1alpha1.MigratePhaseCanceled] > 0:
		return v1alpha1.MigratePhaseCanceled
	case slices.ContainsFunc(targets, func(t v1alpha1.RestoreDetails) bool { return isCompleted(t) && lacksItems(source, t) }):
		return v1alpha1.MigratePhasePartiallyFailed
	case count[v1alpha1.MigratePhaseCompleted] == len(targets):
		return v1alpha1.MigratePhaseCompleted
	case count[v1alpha1.MigratePhaseCompleted]+count[v1alpha1.MigratePhasePartiallyFailed] > 0:
		return v1alpha1.MigratePhasePartiallyFailed
	default:
		return v1alpha1.MigratePhaseFailed
	}
}

// pinVelero records which Velero of its cluster a Migrate uses, unless one is recorded.
func pinVelero(cs *v1alpha1.ClusterStatus, plan Plan) {
	if cs.VeleroNamespace == "" {
		cs.VeleroNamespace = plan.Of(ClusterOf(*cs)).VeleroNamespace
	}
}

// setPending sets the state of a cluster that waits. While its member was not read yet, it
// keeps the recorded state, which a new leader must not overwrite.
func setPending(cs *v1alpha1.ClusterStatus, s state) {
	if s.reason != v1alpha1.ReasonConnecting || cs.Reason == "" {
		setState(cs, v1alpha1.MigratePhasePending, s)
	}
}

func setState(cs *v1alpha1.ClusterStatus, phase v1alpha1.MigratePhase, s state) {
	cs.Phase, cs.Reason, cs.Message = phase, s.reason, Shorten(s.message, maxMessageLength)
}

// setUnreachable sets the state of a cluster whose member can't be read, and keeps its phase.
func setUnreachable(m *v1alpha1.Migrate, cs *v1alpha1.ClusterStatus, member Member) {
	if member.Err == nil {
		return
	}
	s := unreachable(cs.ClusterName, member)
	if isCanceled(m) {
		s.message += " The migration is canceled, and ends when it is known what Velero did there. If the cluster is gone for good, delete the Migrate."
	}
	setState(cs, cs.Phase, s)
}

// progress holds the values whose change counts as progress of a cluster.
type progress struct {
	phase, velero string
	items, total  int
	operations    int
	bytes         int64
}

// progressOf returns the progress of a cluster; status is that of its Backup or Restore, or nil.
func progressOf[S velerov1.BackupStatus | velerov1.RestoreStatus](cs v1alpha1.ClusterStatus, status *S) progress {
	p := progress{phase: string(cs.Phase)}
	if v := cs.VolumeProgress; v != nil {
		p.bytes = v.BytesDone
	}
	switch s := any(status).(type) {
	case *velerov1.BackupStatus:
		if s == nil {
			return p
		}
		p.setVeleroPhase(string(s.Phase))
		p.operations = s.BackupItemOperationsCompleted + s.BackupItemOperationsFailed
		if s.Progress != nil {
			p.items, p.total = s.Progress.ItemsBackedUp, s.Progress.TotalItems
		}
	case *velerov1.RestoreStatus:
		if s == nil {
			return p
		}
		p.setVeleroPhase(string(s.Phase))
		p.operations = s.RestoreItemOperationsCompleted + s.RestoreItemOperationsFailed
		if s.Progress != nil {
			p.items, p.total = s.Progress.ItemsRestored, s.Progress.TotalItems
		}
	}
	return p
}

// setVeleroPhase sets Velero's phase. The creation of an object does not count as progress before
// Velero processes it.
func (p *progress) setVeleroPhase(phase string) {
	if phase == "" || phase == "New" {
		p.phase = string(v1alpha1.MigratePhasePending)
		return
	}
	p.velero = phase
}

// setTransitionTime sets the time of the last transition if the phase or the reason changed.
func setTransitionTime(cs *v1alpha1.ClusterStatus, was v1alpha1.ClusterStatus, now time.Time) {
	if cs.LastTransitionTime == nil || cs.Phase != was.Phase || cs.Reason != was.Reason {
		cs.LastTransitionTime = &metav1.Time{Time: now.Truncate(time.Second)}
	}
}

// setVolumeProgress sets the progress of the volumes if the diagnosis has a higher one.
func setVolumeProgress(cs *v1alpha1.ClusterStatus, d *Diagnosis) {
	if d != nil && d.Volumes != nil && (cs.VolumeProgress == nil || d.Volumes.BytesDone > cs.VolumeProgress.BytesDone) {
		cs.VolumeProgress = d.Volumes
	}
}

// setProgressTime sets the time of the last progress if there was any. A cluster that waits for
// another one, in a queue, or for workloads, which have a timeout of their own, has none: no progress
// deadline runs for it.
func setProgressTime(cs *v1alpha1.ClusterStatus, before, after progress, now time.Time) {
	switch {
	case waitsForOthers(cs.Reason):
		cs.LastProgressTime = nil
	case cs.LastProgressTime == nil || before != after:
		cs.LastProgressTime = &metav1.Time{Time: now.Truncate(time.Second)}
	}
}

func waitsForOthers(reason string) bool {
	return slices.Contains([]string{
		v1alpha1.ReasonSuspended, v1alpha1.ReasonCanceling, v1alpha1.ReasonEarlierAttemptRunning, v1alpha1.ReasonWaitingForBackup, v1alpha1.ReasonWaitingInQueue, v1alpha1.ReasonBackupQueued, v1alpha1.ReasonRestoreQueued, v1alpha1.ReasonWaitingForWorkloads,
	}, reason)
}
