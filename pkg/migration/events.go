// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// Event is what a person is told of one step, as a Kubernetes Event on the
// Migrate.
type Event struct {
	// Type is Normal or Warning.
	Type string
	// Cluster is the cluster whose part took the step; nil if it is the whole.
	Cluster *Cluster
	// Reason and Message are those of the part, or of the condition Ready.
	Reason, Message string
}

// Events are the steps that lead from one recorded status to the next: every
// part that has a new phase or reason, and the end of the whole.
func Events(before, after *v1alpha1.MigrateStatus) []Event {
	var events []Event
	old := partsOf(before)
	for _, part := range partsOf(after) {
		cluster := ClusterOf(*part)
		i := slices.IndexFunc(old, func(p *v1alpha1.ClusterPart) bool { return ClusterOf(*p) == cluster })
		if part.Reason == "" || i >= 0 && old[i].Phase == part.Phase && old[i].Reason == part.Reason {
			continue
		}
		events = append(events, Event{eventType(part.Phase, part.Reason), &cluster, part.Reason, part.Message})
	}
	if story := readyCondition(after); story != nil && isNewStory(before, after) {
		events = append(events, Event{eventType(after.Phase, story.reason), nil, storyReason(after, *story), story.message})
	}
	return events
}

// isNewStory says whether the whole has something to say that no part says: its
// end, or what it waits for while it has no parts.
func isNewStory(before, after *v1alpha1.MigrateStatus) bool {
	if IsTerminal(after.Phase) {
		return !IsTerminal(before.Phase)
	}
	if after.SourceClusterStatus != nil {
		return false
	}
	was, is := readyCondition(before), readyCondition(after)
	return was == nil || was.reason != is.reason
}

func storyReason(after *v1alpha1.MigrateStatus, story state) string {
	if IsTerminal(after.Phase) {
		return string(after.Phase)
	}
	return story.reason
}

func readyCondition(status *v1alpha1.MigrateStatus) *state {
	for _, c := range status.Conditions {
		if c.Type == v1alpha1.ConditionReady {
			return &state{c.Reason, c.Message}
		}
	}
	return nil
}

// normalReasons are those of a part that goes as it should.
var normalReasons = []string{
	v1alpha1.ReasonConnecting, v1alpha1.ReasonBackupStarting, v1alpha1.ReasonBackupQueued, v1alpha1.ReasonWaitingForBackup,
	v1alpha1.ReasonWaitingForBackupSync, v1alpha1.ReasonRestoreStarting, v1alpha1.ReasonRestoreQueued, v1alpha1.ReasonNothingToRestore,
	v1alpha1.ReasonBackupNew, v1alpha1.ReasonBackupReadyToStart, v1alpha1.ReasonBackupInProgress, v1alpha1.ReasonBackupWaitingForPluginOperations, v1alpha1.ReasonBackupFinalizing, v1alpha1.ReasonBackupCompleted,
	v1alpha1.ReasonRestoreNew, v1alpha1.ReasonRestoreInProgress, v1alpha1.ReasonRestoreWaitingForPluginOperations, v1alpha1.ReasonRestoreFinalizing, v1alpha1.ReasonRestoreCompleted,
	string(v1alpha1.MigratePhaseCompleted),
}

func eventType(phase v1alpha1.MigratePhase, reason string) string {
	if phase != v1alpha1.MigratePhaseFailed && slices.Contains(normalReasons, reason) {
		return corev1.EventTypeNormal
	}
	return corev1.EventTypeWarning
}
