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

	"k8s.io/apiserver/pkg/authorization/authorizer"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/member"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/permission"
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
		w.members[m2].surveyTarget = func(ctx context.Context, of *migration.SourceSurvey, read member.ObjectReader) (survey migration.TargetSurvey) {
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
		w.members[m2].surveyTarget = func(context.Context, *migration.SourceSurvey, member.ObjectReader) (survey migration.TargetSurvey) {
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
		w.members[m2].surveyTarget = func(ctx context.Context, _ *migration.SourceSurvey, _ member.ObjectReader) migration.TargetSurvey {
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
		if findings, status := w.previewed(); status.Source == nil || status.Source.ItemsTotal != 0 || !slices.Contains(findings, "m1 NotChecked") || slices.Contains(findings, "m2 NotChecked") {
			t.Errorf("after a panic: %q, %+v", findings, status.Source)
		}
	})
}

// slowHost is a host and an authorizer that answer when their context ends.
type slowHost struct{ *world }

func (s slowHost) Read(ctx context.Context, n string, spec *v1alpha1.MigrateSpec) migration.Inventory {
	<-ctx.Done()
	return s.world.Read(ctx, n, spec)
}

func (s slowHost) Authorize(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	<-ctx.Done()
	return s.world.Authorize(ctx, a)
}

// TestPreviewOfASlowHostIsBoundedInTime has a host that answers late as well.
func TestPreviewOfASlowHostIsBoundedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.apply(m2)
		wait := func(ctx context.Context) { <-ctx.Done() }
		w.members[m1].surveySource = func(ctx context.Context, _ migration.SurveyRequest) (survey migration.SourceSurvey) {
			wait(ctx)
			return survey
		}
		w.members[m2].surveyTarget = func(ctx context.Context, _ *migration.SourceSurvey, _ member.ObjectReader) (survey migration.TargetSurvey) {
			wait(ctx)
			return survey
		}
		config := w.driver().Config
		config.Host, config.Permission = slowHost{w}, permission.New(slowHost{w}, permission.Options{})
		began := time.Now()
		if _, err := newPreview(t.Context(), config, &sharings{}, w.migrate(), true); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 25*time.Second {
			t.Errorf("the preview took %v", took)
		}
	})
}

// TestWarnings returns no information, and nothing that only says that there was no time.
func TestWarnings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.apply(m2)
		d := w.driver()
		w.deny(m2)
		if got := d.Warnings(t.Context(), w.migrate()); len(got) != 2 || got[1].Reason != v1alpha1.ReasonClusterNotAuthorized {
			t.Errorf("%+v", got)
		}
		w.deny()
		w.members[m1].surveySource = func(ctx context.Context, request migration.SurveyRequest) migration.SourceSurvey {
			if request.ServerStatus != nil {
				t.Error("a dry run creates a ServerStatusRequest")
			}
			<-ctx.Done()
			return migration.SourceSurvey{ClusterSurvey: migration.ClusterSurvey{NotChecked: []migration.NotChecked{{What: "all", Err: ctx.Err()}}}}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if got := d.Warnings(ctx, w.migrate()); len(got) > 0 {
			t.Errorf("without time: %+v", got)
		}
	})
}

// TestPreviewWithMemberReviews reads no more than the requester may read in a member.
func TestPreviewWithMemberReviews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.options.ReviewMembers = true
		w.apply(m2)
		var asked []bool
		w.members[m1].surveySource = func(_ context.Context, request migration.SurveyRequest) (survey migration.SourceSurvey) {
			asked = append(asked, request.OnlySelected)
			return survey
		}
		findings, _ := w.previewed()
		if !slices.Contains(findings, "m2 NotChecked") || !slices.Equal(asked, []bool{true}) {
			t.Errorf("%q, %v", findings, asked)
		}
		reviews := w.members[m2].reviews
		if len(reviews) != 2 || !slices.Equal(reviews[0].Verbs, []string{"create"}) || !slices.Equal(reviews[1].Verbs, []string{"get", "list"}) {
			t.Errorf("reviews %+v", reviews)
		}
	})
}

// TestSuspended creates a suspended Migrate, which is planned and then resumed, and suspends it during the Backup.
func TestSuspended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.members[m1].backupRunning = true
		stop := w.drive()
		defer stop()
		w.suspended = true
		w.apply(m2)
		time.Sleep(time.Minute) // a preview is recorded as progress is
		m := w.migrate()
		if source := m.Status.SourceClusterStatus; source == nil {
			t.Fatalf("%+v", m)
		} else if source.Reason != v1alpha1.ReasonSuspended || m.Status.Preview == nil || m.Status.Preview.Verdict != v1alpha1.PreviewReady {
			t.Errorf("the source is %s, the preview %+v", source.Reason, m.Status.Preview)
		}
		if creates := w.members[m1].creates; len(creates) > 0 {
			t.Errorf("created %q", creates)
		}
		made := m.Status.Preview.Time
		time.Sleep(time.Hour + time.Minute)
		if again := w.migrate().Status.Preview.Time; !made.Before(again) {
			t.Errorf("the preview of %v was not made again: %v", made, again)
		}
		w.setSuspended(false)
		time.Sleep(processingTime)
		w.wantPhase("BackupInProgress")
		w.setSuspended(true)
		w.endBackup(backupName)
		time.Sleep(time.Minute)
		w.wantPhase("RestoreInProgress")
		w.wantTarget(v1alpha1.ReasonSuspended, "")
		if creates := w.members[m2].creates; len(creates) > 0 {
			t.Errorf("created %q", creates)
		}
		w.setSuspended(false)
		time.Sleep(time.Minute)
		if creates := w.members[m2].creates; !slices.Contains(creates, "restores "+restoreName) {
			t.Errorf("created %q", creates)
		}
	})
}

func TestPreviewInterval(t *testing.T) {
	ready := &v1alpha1.MigratePreviewStatus{Verdict: v1alpha1.PreviewReady}
	blocked := &v1alpha1.MigratePreviewStatus{Verdict: v1alpha1.PreviewBlocked}
	notChecked := &v1alpha1.MigratePreviewStatus{Verdict: v1alpha1.PreviewReadyWithWarnings, Findings: []v1alpha1.PreviewFinding{{Reason: v1alpha1.ReasonNotChecked}}}
	for _, tt := range []struct {
		last      *v1alpha1.MigratePreviewStatus
		age, want time.Duration
	}{
		{ready, time.Second, time.Hour},
		{nil, time.Second, time.Minute},
		{blocked, 9 * time.Minute, time.Minute},
		{notChecked, 10 * time.Minute, 10 * time.Minute},
		{blocked, 119 * time.Minute, 10 * time.Minute},
		{blocked, 24 * time.Hour, time.Hour},
	} {
		if got := previewInterval(tt.last, tt.age); got != tt.want {
			t.Errorf("%+v after %v: %v, want %v", tt.last, tt.age, got, tt.want)
		}
	}
}
