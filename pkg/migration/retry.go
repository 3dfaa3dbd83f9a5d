// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

const (
	// maxAttempts is the largest number of attempts of a Migrate, each of which leaves objects in the members, and
	// maxAttemptTargets how many targets of each a status has.
	maxAttempts, maxAttemptTargets = 20, 10
)

// Retry returns the status of m at the start of a new attempt, for the targets that are not Completed. The error is why
// there can be none, and what to do instead.
func Retry(m *v1alpha1.Migrate, from v1alpha1.RetryBackup, username string, now time.Time) (v1alpha1.MigrateStatus, error) {
	if err := isRetryable(m, from, now); err != nil {
		return v1alpha1.MigrateStatus{}, err
	}
	next := *m.DeepCopy()
	status := &next.Status
	status.Attempts = append(endedAttempts(m), v1alpha1.MigrateAttempt{
		Number: m.Status.Attempt() + 1, StartTime: metav1.NewTime(now.Truncate(time.Second)), Username: Shorten(username, maxTokenLength),
	})
	switch {
	case !IsPinned(status):
		status.SourceClusterStatus, status.TargetClusterStatus, status.Preview = nil, nil, nil
	case from == v1alpha1.RetryBackupNew:
		renewBackup(&next)
	}
	for i := range status.TargetClusterStatus {
		if target := &status.TargetClusterStatus[i]; target.Phase != v1alpha1.MigratePhaseCompleted {
			again := v1alpha1.RestoreDetails{ClusterStatus: newClusterStatus(ClusterOf(target.ClusterStatus))}
			if from != v1alpha1.RetryBackupNew {
				again.WithoutPods, again.StorageProof = needsNoPods(target), target.StorageProof
			}
			*target = again
		}
	}
	status.Cancellation, status.ObservedGeneration = nil, m.Generation
	status.Phase = overallPhase(status)
	setProgress(status)
	status.Conditions = initialConditions(status.Phase, m.Generation, metav1.NewTime(now.Truncate(time.Second)), retried(status))
	return *status, nil
}

// isRetryable returns why there can be no new attempt.
func isRetryable(m *v1alpha1.Migrate, from v1alpha1.RetryBackup, now time.Time) error {
	source := m.Status.SourceClusterStatus
	const remedy = `; to retry with a new one, set backup to "New" in the MigrateRetryOptions`
	switch {
	case m.DeletionTimestamp != nil:
		return errors.New("it is being deleted")
	case !IsTerminal(m.Status.Phase):
		return fmt.Errorf("it has not ended, its phase is %s: wait for its end, or cancel it", cmp.Or(m.Status.Phase, v1alpha1.MigratePhasePending))
	case m.Status.Phase == v1alpha1.MigratePhaseCompleted, source != nil && !slices.ContainsFunc(m.Status.TargetClusterStatus, func(t v1alpha1.RestoreDetails) bool { return !isCompleted(t) }):
		return errors.New("all its targets are Completed, so there is nothing to retry: to migrate again, create another Migrate")
	case IsImported(m):
		return errors.New("Kurator ran it, and its Backup is not one of this server: create another Migrate")
	case m.Status.Attempt() >= maxAttempts:
		return fmt.Errorf("it has had %d attempts: create another Migrate", maxAttempts)
	case from == v1alpha1.RetryBackupNew:
		return nil
	case source == nil || source.BackupStatusInCluster == nil:
		return errors.New("its last attempt created no Backup" + remedy)
	case source.Phase != v1alpha1.MigratePhaseCompleted:
		return fmt.Errorf("nothing can be restored from its Backup %s, which is %s%s", source.BackupNameInCluster, source.Phase, remedy)
	case isExpired(source.BackupStatusInCluster, now):
		return fmt.Errorf("its Backup %s expired at %s%s", source.BackupNameInCluster, clockTime(source.BackupStatusInCluster.Expiration.Time), remedy)
	}
	return nil
}

// endedAttempts returns the attempts of m, which has ended, with the end of the last one.
func endedAttempts(m *v1alpha1.Migrate) []v1alpha1.MigrateAttempt {
	attempts := m.Status.DeepCopy().Attempts
	if len(attempts) == 0 {
		attempts = []v1alpha1.MigrateAttempt{{Number: 1, StartTime: m.CreationTimestamp}}
		if r := m.Spec.Requester; r != nil {
			attempts[0].Username = Shorten(r.Username, maxTokenLength)
		}
	}
	last := &attempts[len(attempts)-1]
	last.Phase = m.Status.Phase
	if c := meta.FindStatusCondition(m.Status.Conditions, v1alpha1.ConditionFinished); c != nil {
		last.CompletionTime, last.Message = c.LastTransitionTime.DeepCopy(), Shorten(c.Message, maxErrorLength)
	}
	if source := m.Status.SourceClusterStatus; source != nil && source.BackupStatusInCluster != nil {
		last.BackupName = source.BackupNameInCluster
	}
	for _, t := range m.Status.TargetClusterStatus {
		if slices.Contains(earlierNames(t.ClusterName, m), t.RestoreNameInCluster) {
			continue // it was Completed before
		}
		target := v1alpha1.AttemptTarget{ClusterName: t.ClusterName, ClusterKind: t.ClusterKind, Phase: t.Phase, Reason: t.Reason}
		if t.RestoreStatusInCluster != nil {
			target.RestoreName = t.RestoreNameInCluster
		}
		last.Targets = append(last.Targets, target)
	}
	slices.SortStableFunc(last.Targets, func(a, b v1alpha1.AttemptTarget) int {
		return boolToInt(a.Phase == v1alpha1.MigratePhaseCompleted) - boolToInt(b.Phase == v1alpha1.MigratePhaseCompleted)
	})
	if more := len(last.Targets) - maxAttemptTargets; more > 0 {
		last.Targets, last.TargetsOmitted = last.Targets[:maxAttemptTargets], int64(more)
	}
	return attempts
}

// needsNoPods reports whether the next Restore in a target leaves the pods out, because the data of all volumes has arrived: Velero
// would restore the pods that were replaced since, and write the data again, or wait for hours until it can. Pods are in it if
// they are among what has not arrived, and again if a claim has lost its data.
func needsNoPods(target *v1alpha1.RestoreDetails) bool {
	has := func(is func(v1alpha1.ItemResult) bool) bool { return slices.ContainsFunc(target.Exceptions, is) }
	switch v := target.Volumes; {
	case v == nil:
		return target.WithoutPods // it has not restored anything, or that is not known
	case target.WithoutPods:
		return target.ExceptionsOmitted == 0 && !has(func(x v1alpha1.ItemResult) bool {
			return x.Outcome == v1alpha1.ItemWithoutData && x.Resource != kindPod
		})
	default:
		return v.Total > 0 && v.Moved == v.Total && target.ExceptionsOmitted == 0 &&
			!has(func(x v1alpha1.ItemResult) bool { return x.Resource == kindPod && x.Outcome != v1alpha1.ItemKept })
	}
}

const kindPod = "Pod"

// hadItems reports whether an earlier attempt of m has created a Restore from another Backup than that of source.
func hadItems(m *v1alpha1.Migrate, source *v1alpha1.BackupDetails) bool {
	return slices.ContainsFunc(m.Status.Attempts, func(a v1alpha1.MigrateAttempt) bool {
		return a.BackupName != "" && a.BackupName != source.BackupNameInCluster &&
			slices.ContainsFunc(a.Targets, func(t v1alpha1.AttemptTarget) bool { return t.RestoreName != "" })
	})
}

// renewBackup resets the source, in which a new Backup is created. The clusters stay pinned.
func renewBackup(m *v1alpha1.Migrate) {
	status := &m.Status
	source := status.SourceClusterStatus
	for i := range status.TargetClusterStatus {
		if target := &status.TargetClusterStatus[i]; target.BackupNameInCluster == "" {
			target.BackupNameInCluster, target.BackupReason = source.BackupNameInCluster, source.Reason
		}
	}
	status.SourceClusterStatus = &v1alpha1.BackupDetails{
		ClusterStatus: newClusterStatus(ClusterOf(source.ClusterStatus)), BackupNameInCluster: velero.ObjectName(source.ClusterName, m),
	}
	status.Preview = nil
}

// retried returns the state of a migration at the start of its current attempt, which is not the first one.
func retried(status *v1alpha1.MigrateStatus) state {
	attempt := status.Attempts[len(status.Attempts)-1]
	return state{v1alpha1.ReasonRetried, fmt.Sprintf("Attempt %d, requested by %s.", attempt.Number, attempt.Username)}
}

// StartTime returns when the current attempt of m was requested.
func StartTime(m *v1alpha1.Migrate) time.Time {
	if n := len(m.Status.Attempts); n > 0 {
		return m.Status.Attempts[n-1].StartTime.Time
	}
	return m.CreationTimestamp.Time
}

// earlierNames returns the names that the Backup or Restore of m in a cluster had in earlier attempts, the first one first.
func earlierNames(cluster string, m *v1alpha1.Migrate) (names []string) {
	for attempt := range m.Status.Attempt() - 1 {
		names = append(names, velero.ObjectNameOf(cluster, m, attempt+1))
	}
	return names
}
