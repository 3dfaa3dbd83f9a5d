// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

func (s *fixture) suspend(suspended bool) {
	s.m.Spec.Suspend = &suspended
	s.m.Generation++
}

func TestSuspendedFromTheStart(t *testing.T) {
	s := newFixture(t, m2)
	s.suspend(true)
	s.seen.Preview = &v1alpha1.MigratePreviewStatus{Verdict: v1alpha1.PreviewReadyWithWarnings, Message: "A Migrate would start."}
	status := s.record()
	source := status.SourceClusterStatus
	if status.Phase != "Pending" || source.Reason != "Suspended" || source.LastProgressTime != nil || source.BackupNameInCluster != "" {
		t.Errorf("%s, source %+v", status.Phase, source)
	}
	condition := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionSuspended)
	if want := "Suspended: nothing new is started. To start it, set spec.suspend to false. Plan: ReadyWithWarnings. A Migrate would start."; condition == nil || condition.Message != want || condition.Status != "True" {
		t.Errorf("%+v", condition)
	}
	for kind, want := range map[string]bool{"Ready": false, "Reconciling": false, "Stalled": false, "Finished": false} {
		if meta.IsStatusConditionTrue(status.Conditions, kind) != want {
			t.Errorf("condition %s: %+v", kind, meta.FindStatusCondition(status.Conditions, kind))
		}
	}
	s.now = s.now.Add(24 * time.Hour)
	if status := s.record(); meta.IsStatusConditionTrue(status.Conditions, "Stalled") {
		t.Error("a suspended migration is stalled")
	}
	if !NeedsPreview(s.m) || len(s.next()) > 0 {
		t.Error("something is started")
	}

	s.suspend(false)
	s.seen.Preview = nil
	status = s.record()
	condition = meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionSuspended)
	if condition.Status != "False" || condition.Reason != "Resumed" || status.Preview == nil || !meta.IsStatusConditionTrue(status.Conditions, "Reconciling") {
		t.Errorf("resumed: %+v, preview %v", condition, status.Preview)
	}
	if NeedsPreview(s.m) || len(s.next()) != 1 {
		t.Error("the Backup is not started")
	}
}

// TestSuspendedMigrationIsNeverStalled waits for a day with a target, and then a Fleet, that is not there.
func TestSuspendedMigrationIsNeverStalled(t *testing.T) {
	s := newFixture(t, m2)
	s.suspend(true)
	s.with(m2, func(m *Member) { m.Err, m.Since = errDown, s.now })
	s.record()
	s.now = s.now.Add(24 * time.Hour)
	s.record()
	s.wantCondition(v1alpha1.ConditionStalled, "False", "Progressing")
	s.host.SourceFleet.Found = false
	s.record()
	s.wantCondition(v1alpha1.ConditionStalled, "False", "Progressing")
	s.suspend(false)
	s.record()
	s.wantCondition(v1alpha1.ConditionStalled, "False", "Progressing")
	s.now = s.now.Add(DefaultProgressDeadline)
	s.record()
	s.wantCondition(v1alpha1.ConditionStalled, "True", "ProgressDeadlineExceeded")
}

// TestSuspendedAtTheEnd suspends a migration whose last Restore then ends.
func TestSuspendedAtTheEnd(t *testing.T) {
	s := newFixture(t, m2).restoring()
	s.suspend(true)
	s.record()
	s.wantCondition(v1alpha1.ConditionSuspended, "True", "Suspended")
	if c := s.condition(v1alpha1.ConditionSuspended); strings.Contains(c.Message, "Plan") {
		t.Errorf("a migration that has begun has a plan: %s", c.Message)
	}
	s.restore(m2, "Completed").record()
	s.wantPhase("Completed")
	s.wantCondition(v1alpha1.ConditionSuspended, "False", "Completed")
}

func TestSuspendedDuringTheBackup(t *testing.T) {
	s := newFixture(t, m2).started()
	s.suspend(true)
	s.backup("Completed", 3)
	status := s.record()
	if target := status.TargetClusterStatus[0]; status.SourceClusterStatus.Phase != "Completed" || target.Reason != "Suspended" || len(s.next()) > 0 {
		t.Errorf("%s, target %+v", status.Phase, target)
	}
	if NeedsPreview(s.m) {
		t.Error("a migration that has started needs a preview")
	}
	s.suspend(false)
	s.record()
	if len(s.next()) != 1 {
		t.Error("the Restore is not started")
	}
}

// TestSuspendedMigrationWithALostTargetIsNotStalled loses a target that is not to be written to, during and after the
// Backup.
func TestSuspendedMigrationWithALostTargetIsNotStalled(t *testing.T) {
	s := newFixture(t, m2).started()
	s.suspend(true)
	s.with(m2, func(m *Member) { m.Err, m.Since = errDown, s.now })
	s.backup("InProgress", 3).record()
	s.wantState(s.target(), "Suspended", "Suspended: nothing new is started. To start it, set spec.suspend to false.")
	s.backup("Completed", 3).record()
	s.now = s.now.Add(24 * time.Hour)
	s.record()
	s.wantState(s.target(), "Suspended", "Suspended: nothing new is started. To start it, set spec.suspend to false.")
	s.wantCondition(v1alpha1.ConditionStalled, "False", "Progressing")
	s.suspend(false)
	s.record()
	if s.target().Reason != "MemberUnreachable" {
		t.Errorf("resumed: %+v", s.target())
	}
}

// TestPreviewInAStatusIsShort shortens a preview of 500 targets.
func TestPreviewInAStatusIsShort(t *testing.T) {
	long := &v1alpha1.MigratePreviewStatus{Message: strings.Repeat("m", maxMessageLength), Source: &v1alpha1.SourcePreview{Volumes: &v1alpha1.VolumesPreview{Total: 100}}}
	for i := range 500 {
		long.Findings = append(long.Findings, v1alpha1.PreviewFinding{Message: strings.Repeat("m", maxMessageLength)})
		long.Targets = append(long.Targets, v1alpha1.TargetPreview{})
		long.Source.Resources = append(long.Source.Resources, v1alpha1.ResourceCount{Resource: fmt.Sprint(i)})
		long.Source.Volumes.Items = append(long.Source.Volumes.Items, v1alpha1.VolumePreview{})
	}
	short, err := json.Marshal(shortened(long))
	if err != nil || len(short) > 32<<10 {
		t.Errorf("%d bytes, %v", len(short), err)
	}
	if len(long.Findings) != 500 || len(long.Source.Volumes.Items) != 500 {
		t.Error("the preview itself is shortened")
	}
}
