// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"cmp"
	"slices"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// Status returns the status of m: what is recorded in it, brought up to date with
// what is observed. The plan is that of m. A recorded terminal phase is returned as it is.
func Status(m *v1alpha1.Migrate, seen Observation, now time.Time) v1alpha1.MigrateStatus {
	return statusOf(m, seen, now, false)
}

// LiveStatus is the status of m for a reader: as Status, but with no terminal phase, of
// the whole or of one cluster, that is not recorded. An end that is reported is final,
// and only the record makes it so: until then the errors of an object are still read, and
// its member may change. Such a cluster is as it is recorded, with the message of its end.
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
	if source := status.SourceClusterStatus; source != nil {
		recorded := *source
		observeSource(m, source, status.TargetClusterStatus, seen, now)
		if withholdEnds && isNewEnd(recorded.ClusterPart, source.ClusterPart) {
			recorded.ClusterPart = withEnd(recorded.ClusterPart, source.ClusterPart)
			*source = recorded
		}
		for i := range status.TargetClusterStatus {
			target := &status.TargetClusterStatus[i]
			recorded := *target
			observeTarget(m, target, source, seen, now)
			if withholdEnds && isNewEnd(recorded.ClusterPart, target.ClusterPart) {
				recorded.ClusterPart = withEnd(recorded.ClusterPart, target.ClusterPart)
				*target = recorded
			}
		}
		boundParts(&status)
	}
	status.Phase = overallPhase(&status)
	setConditions(m, &status, seen, now)
	return status
}

// isNewEnd says whether a part has come to an end since it was recorded.
func isNewEnd(recorded, observed v1alpha1.ClusterPart) bool {
	return IsTerminal(observed.Phase) && !IsTerminal(recorded.Phase)
}

// withEnd is a part as it is recorded, with the message of the end that is observed.
func withEnd(recorded, ended v1alpha1.ClusterPart) v1alpha1.ClusterPart {
	recorded.Phase = cmp.Or(recorded.Phase, v1alpha1.MigratePhasePending)
	recorded.Reason = cmp.Or(recorded.Reason, v1alpha1.ReasonConnecting)
	recorded.Message = Shorten("Not recorded yet: "+ended.Message, maxMessageLength)
	return recorded
}

// IsTerminal reports whether a Migrate or one of its clusters never leaves phase.
func IsTerminal(phase v1alpha1.MigratePhase) bool {
	return backup.MigratePhase(phase).IsTerminal()
}

// IsPinned says whether the clusters of a migration are resolved for good: the
// recorded source has the name of the Backup that is to be made in it.
func IsPinned(status *v1alpha1.MigrateStatus) bool {
	return status.SourceClusterStatus != nil && status.SourceClusterStatus.BackupNameInCluster != ""
}

// observeSource brings the source's part up to date. It pins the migration, by
// giving the Backup its name, once the source can begin and a target can take
// what it gives.
func observeSource(m *v1alpha1.Migrate, source *v1alpha1.BackupDetails, targets []v1alpha1.RestoreDetails, seen Observation, now time.Time) {
	part := &source.ClusterPart
	if IsTerminal(part.Phase) {
		return
	}
	was, before := *part, progressOf(*part, source.BackupStatusInCluster)
	member, asked := seen.Members[ClusterOf(*part)]
	switch {
	case source.BackupStatusInCluster != nil && (!asked || member.Err != nil):
		setUnreachable(part, member)
	case member.Backup != nil:
		settleVelero(part, seen.Plan)
		source.BackupNameInCluster = Shorten(member.Backup.Name, maxWordLength)
		source.BackupStatusInCluster = boundedBackup(member.Backup.Status)
		part.Phase = velero.BackupPhase(member.Backup.Status.Phase)
		noteVolumes(part, member.Diagnosis)
		moved := progressOf(*part, source.BackupStatusInCluster) != before
		setPart(part, part.Phase, explained(m, *part, backupState(member.Backup, part.VolumeProgress, member.Results), moved, member.Diagnosis))
	case source.BackupStatusInCluster != nil:
		setPart(part, v1alpha1.MigratePhaseFailed, backupDeleted(source))
	default:
		state, ready := sourceReadiness(m, source, targets, seen)
		if ready {
			settleVelero(part, seen.Plan)
			source.BackupNameInCluster = velero.ObjectName(part.ClusterName, m)
		}
		setPending(part, state)
	}
	mentionUnexpected(part, member)
	markTransition(part, was, now)
	markProgress(part, before, progressOf(*part, source.BackupStatusInCluster), now)
}

// observeTarget brings one target's part up to date, given the source's.
func observeTarget(m *v1alpha1.Migrate, target *v1alpha1.RestoreDetails, source *v1alpha1.BackupDetails, seen Observation, now time.Time) {
	part := &target.ClusterPart
	if IsTerminal(part.Phase) {
		return
	}
	was, before := *part, progressOf(*part, target.RestoreStatusInCluster)
	member, asked := seen.Members[ClusterOf(*part)]
	switch {
	case target.RestoreStatusInCluster != nil && (!asked || member.Err != nil):
		setUnreachable(part, member)
	case isRefusedEarly(member):
		target.RestoreNameInCluster, target.RestoreStatusInCluster = "", nil
		state, ready := targetReadiness(m, target, source, seen)
		if ready || state.reason == v1alpha1.ReasonConnecting {
			state = refusedEarly(part.ClusterName, member)
		}
		setPending(part, state)
	case member.Restore != nil:
		settleVelero(part, seen.Plan)
		target.RestoreNameInCluster = Shorten(member.Restore.Name, maxWordLength)
		target.RestoreStatusInCluster = boundedRestore(member.Restore.Status)
		part.Phase = velero.RestorePhase(member.Restore.Status.Phase)
		noteVolumes(part, member.Diagnosis)
		moved := progressOf(*part, target.RestoreStatusInCluster) != before
		setPart(part, part.Phase, explained(m, *part, restoreState(member.Restore, part.VolumeProgress, member.Results), moved, member.Diagnosis))
	case target.RestoreStatusInCluster != nil:
		setPart(part, v1alpha1.MigratePhaseFailed, restoreDeleted(target))
	case source.Phase == v1alpha1.MigratePhaseCompleted && holdsNothing(source.BackupStatusInCluster):
		setPart(part, v1alpha1.MigratePhaseCompleted, nothingToRestore(source))
	case IsTerminal(source.Phase) && source.Phase != v1alpha1.MigratePhaseCompleted:
		setPart(part, v1alpha1.MigratePhaseFailed, nothingRestored(source))
	case asked && member.Err == nil && member.Backup == nil && isExpired(source.BackupStatusInCluster, now):
		setPart(part, v1alpha1.MigratePhaseFailed, backupExpired(source))
	default:
		state, ready := targetReadiness(m, target, source, seen)
		if ready {
			settleVelero(part, seen.Plan)
		}
		setPending(part, state)
	}
	mentionUnexpected(part, member)
	markTransition(part, was, now)
	markProgress(part, before, progressOf(*part, target.RestoreStatusInCluster), now)
}

// overallPhase is the phase of the whole, by the table in the API document.
func overallPhase(status *v1alpha1.MigrateStatus) v1alpha1.MigratePhase {
	source := status.SourceClusterStatus
	switch {
	case source == nil:
		return v1alpha1.MigratePhasePending
	case source.Phase == v1alpha1.MigratePhaseFailedValidation:
		return v1alpha1.MigratePhaseFailedValidation
	case source.Phase == v1alpha1.MigratePhaseFailed, source.Phase == v1alpha1.MigratePhasePartiallyFailed:
		return v1alpha1.MigratePhaseFailed
	case source.Phase == v1alpha1.MigratePhaseCompleted:
		return phaseOfTargets(status.TargetClusterStatus)
	case source.BackupStatusInCluster != nil:
		return v1alpha1.MigratePhaseBackupInProgress
	default:
		return v1alpha1.MigratePhasePending
	}
}

func phaseOfTargets(targets []v1alpha1.RestoreDetails) v1alpha1.MigratePhase {
	count := map[v1alpha1.MigratePhase]int{}
	for _, t := range targets {
		if !IsTerminal(t.Phase) {
			return v1alpha1.MigratePhaseRestoreInProgress
		}
		count[t.Phase]++
	}
	switch {
	case count[v1alpha1.MigratePhaseCompleted] == len(targets):
		return v1alpha1.MigratePhaseCompleted
	case count[v1alpha1.MigratePhaseCompleted]+count[v1alpha1.MigratePhasePartiallyFailed] > 0:
		return v1alpha1.MigratePhasePartiallyFailed
	default:
		return v1alpha1.MigratePhaseFailed
	}
}

// settleVelero notes, once and for all, which Velero of its cluster a part goes on with.
func settleVelero(part *v1alpha1.ClusterPart, plan Plan) {
	if part.VeleroNamespace == "" {
		part.VeleroNamespace = plan.Of(ClusterOf(*part)).VeleroNamespace
	}
}

// setPending says what a part waits for. While a member is only being connected
// to, what was recorded of the part stays: a new leader knows no better.
func setPending(part *v1alpha1.ClusterPart, s state) {
	if s.reason != v1alpha1.ReasonConnecting || part.Reason == "" {
		setPart(part, v1alpha1.MigratePhasePending, s)
	}
}

func setPart(part *v1alpha1.ClusterPart, phase v1alpha1.MigratePhase, s state) {
	part.Phase, part.Reason, part.Message = phase, s.reason, Shorten(s.message, maxMessageLength)
}

// setUnreachable keeps what was recorded of a part whose member can't be asked,
// and says so.
func setUnreachable(part *v1alpha1.ClusterPart, member Member) {
	if member.Err != nil {
		setPart(part, part.Phase, unreachable(part.ClusterName, member))
	}
}

// progress is what counts as a part's progress: when any of it changes, the part
// moves.
type progress struct {
	phase, velero string
	items, total  int
	operations    int
	bytes         int64
}

func progressOf[S velerov1.BackupStatus | velerov1.RestoreStatus](part v1alpha1.ClusterPart, status *S) progress {
	p := progress{phase: string(part.Phase)}
	if v := part.VolumeProgress; v != nil {
		p.bytes = v.BytesDone
	}
	switch s := any(status).(type) {
	case *velerov1.BackupStatus:
		if s == nil {
			return p
		}
		p.noteVelero(string(s.Phase))
		p.operations = s.BackupItemOperationsCompleted + s.BackupItemOperationsFailed
		if s.Progress != nil {
			p.items, p.total = s.Progress.ItemsBackedUp, s.Progress.TotalItems
		}
	case *velerov1.RestoreStatus:
		if s == nil {
			return p
		}
		p.noteVelero(string(s.Phase))
		p.operations = s.RestoreItemOperationsCompleted + s.RestoreItemOperationsFailed
		if s.Progress != nil {
			p.items, p.total = s.Progress.ItemsRestored, s.Progress.TotalItems
		}
	}
	return p
}

// noteVelero notes Velero's phase. That an object is made is no progress before Velero
// takes it up.
func (p *progress) noteVelero(phase string) {
	if phase == "" || phase == "New" {
		p.phase = string(v1alpha1.MigratePhasePending)
		return
	}
	p.velero = phase
}

// markTransition keeps the time since when a part has its phase and reason.
func markTransition(part *v1alpha1.ClusterPart, was v1alpha1.ClusterPart, now time.Time) {
	if part.LastTransitionTime == nil || part.Phase != was.Phase || part.Reason != was.Reason {
		part.LastTransitionTime = &metav1.Time{Time: now.Truncate(time.Second)}
	}
}

// noteVolumes keeps how much of the volumes' data is moved, where it was looked at.
func noteVolumes(part *v1alpha1.ClusterPart, d *Diagnosis) {
	if d != nil && d.Volumes != nil && (part.VolumeProgress == nil || d.Volumes.BytesDone > part.VolumeProgress.BytesDone) {
		part.VolumeProgress = d.Volumes
	}
}

// markProgress keeps the time of a part's last progress. A part that waits for
// others has none: its clock does not run.
func markProgress(part *v1alpha1.ClusterPart, before, after progress, now time.Time) {
	switch {
	case waitsForOthers(part.Reason):
		part.LastProgressTime = nil
	case part.LastProgressTime == nil || before != after:
		part.LastProgressTime = &metav1.Time{Time: now.Truncate(time.Second)}
	}
}

func waitsForOthers(reason string) bool {
	return slices.Contains([]string{v1alpha1.ReasonWaitingForBackup, v1alpha1.ReasonBackupQueued, v1alpha1.ReasonRestoreQueued}, reason)
}
