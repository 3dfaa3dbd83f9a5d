// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// DefaultProgressDeadline is how long a part may go without progress where the
// spec does not say.
const DefaultProgressDeadline = 600 * time.Second

// NextDeadline is when m's status changes by time alone: when a part that makes
// no progress is next said to be stalled. Not ok if no clock runs.
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

// InitialConditions returns the conditions of a Migrate that is created at a time, before
// anything was looked at for it: without any, kstatus would take it for one that is done.
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

// notStalled is said while nothing is stalled.
const notStalled = "No cluster is past its progress deadline."

func setConditions(m *v1alpha1.Migrate, status *v1alpha1.MigrateStatus, seen Observation, now time.Time) {
	set := func(kind string, value metav1.ConditionStatus, s state) {
		meta.SetStatusCondition(&status.Conditions, metav1.Condition{
			Type: kind, Status: value, Reason: s.reason, Message: Shorten(s.message, maxMessageLength),
			ObservedGeneration: m.Generation, LastTransitionTime: metav1.NewTime(now.Truncate(time.Second)),
		})
	}
	story := storyOf(m, status, seen.Plan.waiting)
	phase := state{string(status.Phase), story.message}

	set(v1alpha1.ConditionReady, conditionOf(status.Phase == v1alpha1.MigratePhaseCompleted), story)
	set(v1alpha1.ConditionFinished, conditionOf(IsTerminal(status.Phase)), phase)
	value, s := stalled(m, status, story, now)
	set(v1alpha1.ConditionStalled, value, s)
	// kstatus looks at Reconciling first, and so would not see that it is stalled.
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
		set(v1alpha1.ConditionSourceReady, metav1.ConditionFalse, story)
		return
	}
	done := source.Phase == v1alpha1.MigratePhaseCompleted
	set(v1alpha1.ConditionSourceReady, conditionOf(done), state{source.Reason, source.Message})
	if !done {
		return
	}
	switch {
	case holdsNothing(source.BackupStatusInCluster):
		set(v1alpha1.ConditionItemsFound, metav1.ConditionFalse, nothingMatched(source))
	case perhapsNamespacesAlone(m, source.BackupStatusInCluster):
		set(v1alpha1.ConditionItemsFound, metav1.ConditionUnknown, namespacesAlone(source))
	case source.BackupStatusInCluster.Progress != nil:
		set(v1alpha1.ConditionItemsFound, metav1.ConditionTrue, state{v1alpha1.ReasonItemsFound, source.Message})
	}
}

func nothingMatched(source *v1alpha1.BackupDetails) state {
	return state{v1alpha1.ReasonNothingMatched, fmt.Sprintf(
		"Nothing in %s matched the filter, so nothing was migrated. Check spec.policy.resourceFilter and the labels in the source.",
		source.ClusterName)}
}

// storyOf tells in one sentence, or one for each cluster concerned, where the
// migration stands and why.
func storyOf(m *v1alpha1.Migrate, status *v1alpha1.MigrateStatus, waiting state) state {
	if waiting != (state{}) {
		return waiting
	}
	source := status.SourceClusterStatus
	switch {
	case source == nil:
		return state{v1alpha1.ReasonConnecting, "No cluster is resolved yet."}
	case source.Phase != v1alpha1.MigratePhaseCompleted:
		return state{source.Reason, told(source.ClusterPart)}
	case holdsNothing(source.BackupStatusInCluster):
		return nothingMatched(source)
	}
	story := storyOfTargets(status.TargetClusterStatus)
	if status.Phase == v1alpha1.MigratePhaseCompleted && perhapsNamespacesAlone(m, source.BackupStatusInCluster) {
		story.message += " " + namespacesAlone(source).message
	}
	return story
}

// storyOfTargets tells of every target that is not done, or not without
// warnings.
func storyOfTargets(targets []v1alpha1.RestoreDetails) state {
	var reason string
	var parts []string
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
		parts = append(parts, told(t.ClusterPart))
	}
	summary := fmt.Sprintf("%d of %s done.", done, count(len(targets), "target"))
	return state{
		orElse(reason, string(v1alpha1.MigratePhaseCompleted)),
		strings.Join(append([]string{summary}, parts...), " "),
	}
}

// told is what a part says, and since when if it goes on.
func told(part v1alpha1.ClusterPart) string {
	if IsTerminal(part.Phase) || part.LastTransitionTime == nil {
		return part.ClusterName + ": " + part.Message
	}
	return fmt.Sprintf("%s, since %s: %s", part.ClusterName, clockTime(part.LastTransitionTime.Time), part.Message)
}

func stalled(m *v1alpha1.Migrate, status *v1alpha1.MigrateStatus, story state, now time.Time) (metav1.ConditionStatus, state) {
	if status.Phase != v1alpha1.MigratePhaseCompleted && IsTerminal(status.Phase) {
		return metav1.ConditionTrue, state{string(status.Phase), story.message}
	}
	var late []string
	if !IsTerminal(status.Phase) {
		for _, since := range clocks(m, status) {
			if !now.Before(since.at.Add(progressDeadline(m))) {
				late = append(late, fmt.Sprintf("%s has made no progress since %s: %s",
					since.what, clockTime(since.at), orElse(since.why, story.message)))
			}
		}
	}
	if len(late) > 0 {
		return metav1.ConditionTrue, state{v1alpha1.ReasonProgressDeadlineExceeded, strings.Join(late, " ")}
	}
	return metav1.ConditionFalse, state{v1alpha1.ReasonProgressing, notStalled}
}

// clock is the time since when a part has made no progress.
type clock struct {
	what, why string
	at        time.Time
}

// clocks are those that run: of every part that has not ended and waits for
// nobody else, or of the Migrate itself while it has no parts.
func clocks(m *v1alpha1.Migrate, status *v1alpha1.MigrateStatus) []clock {
	if status.SourceClusterStatus == nil {
		return []clock{{what: "The migration", at: m.CreationTimestamp.Time}}
	}
	var running []clock
	add := func(part v1alpha1.ClusterPart) {
		if !IsTerminal(part.Phase) && part.LastProgressTime != nil {
			running = append(running, clock{what: part.ClusterName, why: part.Message, at: part.LastProgressTime.Time})
		}
	}
	add(status.SourceClusterStatus.ClusterPart)
	for _, t := range status.TargetClusterStatus {
		add(t.ClusterPart)
	}
	return running
}

func progressDeadline(m *v1alpha1.Migrate) time.Duration {
	if s := m.Spec.ProgressDeadlineSeconds; s != nil {
		return time.Duration(*s) * time.Second
	}
	return DefaultProgressDeadline
}

// membersReachable says whether every member that is still needed answers; not
// known where one that is needed has not been asked yet.
func membersReachable(status *v1alpha1.MigrateStatus, seen Observation) (value metav1.ConditionStatus, s state, known bool) {
	parts := partsOf(status)
	if len(parts) == 0 {
		return metav1.ConditionUnknown, state{v1alpha1.ReasonConnecting, "No cluster is resolved yet."}, true
	}
	var down, unknown []string
	for _, part := range parts {
		member, asked := seen.Members[ClusterOf(*part)]
		switch {
		case IsTerminal(part.Phase):
		case !asked:
			unknown = append(unknown, part.ClusterName)
		case member.Err != nil:
			down = append(down, unreachable(part.ClusterName, member).message)
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

func partsOf(status *v1alpha1.MigrateStatus) []*v1alpha1.ClusterPart {
	var parts []*v1alpha1.ClusterPart
	if status.SourceClusterStatus != nil {
		parts = append(parts, &status.SourceClusterStatus.ClusterPart)
	}
	for i := range status.TargetClusterStatus {
		parts = append(parts, &status.TargetClusterStatus[i].ClusterPart)
	}
	return parts
}

func conditionOf(b bool) metav1.ConditionStatus {
	if b {
		return metav1.ConditionTrue
	}
	return metav1.ConditionFalse
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
