// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// DefaultProgressDeadline is how long a cluster may make no progress if the spec sets no
// deadline.
const DefaultProgressDeadline = 600 * time.Second

// NextDeadline returns when the status of m changes next without an observation: the next
// progress deadline after now. It returns false if there is none.
func NextDeadline(m *v1alpha1.Migrate, now time.Time) (next time.Time, ok bool) {
	if IsTerminal(m.Status.Phase) {
		return time.Time{}, false
	}
	for _, since := range clocks(m, &m.Status) {
		at := since.at.Add(progressDeadline(m))
		if at.After(now) && (!ok || at.Before(next)) {
			next, ok = at, true
		}
	}
	return next, ok
}

// InitialConditions returns the conditions of a Migrate that was created at the given time and
// for which no cluster was checked yet. Without conditions kstatus would report it as done.
func InitialConditions(generation int64, created metav1.Time) []metav1.Condition {
	const pending = string(v1alpha1.MigratePhasePending)
	const accepted = "The Migrate is accepted; no cluster is checked yet."
	var conditions []metav1.Condition
	for _, c := range []metav1.Condition{
		{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonAccepted, Message: accepted},
		{Type: v1alpha1.ConditionFinished, Status: metav1.ConditionFalse, Reason: pending, Message: accepted},
		{Type: v1alpha1.ConditionReconciling, Status: metav1.ConditionTrue, Reason: pending, Message: accepted},
		{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonProgressing, Message: notStalled},
	} {
		c.ObservedGeneration, c.LastTransitionTime = generation, created
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
	phase := state{string(status.Phase), summary.message}

	set(v1alpha1.ConditionReady, conditionStatus(status.Phase == v1alpha1.MigratePhaseCompleted), summary)
	set(v1alpha1.ConditionFinished, conditionStatus(IsTerminal(status.Phase)), phase)
	value, s := stalled(m, status, summary, now)
	set(v1alpha1.ConditionStalled, value, s)
	// kstatus evaluates Reconciling before Stalled, so only one of them may be True.
	switch {
	case IsTerminal(status.Phase):
		set(v1alpha1.ConditionReconciling, metav1.ConditionFalse, phase)
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
	case hasNoItems(source.BackupStatusInCluster):
		set(v1alpha1.ConditionItemsFound, metav1.ConditionFalse, nothingMatched(source))
	case maybeOnlyNamespaces(m, source.BackupStatusInCluster):
		set(v1alpha1.ConditionItemsFound, metav1.ConditionUnknown, maybeOnlyNamespacesState(source))
	case source.BackupStatusInCluster.Progress != nil:
		set(v1alpha1.ConditionItemsFound, metav1.ConditionTrue, state{v1alpha1.ReasonItemsFound, source.Message})
	}
}

func nothingMatched(source *v1alpha1.BackupDetails) state {
	return state{v1alpha1.ReasonNothingMatched, fmt.Sprintf(
		"Nothing in %s matched the filter, so nothing was migrated. Check spec.policy.resourceFilter and the labels in the source.",
		source.ClusterName)}
}

// summarize returns the reason and the message of the condition Ready: the state of the whole
// migration, with a sentence for each cluster that needs attention.
func summarize(m *v1alpha1.Migrate, status *v1alpha1.MigrateStatus, waiting state) state {
	if waiting != (state{}) {
		return waiting
	}
	source := status.SourceClusterStatus
	switch {
	case source == nil:
		return state{v1alpha1.ReasonConnecting, "No cluster is resolved yet."}
	case source.Phase != v1alpha1.MigratePhaseCompleted:
		return state{source.Reason, clusterMessage(source.ClusterStatus)}
	case hasNoItems(source.BackupStatusInCluster):
		return nothingMatched(source)
	}
	summary := summarizeTargets(status.TargetClusterStatus)
	if status.Phase == v1alpha1.MigratePhaseCompleted && maybeOnlyNamespaces(m, source.BackupStatusInCluster) {
		summary.message += " " + maybeOnlyNamespacesState(source).message
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
			if t.RestoreStatusInCluster == nil || t.RestoreStatusInCluster.Warnings == 0 {
				continue
			}
		} else if reason == "" {
			reason = t.Reason
		}
		messages = append(messages, clusterMessage(t.ClusterStatus))
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
			if !now.Before(since.at.Add(progressDeadline(m))) {
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
	if status.SourceClusterStatus == nil {
		return []clock{{what: "The migration", at: m.CreationTimestamp.Time}}
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

func progressDeadline(m *v1alpha1.Migrate) time.Duration {
	if s := m.Spec.ProgressDeadlineSeconds; s != nil {
		return time.Duration(*s) * time.Second
	}
	return DefaultProgressDeadline
}

// membersReachable returns the status of the condition MembersReachable: whether all clusters
// that are still needed can be read. known is false while one of them was not read yet and no
// other one failed; a recorded condition is then kept.
func membersReachable(status *v1alpha1.MigrateStatus, seen Observation) (value metav1.ConditionStatus, s state, known bool) {
	all := clusterStatuses(status)
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

// clusterStatuses returns pointers to the statuses of all clusters, the source first.
func clusterStatuses(status *v1alpha1.MigrateStatus) []*v1alpha1.ClusterStatus {
	var all []*v1alpha1.ClusterStatus
	if status.SourceClusterStatus != nil {
		all = append(all, &status.SourceClusterStatus.ClusterStatus)
	}
	for i := range status.TargetClusterStatus {
		all = append(all, &status.TargetClusterStatus[i].ClusterStatus)
	}
	return all
}

func conditionStatus(b bool) metav1.ConditionStatus {
	if b {
		return metav1.ConditionTrue
	}
	return metav1.ConditionFalse
}
