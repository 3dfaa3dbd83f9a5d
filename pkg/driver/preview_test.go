// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// previewed returns the findings of a preview of the Migrate of the world, as CLUSTER REASON, and its status. The
// Migrate itself stays as it is.
func (w *world) previewed() (findings []string, status *v1alpha1.MigratePreviewStatus) {
	w.t.Helper()
	m := w.migrate()
	before := fmt.Sprint(m)
	status, err := w.driver().Preview(w.t.Context(), m)
	if err != nil {
		w.t.Fatal(err)
	}
	if fmt.Sprint(m) != before {
		w.t.Error("the preview has changed the Migrate")
	}
	for _, f := range status.Findings {
		findings = append(findings, strings.TrimSpace(f.ClusterName+" "+f.Reason))
	}
	return findings, status
}

func TestPreview(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.apply(m2)
		var surveyed *migration.SourceSurvey
		w.members[m2].surveyTarget = func(ctx context.Context, of *migration.SourceSurvey, read migration.ObjectReader) (survey migration.TargetSurvey) {
			surveyed = of
			object, err := read(ctx, of.Selected[0].Resource, of.Selected[0].Objects[0])
			if string(object) != "configmaps app/a" || err != nil {
				t.Errorf("an object of the source is %q, %v", object, err)
			}
			return survey
		}
		findings, status := w.previewed()
		if len(findings) > 0 || status.Verdict != v1alpha1.PreviewReady || status.Source.ItemsTotal != 1 || surveyed == nil {
			t.Errorf("%s: %+v", status.Message, status)
		}
		if creates := slices.Concat(w.members[m1].creates, w.members[m2].creates); len(creates) > 0 {
			t.Errorf("the preview has created %q", creates)
		}
		w.members[m1].runningBackups = []migration.RunningBackup{{Name: "nightly", Phase: "InProgress", Created: time.Now()}}
		if findings, status := w.previewed(); !slices.Equal(findings, []string{"m1 WaitingInQueue"}) || status.Source.RunningBackups != 1 {
			t.Errorf("behind a Backup: %q, %+v", findings, status.Source)
		}
	})
}

// TestPreviewReadsOnlyWhatTheRequesterMayUse denies the use of each cluster.
func TestPreviewReadsOnlyWhatTheRequesterMayUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.apply(m2)
		var surveys atomic.Int32
		w.members[m1].surveySource = func(context.Context, migration.SurveyRequest) (survey migration.SourceSurvey) {
			surveys.Add(1)
			return survey
		}
		w.members[m2].surveyTarget = func(context.Context, *migration.SourceSurvey, migration.ObjectReader) (survey migration.TargetSurvey) {
			surveys.Add(1)
			return survey
		}
		reads := func() int { return w.members[m1].reads + w.members[m2].reads }
		w.deny(m1, m2)
		findings, status := w.previewed()
		if !slices.Equal(findings, []string{"m1 ClusterNotAuthorized", "m2 ClusterNotAuthorized"}) || status.Verdict != v1alpha1.PreviewBlocked {
			t.Errorf("%q, %s", findings, status.Verdict)
		}
		if surveys.Load() > 0 || reads() > 0 {
			t.Error("a cluster was read that the requester may not use")
		}
		w.deny(m1)
		if findings, _ := w.previewed(); findings[0] != "m1 ClusterNotAuthorized" || surveys.Load() > 0 || w.members[m1].reads > 0 {
			t.Errorf("without the source: %q, %d surveys", findings, surveys.Load())
		}
		w.deny(m2)
		if findings, _ := w.previewed(); !slices.Contains(findings, "m2 ClusterNotAuthorized") || surveys.Load() != 1 || w.members[m2].reads > 1 {
			t.Errorf("without the target: %q, %d surveys", findings, surveys.Load())
		}
	})
}

// TestPreviewIsBoundedInTime has clusters that answer nothing, one by one.
func TestPreviewIsBoundedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.apply(m2)
		hang := func(ctx context.Context) migration.ClusterSurvey {
			<-ctx.Done()
			return migration.ClusterSurvey{NotChecked: []migration.NotChecked{{What: "all", Err: context.Cause(ctx)}}}
		}
		w.members[m1].surveySource = func(ctx context.Context, _ migration.SurveyRequest) migration.SourceSurvey {
			return migration.SourceSurvey{ClusterSurvey: hang(ctx)}
		}
		w.members[m2].surveyTarget = func(ctx context.Context, _ *migration.SourceSurvey, _ migration.ObjectReader) migration.TargetSurvey {
			return migration.TargetSurvey{ClusterSurvey: hang(ctx)}
		}
		began := time.Now()
		findings, status := w.previewed()
		if took := time.Since(began); took > 25*time.Second {
			t.Errorf("the preview took %v", took)
		}
		if !slices.Contains(findings, "m1 NotChecked") || !slices.Contains(findings, "m2 NotChecked") {
			t.Errorf("%q", findings)
		}
		if want := "Could not be checked in m1: all: it did not answer within 10s"; status.Findings[0].Message != want {
			t.Errorf("%q", status.Findings[0].Message)
		}
		w.members[m1].surveySource = func(context.Context, migration.SurveyRequest) migration.SourceSurvey { panic("bad answer") }
		if findings, status := w.previewed(); status.Source == nil || status.Source.ItemsTotal != 0 || slices.Contains(findings, "m2 NotChecked") {
			t.Errorf("after a panic: %q, %+v", findings, status.Source)
		}
	})
}
