// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// DefaultProgressDeadline is how long a cluster may make no progress if the spec sets no
// deadline.
const DefaultProgressDeadline = 600 * time.Second

// NextDeadline returns when the status of m changes next without an observation: the next
// progress deadline after now, or the next time at which a cancellation may be certain. It returns false if there is none.
func NextDeadline(m *v1alpha1.Migrate, now time.Time) (next time.Time, ok bool) {
	if IsTerminal(m.Status.Phase) {
		return time.Time{}, false
	}
	var deadlines []time.Time
	for _, since := range clocks(m, &m.Status) {
		deadlines = append(deadlines, since.at.Add(ProgressDeadline(m)))
	}
	if c := m.Status.Cancellation; c != nil {
		deadlines = append(deadlines, c.Time.Add(cancelGrace), now.Add(cancelGrace))
	}
	for _, at := range deadlines {
		if at.After(now) && (!ok || at.Before(next)) {
			next, ok = at, true
		}
	}
	return next, ok
}

// InitialConditions returns the conditions of a Migrate that was created at the given time and
// for which no cluster was checked yet. Without conditions kstatus would report it as done.
func InitialConditions(generation int64, created metav1.Time) []metav1.Condition {
	return initialConditions(v1alpha1.MigratePhasePending, generation, created,
		state{v1alpha1.ReasonAccepted, "The Migrate is accepted; no cluster is checked yet."})
}

// initialConditions returns the conditions at the start of an attempt, with the phase and the state of the migration.
func initialConditions(phase v1alpha1.MigratePhase, generation int64, at metav1.Time, s state) []metav1.Condition {
	var conditions []metav1.Condition
	for _, c := range []metav1.Condition{
		{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: s.reason, Message: s.message},
		{Type: v1alpha1.ConditionFinished, Status: metav1.ConditionFalse, Reason: string(phase), Message: s.message},
		{Type: v1alpha1.ConditionReconciling, Status: metav1.ConditionTrue, Reason: string(phase), Message: s.message},
		{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonProgressing, Message: notStalled},
	} {
		c.ObservedGeneration, c.LastTransitionTime = generation, at
		conditions = append(conditions, c)
	}
	return conditions
}

// notStalled is the message of the condition Stalled while it is False.
const notStalled = "No cluster is past its progress deadline."

// setConditions sets all conditions of status, whose phase and clusters must be up to date. The
// condition ItemsFound is set once the Backup is complete.
func setConditions(m *v1alpha1.Migrate, status *v1alpha1.MigrateStatus, seen Observation, now time.Time) {
	set := func(kind string, value metav1.ConditionStatus, s state) {
		meta.SetStatusCondition(&status.Conditions, metav1.Condition{
			Type: kind, Status: value, Reason: s.reason, Message: Shorten(s.message, maxMessageLength),
			ObservedGeneration: m.Generation, LastTransitionTime: metav1.NewTime(now.Truncate(time.Second)),
		})
	}
	summary := summarize(m, status, seen.Plan.waiting)
	switch c := status.Cancellation; {
	case status.Phase == v1alpha1.MigratePhaseCanceled:
		summary.reason = v1alpha1.ReasonCanceled
	case c != nil && !IsTerminal(status.Phase):
		summary.message = fmt.Sprintf("Canceled by %s; what Velero has begun goes on to its end. %s", c.Username, summary.message)
	}
	phase := state{string(status.Phase), summary.message}

	set(v1alpha1.ConditionReady, conditionStatus(status.Phase == v1alpha1.MigratePhaseCompleted), summary)
	set(v1alpha1.ConditionFinished, conditionStatus(IsTerminal(status.Phase)), phase)
	switch before := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionSuspended); {
	case isSuspended(m) && !IsTerminal(status.Phase):
		set(v1alpha1.ConditionSuspended, metav1.ConditionTrue, planned(m, status))
	case before != nil && before.Status == metav1.ConditionTrue && isSuspended(m):
		set(v1alpha1.ConditionSuspended, metav1.ConditionFalse, state{string(status.Phase), "The migration has ended."})
	case before != nil && before.Status == metav1.ConditionTrue:
		set(v1alpha1.ConditionSuspended, metav1.ConditionFalse, state{v1alpha1.ReasonResumed, "The migration is not suspended."})
	}
	value, s := stalled(m, status, summary, now)
	set(v1alpha1.ConditionStalled, value, s)
	// kstatus evaluates Reconciling before Stalled, so only one of them may be True.
	switch {
	case IsTerminal(status.Phase):
		set(v1alpha1.ConditionReconciling, metav1.ConditionFalse, phase)
	case isPlanned(m, status):
		set(v1alpha1.ConditionReconciling, metav1.ConditionFalse, suspended())
	case value == metav1.ConditionTrue:
		set(v1alpha1.ConditionReconciling, metav1.ConditionFalse, s)
	default:
		set(v1alpha1.ConditionReconciling, metav1.ConditionTrue, phase)
	}
	if value, s, known := membersReachable(status, seen); known || meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionMembersReachable) == nil {
		set(v1alpha1.ConditionMembersReachable, value, s)
	}
	source := status.SourceClusterStatus
	if source == nil {
		set(v1alpha1.ConditionSourceReady, metav1.ConditionFalse, summary)
		return
	}
	done := source.Phase == v1alpha1.MigratePhaseCompleted
	set(v1alpha1.ConditionSourceReady, conditionStatus(done), state{source.Reason, source.Message})
	if !done {
		return
	}
	switch {
	case hasNoItems(source.BackupStatusInCluster), hasOnlyNamespaces(m, source):
		set(v1alpha1.ConditionItemsFound, metav1.ConditionFalse, nothingMatched(m, source))
	case source.Items == nil:
		set(v1alpha1.ConditionItemsFound, metav1.ConditionUnknown, state{v1alpha1.ReasonResultsUnavailable, source.Message})
	default:
		set(v1alpha1.ConditionItemsFound, metav1.ConditionTrue, state{v1alpha1.ReasonItemsFound, source.Message})
	}
	if value, s, known := arrived(m, status.TargetClusterStatus, itemsRestored); known {
		if value != metav1.ConditionFalse && source.Reason == v1alpha1.ReasonItemsLeftOut {
			value, s = metav1.ConditionFalse, state{source.Reason, clusterMessage(source.ClusterStatus)}
		}
		set(v1alpha1.ConditionItemsRestored, value, s)
	}
	if value, s, known := arrived(m, status.TargetClusterStatus, volumesMoved); known {
		set(v1alpha1.ConditionVolumesMoved, value, s)
	}
	if value, s, known := arrived(m, status.TargetClusterStatus, workloadsReady); known && m.Spec.WaitForWorkloads != nil {
		set(v1alpha1.ConditionWorkloadsReady, value, s)
	}
}

// arrived combines what is reports of each ended target, in the order False, Unknown, True. It is not
// known while a target has not ended, unless it is False already.
func arrived(
	m *v1alpha1.Migrate, targets []v1alpha1.RestoreDetails, is func(*v1alpha1.Migrate, *v1alpha1.RestoreDetails) (metav1.ConditionStatus, state),
) (value metav1.ConditionStatus, s state, known bool) {
	found := map[metav1.ConditionStatus]state{}
	ended := true
	for i := range targets {
		if !IsTerminal(targets[i].Phase) {
			ended = false
			continue
		}
		value, s := is(m, &targets[i])
		if before, ok := found[value]; ok && value != metav1.ConditionTrue {
			s = state{before.reason, before.message + " " + s.message}
		}
		found[value] = s
	}
	for _, value := range []metav1.ConditionStatus{metav1.ConditionFalse, metav1.ConditionUnknown, metav1.ConditionTrue} {
		if s, ok := found[value]; ok {
			return value, s, ended || value == metav1.ConditionFalse
		}
	}
	return "", state{}, false
}

// itemsRestored reports whether all items are in an ended target as they are in the source.
func itemsRestored(m *v1alpha1.Migrate, target *v1alpha1.RestoreDetails) (metav1.ConditionStatus, state) {
	if value, s, ok := withoutLists(target); ok {
		return value, s
	}
	if target.BackupReason == v1alpha1.ReasonItemsLeftOut {
		return metav1.ConditionFalse, state{target.BackupReason, clusterMessage(target.ClusterStatus) + earlierBackup(target)}
	}
	exceptions := int64(len(target.Exceptions)) + target.ExceptionsOmitted - (target.Volumes.Total - target.Volumes.Moved)
	if allowsExistingItems(m) {
		exceptions -= target.Items.Kept
	}
	// Velero may report an error that belongs to no item of the list.
	hasErrors := target.RestoreStatusInCluster.Phase == velerov1.RestorePhasePartiallyFailed && target.Reason != v1alpha1.ReasonRestoreLogNotUploaded
	failed := []string{v1alpha1.ReasonEarlierAttemptFailed, v1alpha1.ReasonNothingToRestore}
	if exceptions > 0 || hasErrors || slices.Contains(failed, target.Reason) {
		return metav1.ConditionFalse, state{target.Reason, clusterMessage(target.ClusterStatus)}
	}
	return metav1.ConditionTrue, state{v1alpha1.ReasonAllItemsRestored, "Every target has every item of its Backup."}
}

// earlierBackup tells that the Backup of a target, of an earlier attempt, lacks items; empty if it does not.
func earlierBackup(target *v1alpha1.RestoreDetails) string {
	if target.BackupReason != v1alpha1.ReasonItemsLeftOut {
		return ""
	}
	return fmt.Sprintf(" It completed with Backup %s, which lacks items that the filter selects.", target.BackupNameInCluster)
}

// volumesMoved reports whether the data of all volumes is in an ended target.
func volumesMoved(m *v1alpha1.Migrate, target *v1alpha1.RestoreDetails) (metav1.ConditionStatus, state) {
	if value, s, ok := withoutLists(target); ok {
		return value, s
	}
	switch v := target.Volumes; {
	case v.Total == 0:
		return metav1.ConditionTrue, state{v1alpha1.ReasonNoVolumes, "The Backup has no volumes."}
	case v.Moved < v.Total && velero.MovesNoVolumeData(m):
		return metav1.ConditionFalse, state{v1alpha1.ReasonDataNotRequested, "spec.policy.volumes.data is None, so the claims are empty."}
	case v.Moved < v.Total:
		return metav1.ConditionFalse, state{v1alpha1.ReasonVolumesWithoutData, clusterMessage(target.ClusterStatus)}
	}
	return metav1.ConditionTrue, state{v1alpha1.ReasonAllVolumesMoved, "Every target has the data of every volume of its Backup."}
}

// withoutLists returns the status of both conditions for an ended target without lists. It returns
// false if the target has lists.
func withoutLists(target *v1alpha1.RestoreDetails) (metav1.ConditionStatus, state, bool) {
	restore := target.RestoreStatusInCluster
	switch {
	case target.Items != nil && target.Volumes != nil:
		return "", state{}, false
	case target.Phase == v1alpha1.MigratePhaseCompleted:
		return metav1.ConditionTrue, state{target.Reason, target.Message}, true
	case restore != nil && (restore.Phase == velerov1.RestorePhaseCompleted || restore.Phase == velerov1.RestorePhasePartiallyFailed):
		return metav1.ConditionUnknown, state{v1alpha1.ReasonResultsUnavailable, clusterMessage(target.ClusterStatus)}, true
	}
	return metav1.ConditionFalse, state{target.Reason, clusterMessage(target.ClusterStatus)}, true
}

func nothingMatched(m *v1alpha1.Migrate, source *v1alpha1.BackupDetails) state {
	message := fmt.Sprintf("Nothing in %s matched the filter, so nothing was migrated. Check spec.policy.resourceFilter and the labels in the source.", source.ClusterName)
	if hadItems(m, source) {
		message = fmt.Sprintf("Nothing in %s matched the filter any more, so nothing was migrated in this attempt. Check the labels in the source.", source.ClusterName)
	}
	if len(source.Exceptions) > 0 {
		message += " " + clusterMessage(source.ClusterStatus)
	}
	return state{v1alpha1.ReasonNothingMatched, message}
}

// summarize returns the reason and the message of the condition Ready: the state of the whole
// migration, with a sentence for each cluster that needs attention.
func summarize(m *v1alpha1.Migrate, status *v1alpha1.MigrateStatus, waiting state) state {
	if waiting != (state{}) && status.Cancellation == nil {
		return waiting
	}
	source := status.SourceClusterStatus
	switch {
	case source == nil && status.Cancellation != nil:
		return state{v1alpha1.ReasonCanceled, fmt.Sprintf("Canceled by %s before it had started.", status.Cancellation.Username)}
	case source == nil:
		return state{v1alpha1.ReasonConnecting, "No cluster is resolved yet."}
	case source.Phase != v1alpha1.MigratePhaseCompleted:
		return state{source.Reason, clusterMessage(source.ClusterStatus)}
	case hasNoItems(source.BackupStatusInCluster), hasOnlyNamespaces(m, source) && IsTerminal(status.Phase):
		return nothingMatched(m, source)
	}
	summary := summarizeTargets(status.TargetClusterStatus)
	if len(source.Exceptions) > 0 {
		summary.message += " " + clusterMessage(source.ClusterStatus)
	}
	if status.Phase == v1alpha1.MigratePhasePartiallyFailed && summary.reason == string(v1alpha1.MigratePhaseCompleted) {
		summary.reason = v1alpha1.ReasonItemsLeftOut
	}
	return summary
}

// summarizeTargets counts the completed targets and adds the message of each that is not
// completed or has warnings.
func summarizeTargets(targets []v1alpha1.RestoreDetails) state {
	var reason string
	var messages []string
	done := 0
	for _, t := range targets {
		if t.Phase == v1alpha1.MigratePhaseCompleted {
			done++
			if len(t.Exceptions) == 0 && (t.RestoreStatusInCluster == nil || t.RestoreStatusInCluster.Warnings == 0) && earlierBackup(&t) == "" {
				continue
			}
		} else if reason == "" {
			reason = t.Reason
		}
		messages = append(messages, clusterMessage(t.ClusterStatus)+earlierBackup(&t))
	}
	summary := fmt.Sprintf("%d of %s done.", done, count(len(targets), "target"))
	return state{
		cmp.Or(reason, string(v1alpha1.MigratePhaseCompleted)),
		strings.Join(append([]string{summary}, messages...), " "),
	}
}

// clusterMessage returns the message of a cluster with its name and, unless its phase is final,
// the time since when it is in this state.
func clusterMessage(cs v1alpha1.ClusterStatus) string {
	if IsTerminal(cs.Phase) || cs.LastTransitionTime == nil {
		return cs.ClusterName + ": " + cs.Message
	}
	return fmt.Sprintf("%s, since %s: %s", cs.ClusterName, clockTime(cs.LastTransitionTime.Time), cs.Message)
}

// stalled returns the condition Stalled: True if the migration failed, or if a cluster is past
// its progress deadline.
func stalled(m *v1alpha1.Migrate, status *v1alpha1.MigrateStatus, summary state, now time.Time) (metav1.ConditionStatus, state) {
	if status.Phase != v1alpha1.MigratePhaseCompleted && IsTerminal(status.Phase) {
		return metav1.ConditionTrue, state{string(status.Phase), summary.message}
	}
	var late []string
	if !IsTerminal(status.Phase) {
		for _, since := range clocks(m, status) {
			if !now.Before(since.at.Add(ProgressDeadline(m))) {
				late = append(late, fmt.Sprintf("%s has made no progress since %s: %s",
					since.what, clockTime(since.at), cmp.Or(since.why, summary.message)))
			}
		}
	}
	if len(late) > 0 {
		return metav1.ConditionTrue, state{v1alpha1.ReasonProgressDeadlineExceeded, strings.Join(late, " ")}
	}
	return metav1.ConditionFalse, state{v1alpha1.ReasonProgressing, notStalled}
}

// clock is the last progress of a cluster, or of the Migrate.
type clock struct {
	// what is the subject of the message and why the message of the cluster.
	what, why string
	at        time.Time
}

// clocks returns the running progress clocks: one for each cluster that is not finished and does
// not wait for another one, or that of the Migrate while its clusters are not resolved.
func clocks(m *v1alpha1.Migrate, status *v1alpha1.MigrateStatus) []clock {
	if isPlanned(m, status) {
		return nil
	}
	if status.SourceClusterStatus == nil {
		at := StartTime(m)
		if c := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionSuspended); c != nil && c.LastTransitionTime.After(at) {
			at = c.LastTransitionTime.Time // when it was resumed
		}
		return []clock{{what: "The migration", at: at}}
	}
	var running []clock
	add := func(cs v1alpha1.ClusterStatus) {
		if !IsTerminal(cs.Phase) && cs.LastProgressTime != nil {
			running = append(running, clock{what: cs.ClusterName, why: cs.Message, at: cs.LastProgressTime.Time})
		}
	}
	add(status.SourceClusterStatus.ClusterStatus)
	for _, t := range status.TargetClusterStatus {
		add(t.ClusterStatus)
	}
	return running
}

// ProgressDeadline returns how long a cluster of m may make no progress.
func ProgressDeadline(m *v1alpha1.Migrate) time.Duration {
	if s := m.Spec.ProgressDeadlineSeconds; s != nil {
		return time.Duration(*s) * time.Second
	}
	return DefaultProgressDeadline
}

// membersReachable returns the status of the condition MembersReachable: whether all clusters
// that are still needed can be read. known is false while one of them was not read yet and no
// other one failed; a recorded condition is then kept.
func membersReachable(status *v1alpha1.MigrateStatus, seen Observation) (value metav1.ConditionStatus, s state, known bool) {
	all := ClusterStatuses(status)
	if len(all) == 0 {
		return metav1.ConditionUnknown, state{v1alpha1.ReasonConnecting, "No cluster is resolved yet."}, true
	}
	var down, unknown []string
	for _, cs := range all {
		member, read := seen.Members[ClusterOf(*cs)]
		switch {
		case IsTerminal(cs.Phase):
		case !read:
			unknown = append(unknown, cs.ClusterName)
		case member.Err != nil:
			down = append(down, unreachable(cs.ClusterName, member).message)
		}
	}
	switch {
	case len(down) > 0:
		return metav1.ConditionFalse, state{v1alpha1.ReasonMemberUnreachable, strings.Join(down, " ")}, true
	case len(unknown) > 0:
		return metav1.ConditionUnknown, state{v1alpha1.ReasonConnecting, "Not read yet: " + strings.Join(unknown, ", ") + "."}, false
	}
	return metav1.ConditionTrue, state{v1alpha1.ReasonAllReachable, "Every cluster that is still needed is reachable."}, true
}

// ClusterStatuses returns pointers to the statuses of all clusters, the source first.
func ClusterStatuses(status *v1alpha1.MigrateStatus) []*v1alpha1.ClusterStatus {
	var all []*v1alpha1.ClusterStatus
	if status.SourceClusterStatus != nil {
		all = append(all, &status.SourceClusterStatus.ClusterStatus)
	}
	for i := range status.TargetClusterStatus {
		all = append(all, &status.TargetClusterStatus[i].ClusterStatus)
	}
	return all
}

// StatusIn returns the status of a cluster, nil if there is none.
func StatusIn(status *v1alpha1.MigrateStatus, c Cluster) *v1alpha1.ClusterStatus {
	for _, cs := range ClusterStatuses(status) {
		if ClusterOf(*cs) == c {
			return cs
		}
	}
	return nil
}

func conditionStatus(b bool) metav1.ConditionStatus {
	if b {
		return metav1.ConditionTrue
	}
	return metav1.ConditionFalse
}
