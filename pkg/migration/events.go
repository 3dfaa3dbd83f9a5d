// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// Event is a Kubernetes Event about a transition of a Migrate.
type Event struct {
	// Type is Normal or Warning.
	Type string
	// Cluster is the cluster that the Event is about; nil if it is about the whole Migrate.
	Cluster *Cluster
	// Reason and Message are those of the cluster's status, or of the condition Ready.
	Reason, Message string
}

// Events returns the Events for the change of a recorded status from before to after: one for
// a new attempt, of which before is the start, one for each cluster with a new phase or reason,
// except for a reason that is only a step of Velero, and one for the end of the migration.
func Events(before, after *v1alpha1.MigrateStatus) []Event {
	var events []Event
	if was := readyCondition(before); was != nil && was.reason == v1alpha1.ReasonRetried {
		events = append(events, Event{corev1.EventTypeNormal, nil, was.reason, was.message})
	}
	for _, cs := range ClusterStatuses(after) {
		cluster := ClusterOf(*cs)
		was := StatusIn(before, cluster)
		if isStep(cs) || was != nil && was.Phase == cs.Phase && was.Reason == cs.Reason {
			continue
		}
		events = append(events, Event{eventType(cs.Phase, cs.Reason), &cluster, cs.Reason, cs.Message})
	}
	if summary := readyCondition(after); summary != nil && isNewSummary(before, after) {
		events = append(events, Event{eventType(after.Phase, summary.reason), nil, summaryReason(after, *summary), summary.message})
	}
	return events
}

// isNewSummary reports whether the Migrate itself gets an Event: at its end, and for a new reason
// while its clusters are not resolved.
func isNewSummary(before, after *v1alpha1.MigrateStatus) bool {
	if IsTerminal(after.Phase) {
		return !IsTerminal(before.Phase)
	}
	if after.SourceClusterStatus != nil {
		return false
	}
	was, is := readyCondition(before), readyCondition(after)
	return was == nil || was.reason != is.reason
}

func summaryReason(after *v1alpha1.MigrateStatus, summary state) string {
	if IsTerminal(after.Phase) {
		return string(after.Phase)
	}
	return summary.reason
}

func readyCondition(status *v1alpha1.MigrateStatus) *state {
	for _, c := range status.Conditions {
		if c.Type == v1alpha1.ConditionReady {
			return &state{c.Reason, c.Message}
		}
	}
	return nil
}

// stepReasons are the reasons of a migration that proceeds. The status shows them; an Event would
// tell a person nothing.
var stepReasons = []string{
	v1alpha1.ReasonConnecting, v1alpha1.ReasonCanceling, v1alpha1.ReasonWaitingForBackup, v1alpha1.ReasonReadingResults,
	v1alpha1.ReasonBackupNew, v1alpha1.ReasonBackupReadyToStart, v1alpha1.ReasonBackupInProgress,
	v1alpha1.ReasonBackupWaitingForPluginOperations, v1alpha1.ReasonBackupFinalizing,
	v1alpha1.ReasonRestoreNew, v1alpha1.ReasonRestoreInProgress,
	v1alpha1.ReasonRestoreWaitingForPluginOperations, v1alpha1.ReasonRestoreFinalizing,
}

// normalReasons are the reasons of Events of type Normal.
var normalReasons = []string{
	v1alpha1.ReasonWaitingInQueue, v1alpha1.ReasonBackupStarting, v1alpha1.ReasonBackupQueued, v1alpha1.ReasonBackupCompleted,
	v1alpha1.ReasonWaitingForBackupSync, v1alpha1.ReasonWaitingForWorkloads, v1alpha1.ReasonRestoreStarting, v1alpha1.ReasonRestoreQueued,
	v1alpha1.ReasonRestoreRefusedEarly, v1alpha1.ReasonRestoreCompleted, v1alpha1.ReasonNothingToRestore,
	v1alpha1.ReasonBeingDeleted, v1alpha1.ReasonSuspended, v1alpha1.ReasonCanceled, string(v1alpha1.MigratePhaseCompleted),
}

// isStep reports whether a cluster does nothing that is worth an Event.
func isStep(cs *v1alpha1.ClusterStatus) bool {
	return cs.Reason == "" || slices.Contains(stepReasons, cs.Reason)
}

// isWarning reports whether what a cluster does is worth an Event of type Warning.
func isWarning(cs *v1alpha1.ClusterStatus) bool {
	return !isStep(cs) && eventType(cs.Phase, cs.Reason) == corev1.EventTypeWarning
}

func eventType(phase v1alpha1.MigratePhase, reason string) string {
	if phase != v1alpha1.MigratePhaseFailed && slices.Contains(normalReasons, reason) {
		return corev1.EventTypeNormal
	}
	return corev1.EventTypeWarning
}
