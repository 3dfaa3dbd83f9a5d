// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

func (s *fixture) cancel() {
	s.m.Status.Cancellation = &v1alpha1.Cancellation{Time: metav1.NewTime(s.now), Username: "jane"}
}

// pinned lets the driver record the name of the Backup, so that it may have been created.
func (s *fixture) pinned() *fixture {
	s.record()
	if s.m.Status.SourceClusterStatus.BackupNameInCluster == "" {
		s.t.Fatal("the Backup has no name")
	}
	return s
}

func TestCancel(t *testing.T) {
	for name, tt := range map[string]struct {
		// begin brings the migration to where it is canceled, and then changes what is observed.
		begin func(*fixture)
		then  func(*fixture)
		// after is the time after the cancellation.
		after time.Duration
		phase v1alpha1.MigratePhase
		// source and target are the phase and the reason of the two clusters, and message is a part of the Ready condition's.
		source, target string
		message        string
	}{
		"clusters not resolved": {
			begin: func(s *fixture) { s.host.SourceFleet.Found = false; s.record() },
			phase: "Canceled", message: "Canceled by jane before it had started.",
		},
		"nothing written": {
			begin: func(s *fixture) { s.seen.Members[m1] = Member{Err: errDown, Since: s.now}; s.record() },
			phase: "Canceled", source: "Canceled Canceled", target: "Canceled Canceled", message: "Canceled by jane before a Backup was created in m1.",
		},
		"a write may be under way": {
			begin: func(s *fixture) { s.pinned() }, after: cancelGrace - time.Second,
			phase: "Pending", source: "Pending Canceling", target: "Pending Canceling",
		},
		"a short deadline does not shorten the wait": {
			begin: func(s *fixture) { s.m.Spec.ProgressDeadlineSeconds = ptr.To(int32(1)); s.pinned() }, after: cancelGrace - time.Second,
			phase: "Pending", source: "Pending Canceling", target: "Pending Canceling",
		},
		"no write was under way": {
			begin: func(s *fixture) { s.pinned() }, after: cancelGrace,
			phase: "Canceled", source: "Canceled Canceled", target: "Canceled Canceled",
		},
		"not read since a restart": {
			begin: func(s *fixture) { s.pinned() }, then: func(s *fixture) { delete(s.seen.Members, m1) }, after: time.Hour,
			phase: "Pending", source: "Pending Canceling", target: "Pending Canceling",
		},
		"unreachable for a while": {
			begin: func(s *fixture) { s.pinned() },
			then:  func(s *fixture) { s.with(m1, func(m *Member) { m.Err, m.Since = errDown, s.now.Add(-time.Minute) }) },
			after: time.Hour, phase: "Pending", source: "Pending Canceling", target: "Pending Canceling",
		},
		"unreachable until the deadline": {
			begin: func(s *fixture) { s.pinned() },
			then:  func(s *fixture) { s.with(m1, func(m *Member) { m.Err, m.Since = errDown, s.now.Add(-time.Hour) }) },
			after: time.Hour, phase: "Canceled", source: "Canceled Canceled", target: "Canceled Canceled", message: "It could not be checked whether a Backup was created",
		},
		"unreachable after the cancellation": {
			begin: func(s *fixture) { s.pinned() },
			then:  func(s *fixture) { s.with(m1, func(m *Member) { m.Err, m.Since = errDown, s.now.Add(-time.Minute) }) },
			after: DefaultProgressDeadline, phase: "Pending", source: "Pending Canceling", target: "Pending Canceling", message: "Reading m1 has failed since",
		},
		"permission not checked since a restart": {
			begin: func(s *fixture) { s.pinned() }, then: func(s *fixture) { s.access[m1] = Access{}; delete(s.seen.Members, m1) }, after: time.Hour,
			phase: "Pending", source: "Pending Canceling", target: "Pending Canceling",
		},
		"permission can't be checked": {
			begin: func(s *fixture) { s.pinned() }, then: func(s *fixture) { s.access[m1] = Access{Err: errDown}; delete(s.seen.Members, m1) }, after: time.Hour,
			phase: "Pending", source: "Pending Canceling", target: "Pending Canceling",
		},
		"host not reachable": {
			begin: func(s *fixture) { s.pinned() }, then: func(s *fixture) { s.host.Err = errDown; delete(s.seen.Members, m1) }, after: time.Hour,
			phase: "Pending", source: "Pending Canceling", target: "Pending Canceling",
		},
		"target not ready while the Backup runs": {
			begin: func(s *fixture) { s.started() }, after: time.Hour,
			then: func(s *fixture) {
				s.backup("InProgress", 3)
				s.with(m2, func(m *Member) { m.Err, m.Since = errDown, s.now.Add(-time.Hour) })
			},
			phase: "BackupInProgress", source: "BackupInProgress BackupInProgress", target: "Pending Canceling", message: "what Velero has begun goes on to its end.",
		},
		"a Restore was refused": {
			begin: func(s *fixture) { s.restoring(); s.refuse(m2); s.record() }, after: cancelGrace,
			phase: "Canceled", source: "Completed BackupCompleted", target: "Canceled Canceled", message: "Velero in m2 had rejected Restore m2-migrate-",
		},
		"no longer permitted": {
			begin: func(s *fixture) { s.pinned() },
			then:  func(s *fixture) { s.access[m1] = Access{Denial: "no"}; delete(s.seen.Members, m1) },
			after: time.Hour, phase: "Canceled", source: "Canceled Canceled", target: "Canceled Canceled", message: "It could not be checked",
		},
		"the Backup had begun": {
			begin: func(s *fixture) { s.started() }, after: time.Hour,
			phase: "BackupInProgress", source: "BackupInProgress BackupNew", target: "Pending Canceling", message: "Canceled by jane; what Velero has begun goes on to its end.",
		},
		"the Backup was created, and not recorded": {
			begin: func(s *fixture) { s.pinned(); s.next() }, after: time.Hour,
			phase: "BackupInProgress", source: "BackupInProgress BackupNew", target: "Pending Canceling",
		},
		"the Backup ends": {
			begin: func(s *fixture) { s.started() }, then: func(s *fixture) { s.backup("Completed", 3) },
			phase: "Canceled", source: "Completed BackupCompleted", target: "Canceled Canceled", message: "Canceled by jane before a Restore was created in m2.",
		},
		"the Backup fails": {
			begin: func(s *fixture) { s.started() }, then: func(s *fixture) { s.backup("Failed", 3) },
			phase: "Failed", source: "Failed BackupFailed", target: "Failed BackupFailed",
		},
		"a Restore may be under way": {
			begin: func(s *fixture) { s.started().backup("Completed", 3).record() }, after: time.Second,
			phase: "RestoreInProgress", source: "Completed BackupCompleted", target: "Pending Canceling",
		},
		"no Restore was under way": {
			begin: func(s *fixture) { s.started().backup("Completed", 3).record() }, after: cancelGrace,
			phase: "Canceled", source: "Completed BackupCompleted", target: "Canceled Canceled",
		},
		"the Restore had begun": {
			begin: func(s *fixture) { s.restoring() }, then: func(s *fixture) { s.restore(m2, "Completed") }, after: time.Hour,
			phase: "Completed", source: "Completed BackupCompleted", target: "Completed RestoreCompleted",
		},
		"suspended too": {
			begin: func(s *fixture) { s.suspend(true); s.record() },
			phase: "Canceled", source: "Canceled Canceled", target: "Canceled Canceled",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFixture(t, m2)
			tt.begin(s)
			s.cancel()
			s.now = s.now.Add(tt.after)
			if tt.then != nil {
				tt.then(s)
			}
			status := s.record()
			is := func(cs v1alpha1.ClusterStatus) string { return string(cs.Phase) + " " + cs.Reason }
			source, target := "", ""
			if status.SourceClusterStatus != nil {
				source, target = is(status.SourceClusterStatus.ClusterStatus), is(status.TargetClusterStatus[0].ClusterStatus)
			}
			if status.Phase != tt.phase || source != tt.source || target != tt.target {
				t.Errorf("%s, source %s, target %s", status.Phase, source, target)
			}
			ready := s.condition(v1alpha1.ConditionReady)
			if !strings.Contains(ready.Message, tt.message) || status.Phase == "Canceled" && ready.Reason != "Canceled" {
				t.Errorf("condition Ready: %s: %s", ready.Reason, ready.Message)
			}
			s.wantNoActions()
			if next, ok := NextDeadline(s.m, s.now); ok == IsTerminal(status.Phase) || next.After(s.now.Add(cancelGrace)) {
				t.Errorf("the next deadline is %v, %v", next, ok)
			}
			if stalled := s.condition(v1alpha1.ConditionStalled); !IsTerminal(tt.phase) && stalled.Status != "False" && !strings.HasPrefix(stalled.Message, "m1 has made no progress since 2023-10-28T15:55:13Z: Backup") {
				t.Errorf("condition Stalled: %+v", stalled)
			}
		})
	}
}
