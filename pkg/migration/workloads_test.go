// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"strings"
	"testing"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// awaiting returns a fixture of a Migrate that waits for workloads for a minute, and whose Restore in
// m2 has completed.
func awaiting(t *testing.T, lists *Lists) *fixture {
	s := newFixture(t, m2)
	s.m.Spec.WaitForWorkloads = &v1alpha1.WaitForWorkloads{TimeoutSeconds: 60}
	s.restoring()
	s.with(m2, func(m *Member) { m.Results = &Results{Lists: lists} })
	return s.restore(m2, velerov1.RestorePhaseCompleted)
}

// workloads records the status some time after the start of the fixture, with the workloads of m2.
func (s *fixture) workloads(after time.Duration, w Workloads) *fixture {
	s.now = start.Add(after)
	s.with(m2, func(m *Member) { m.Workloads = &w })
	s.record()
	return s
}

var (
	arrivedLists = excepting(v1alpha1.ItemCounts{Total: 5, Created: 5}, v1alpha1.VolumeCounts{})
	oneOfTwo     = Workloads{Counts: v1alpha1.WorkloadCounts{Total: 2, Ready: 1}, NotReady: []string{"Deployment app/web (Pod web-1: ImagePullBackOff)"}}
	twoOfTwo     = Workloads{Counts: v1alpha1.WorkloadCounts{Total: 2, Ready: 2}}
)

func TestTargetWaitsForWorkloads(t *testing.T) {
	s := awaiting(t, arrivedLists)
	s.wantPhase("RestoreInProgress")
	s.wantState(s.target(), "WaitingForWorkloads", "Waiting for workloads. The workloads have not been checked yet. Restore "+restoreName+" restored 5 items.")

	s.workloads(30*time.Second, oneOfTwo)
	s.wantPhase("RestoreInProgress")
	s.wantState(s.target(), "WaitingForWorkloads",
		"Waiting for workloads. 1 of 2 workloads ready, not: Deployment app/web (Pod web-1: ImagePullBackOff). Restore "+restoreName+" restored 5 items.")
	s.wantNoActions()
	if s.target().LastProgressTime != nil {
		t.Error("the progress deadline runs while the target waits for workloads")
	}

	// A live read has no results, and does not report less than what is recorded.
	s.with(m2, func(m *Member) { m.Results, m.Workloads = nil, nil })
	if live := LiveStatus(s.m, s.observed(), s.now).TargetClusterStatus[0]; live.Reason != "WaitingForWorkloads" || live.Items == nil {
		t.Errorf("the live status is %+v", live)
	}

	s.with(m2, func(m *Member) { m.Results = &Results{Lists: arrivedLists} })
	s.workloads(59*time.Second, twoOfTwo)
	s.wantPhase("Completed")
	s.wantState(s.target(), "RestoreCompleted", "Restore "+restoreName+" restored 5 items.")
	s.wantCondition("WorkloadsReady", metav1.ConditionTrue, "AllWorkloadsReady")
	if w := s.target().Workloads; *w != twoOfTwo.Counts {
		t.Errorf("workloads %+v", w)
	}
}

func TestWorkloadsThatAreNotReadyInTime(t *testing.T) {
	const late = "The workloads were not ready within 1m0s. "
	kept := excepting(v1alpha1.ItemCounts{Total: 5, Created: 4, Kept: 1}, v1alpha1.VolumeCounts{}, "ConfigMap app/settings Kept")
	for name, tt := range map[string]struct {
		lists                    *Lists
		workloads                Workloads
		reason, message          string
		condition                metav1.ConditionStatus
		conditionReason, restore string
	}{
		"not ready": {
			arrivedLists, oneOfTwo, "WorkloadsNotReady", late + "1 of 2 workloads ready, not: Deployment app/web (Pod web-1: ImagePullBackOff). ",
			metav1.ConditionFalse, "WorkloadsNotReady", "restored 5 items.",
		},
		"unknown": {
			arrivedLists,
			Workloads{Err: errDown},
			"WorkloadsNotReady", late + "Checking the workloads failed: connection refused. ",
			metav1.ConditionUnknown, "WorkloadsNotReady", "restored 5 items.",
		},
		"not ready, and an item kept": {
			kept, oneOfTwo, "ExistingItemsKept", late,
			metav1.ConditionFalse, "WorkloadsNotReady", "restored 4 items. Kept as they are in the cluster: ConfigMap app/settings.",
		},
		"ready, and an item kept": {
			kept, twoOfTwo, "ExistingItemsKept", "Restore ",
			metav1.ConditionTrue, "AllWorkloadsReady", "restored 4 items. Kept as they are in the cluster: ConfigMap app/settings.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := awaiting(t, tt.lists).workloads(60*time.Second, tt.workloads)
			s.wantPhase("PartiallyFailed")
			target := s.target()
			if target.Reason != tt.reason || !strings.HasPrefix(target.Message, tt.message) || !strings.Contains(target.Message, tt.restore) {
				t.Errorf("the target is %s: %q", target.Reason, target.Message)
			}
			s.wantCondition("WorkloadsReady", tt.condition, tt.conditionReason)
		})
	}
}

// TestWorkloadsAreReadyAfterTheTimeout checks them for the first time when the time is over.
func TestWorkloadsAreReadyAfterTheTimeout(t *testing.T) {
	s := awaiting(t, arrivedLists)
	s.now = start.Add(90 * time.Second)
	s.record()
	s.wantPhase("RestoreInProgress")
	s.workloads(time.Hour, twoOfTwo).wantPhase("Completed")
}

// TestTimeOfWorkloadsDoesNotDependOnTheClockOfTheMember has a Restore that ended in the future, or long
// before the target began to wait.
func TestTimeOfWorkloadsDoesNotDependOnTheClockOfTheMember(t *testing.T) {
	for _, ended := range []time.Duration{24 * time.Hour, -time.Hour} {
		s := awaiting(t, arrivedLists)
		s.with(m2, func(m *Member) { m.Restore.Status.CompletionTimestamp = &metav1.Time{Time: start.Add(ended)} })
		s.workloads(time.Second, oneOfTwo).wantPhase("RestoreInProgress")
		s.workloads(59*time.Second, oneOfTwo).wantPhase("RestoreInProgress")
		s.workloads(60*time.Second, oneOfTwo).wantPhase("PartiallyFailed")
	}
}

// TestWorkloadsThatAreNeverChecked ends some time after the timeout.
func TestWorkloadsThatAreNeverChecked(t *testing.T) {
	s := awaiting(t, arrivedLists)
	s.now = start.Add(60*time.Second + checkTimeout - time.Second)
	s.record()
	s.wantPhase("RestoreInProgress")
	s.now = start.Add(60*time.Second + checkTimeout)
	s.record()
	s.wantPhase("PartiallyFailed")
	s.wantCondition("WorkloadsReady", metav1.ConditionUnknown, "WorkloadsNotReady")
}

func TestWaitsForWorkloads(t *testing.T) {
	s := awaiting(t, arrivedLists)
	if !WaitsForWorkloads(s.m, m2, s.seen.Members[m2]) {
		t.Error("a Migrate with waitForWorkloads does not wait")
	}
	for name, change := range map[string]func(*Member){
		"without results":     func(m *Member) { m.Results = nil },
		"of a failed Restore": func(m *Member) { m.Restore = m.Restore.DeepCopy(); m.Restore.Status.Phase = "Failed" },
		"without a Restore":   func(m *Member) { m.Restore = nil },
	} {
		member := s.seen.Members[m2]
		change(&member)
		if WaitsForWorkloads(s.m, m2, member) {
			t.Errorf("a Migrate waits for workloads %s", name)
		}
	}
	s.workloads(time.Second, twoOfTwo)
	if WaitsForWorkloads(s.m, m2, s.seen.Members[m2]) {
		t.Error("a Migrate that has ended waits")
	}
}
