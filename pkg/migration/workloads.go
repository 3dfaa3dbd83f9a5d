// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"fmt"
	"strings"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// Workloads are the workloads and claims that a Restore has created or changed.
type Workloads struct {
	Counts v1alpha1.WorkloadCounts
	// NotReady describes the first ones that are not ready.
	NotReady []string
	// Err is why they could not be read; nil if they were.
	Err error
}

// WaitsForWorkloads reports whether m waits for the workloads of the Restore in cluster c, whose
// results must be read.
func WaitsForWorkloads(m *v1alpha1.Migrate, c Cluster, seen Member) bool {
	return m.Spec.WaitForWorkloads != nil && seen.Results != nil && !HasEnded(m, c) &&
		seen.Restore != nil && seen.Restore.Status.Phase == velerov1.RestorePhaseCompleted
}

// RestoresOf returns the names of the Restore in cluster c, a target of m, and of those of earlier attempts.
func RestoresOf(m *v1alpha1.Migrate, c Cluster, restore *velerov1.Restore) []string {
	return append([]string{restore.Name}, earlierNames(c.Name, m)...)
}

// awaitWorkloads returns the phase and the state of a target whose Restore is Completed: phase and s,
// once every workload is ready; a later one while the target waits for them; or a failure if they
// were not ready in time. cs is the recorded status of the target.
func awaitWorkloads(
	m *v1alpha1.Migrate, cs *v1alpha1.ClusterStatus, phase v1alpha1.MigratePhase, s state, w *Workloads, now time.Time,
) (v1alpha1.MigratePhase, state) {
	why := "The workloads have not been checked yet."
	switch {
	case w == nil:
	case w.Err != nil:
		why = fmt.Sprintf("Checking the workloads failed: %v.", w.Err)
	default:
		cs.Workloads = &w.Counts
		if w.Counts.Ready == w.Counts.Total {
			return phase, s
		}
		why = fmt.Sprintf("%d of %s ready, not: %s.", w.Counts.Ready, count(w.Counts.Total, "workload"),
			strings.Join(firstOfAll(w.NotReady, w.Counts.Total-w.Counts.Ready), "; "))
	}
	timeout := time.Duration(m.Spec.WaitForWorkloads.TimeoutSeconds) * time.Second
	late := now.Sub(waitsSince(cs, now)) - timeout
	if late < 0 || w == nil && late < checkTimeout {
		return v1alpha1.MigratePhaseRestoreInProgress, state{v1alpha1.ReasonWaitingForWorkloads, "Waiting for workloads. " + why + " " + s.message}
	}
	if phase == v1alpha1.MigratePhaseCompleted {
		phase, s.reason = v1alpha1.MigratePhasePartiallyFailed, v1alpha1.ReasonWorkloadsNotReady
	}
	return phase, state{s.reason, fmt.Sprintf("The workloads were not ready within %s. %s %s", timeout, why, s.message)}
}

// checkTimeout is the time after the timeout in which workloads that were not checked yet may still be.
const checkTimeout = time.Minute

// waitsSince returns when a target began to wait for workloads, by our own clock.
func waitsSince(cs *v1alpha1.ClusterStatus, now time.Time) time.Time {
	if cs.Reason == v1alpha1.ReasonWaitingForWorkloads && cs.LastTransitionTime != nil {
		return cs.LastTransitionTime.Time
	}
	return now
}

// workloadsReady reports whether the workloads of an ended target are ready.
func workloadsReady(_ *v1alpha1.Migrate, target *v1alpha1.RestoreDetails) (metav1.ConditionStatus, state) {
	switch w := target.Workloads; {
	case w != nil && w.Ready == w.Total, w == nil && target.Phase == v1alpha1.MigratePhaseCompleted:
		return metav1.ConditionTrue, state{v1alpha1.ReasonAllWorkloadsReady, "Every restored workload of every target is ready."}
	case w != nil:
		return metav1.ConditionFalse, state{v1alpha1.ReasonWorkloadsNotReady, clusterMessage(target.ClusterStatus)}
	case target.Reason == v1alpha1.ReasonWorkloadsNotReady:
		return metav1.ConditionUnknown, state{target.Reason, clusterMessage(target.ClusterStatus)}
	}
	return metav1.ConditionFalse, state{target.Reason, clusterMessage(target.ClusterStatus)}
}
