// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

const backupName = "m1-migrate-default-app-c948154d"

// retry begins a new attempt.
func (s *fixture) retry(from v1alpha1.RetryBackup) *fixture {
	s.t.Helper()
	status, err := Retry(s.m, from, "joe", s.now)
	if err != nil {
		s.t.Fatal(err)
	}
	s.m.Status = status
	// The driver observes the new attempt with what it knows of the members.
	for _, c := range []Cluster{m1, m2, m3} {
		s.with(c, func(m *Member) {
			objects := s.plan().Of(c).Objects
			var backups []*velerov1.Backup
			var restores []*velerov1.Restore
			if m.Backup != nil {
				backups = append(backups, m.Backup)
			}
			if m.Restore != nil {
				restores = append(restores, m.Restore)
			}
			objects.Pick(m, backups, restores)
			m.Results, m.Diagnosis, m.WriteErr = nil, nil, nil
		})
	}
	return s
}

// halfDone returns a migration whose target m2 is Completed and m3 Failed.
func halfDone(t *testing.T) *fixture {
	s := newFixture(t, m2, m3).restoring()
	s.restore(m2, velerov1.RestorePhaseCompleted).restore(m3, velerov1.RestorePhaseFailed)
	s.wantPhase(v1alpha1.MigratePhasePartiallyFailed)
	return s
}

// TestRetryIsRefused requests attempts that can't begin.
func TestRetryIsRefused(t *testing.T) {
	failed := func(s *fixture) {
		s.started().backup(velerov1.BackupPhaseFailed, 0)
	}
	for name, tt := range map[string]struct {
		begin func(*fixture)
		from  v1alpha1.RetryBackup
		want  string
	}{
		"not begun": {func(*fixture) {}, "", "it has not ended, its phase is Pending"},
		"not ended": {func(s *fixture) { s.restoring() }, v1alpha1.RetryBackupNew, "it has not ended, its phase is RestoreInProgress: wait for its end, or cancel it"},
		"completed": {func(s *fixture) { s.restoring().restore(m2, "Completed") }, v1alpha1.RetryBackupNew, "all its targets are Completed"},
		"items left out": {func(s *fixture) {
			s.restoring().restore(m2, "Completed")
			s.m.Status.Phase = v1alpha1.MigratePhasePartiallyFailed
		}, v1alpha1.RetryBackupNew, "all its targets are Completed"},
		"deleted": {func(s *fixture) {
			failed(s)
			s.m.DeletionTimestamp = &metav1.Time{Time: s.now}
		}, v1alpha1.RetryBackupNew, "it is being deleted"},
		"no Backup":       {func(s *fixture) { s.host.SourceFleet.Found = false; s.cancel(); s.record() }, "", `its last attempt created no Backup; to retry with a new one, set backup to "New"`},
		"a failed Backup": {failed, v1alpha1.RetryBackupExisting, "nothing can be restored from its Backup " + backupName + ", which is Failed; to retry with a new one,"},
		"an expired Backup": {func(s *fixture) {
			s.restoring().restore(m2, "Failed")
			s.m.Status.SourceClusterStatus.BackupStatusInCluster.Expiration = &metav1.Time{Time: s.now.Add(-time.Second)}
		}, "", "its Backup " + backupName + " expired at 2023-10-28T15:55:12Z; to retry"},
		"too many": {func(s *fixture) {
			failed(s)
			s.m.Status.Attempts = []v1alpha1.MigrateAttempt{{Number: maxAttempts}}
		}, v1alpha1.RetryBackupNew, "it has had 20 attempts: create another Migrate"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFixture(t, m2)
			tt.begin(s)
			if _, err := Retry(s.m, tt.from, "joe", s.now); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("error %v, want %s", err, tt.want)
			}
		})
	}
}

// TestRetryFromTheBackup retries the target that failed.
func TestRetryFromTheBackup(t *testing.T) {
	s := halfDone(t)
	before := s.m.Status.DeepCopy()
	s.now = s.now.Add(time.Hour)
	s.cancelAfterEnd()
	s.retry("")
	s.wantPhase(v1alpha1.MigratePhaseRestoreInProgress)
	for _, c := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionFinished, v1alpha1.ConditionStalled} {
		if got := s.condition(c); got.Status != metav1.ConditionFalse || !got.LastTransitionTime.Time.Equal(s.now) {
			t.Errorf("condition %+v", got)
		}
	}
	s.wantCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonRetried)
	s.wantCondition(v1alpha1.ConditionReconciling, metav1.ConditionTrue, "RestoreInProgress")
	want := []v1alpha1.MigrateAttempt{
		{
			Number: 1, StartTime: metav1.NewTime(start), CompletionTime: &metav1.Time{Time: start}, Phase: "PartiallyFailed", BackupName: backupName,
			Message: "1 of 2 targets done. m3: Restore m3-migrate-default-app-c948154d ended Failed. Fix the error and retry the Migrate.",
			Targets: []v1alpha1.AttemptTarget{
				{ClusterName: "m3", ClusterKind: "AttachedCluster", Phase: "Failed", Reason: "RestoreFailed", RestoreName: "m3-migrate-default-app-c948154d"},
				{ClusterName: "m2", ClusterKind: "AttachedCluster", Phase: "Completed", Reason: "RestoreCompleted", RestoreName: "m2-migrate-default-app-c948154d"},
			},
		},
		{Number: 2, StartTime: metav1.NewTime(s.now), Username: "joe"},
	}
	if diff := cmp.Diff(want, s.m.Status.Attempts); diff != "" {
		t.Errorf("attempts (-want +got):\n%s", diff)
	}
	after := s.m.Status
	if after.Cancellation != nil {
		t.Errorf("the new attempt is canceled: %+v", after.Cancellation)
	}
	if diff := cmp.Diff(before.SourceClusterStatus, after.SourceClusterStatus); diff != "" {
		t.Errorf("the source has changed:\n%s", diff)
	}
	if diff := cmp.Diff(before.TargetClusterStatus[0], after.TargetClusterStatus[0]); diff != "" {
		t.Errorf("the Completed target has changed:\n%s", diff)
	}
	if got := after.TargetClusterStatus[1]; got.RestoreNameInCluster != "" || got.Phase != v1alpha1.MigratePhasePending {
		t.Errorf("the failed target is %+v", got)
	}
	requested := s.m.Status
	recorded := s.record()
	if got := Events(&requested, &recorded); got[0] != (Event{"Normal", nil, "Retried", "Attempt 2, requested by joe."}) {
		t.Errorf("the first Event is %+v", got[0])
	}
	if next := s.record(); len(Events(&recorded, &next)) != 0 {
		t.Errorf("more Events: %+v", Events(&recorded, &next))
	}
	s.wantCondition(v1alpha1.ConditionSourceReady, metav1.ConditionTrue, "BackupCompleted")
	actions := s.next()
	if len(actions) != 1 {
		t.Fatalf("%d actions: %+v", len(actions), actions)
	}
	restore := actions[0].(StartRestore)
	if restore.Target != m3 || restore.Restore.Name != "m3-migrate-default-app-c948154d-2" || restore.Restore.Spec.BackupName != backupName || restore.TargetBackup == nil {
		t.Errorf("the action is %+v", restore)
	}
	s.record()
	s.restore(m3, velerov1.RestorePhaseCompleted)
	s.wantPhase(v1alpha1.MigratePhaseCompleted)
	if got := s.m.Status.TargetClusterStatus[1].Message; !strings.HasPrefix(got, "Restore m3-migrate-default-app-c948154d-2 restored 5 items.") {
		t.Errorf("the message is %q", got)
	}
}

// cancelAfterEnd leaves a cancellation that came too late.
func (s *fixture) cancelAfterEnd() {
	s.cancel()
	s.wantPhase(v1alpha1.MigratePhasePartiallyFailed)
}

// TestRetryWithANewBackup retries the target that failed from a new Backup, and fails again.
func TestRetryWithANewBackup(t *testing.T) {
	s := halfDone(t).retry(v1alpha1.RetryBackupNew)
	s.wantPhase(v1alpha1.MigratePhasePending)
	// The clusters stay pinned, whatever joins or leaves the fleet.
	s.host.TargetFleet.Members = []Cluster{m1}
	s.record()
	if got := len(s.m.Status.TargetClusterStatus); got != 2 {
		t.Fatalf("%d targets", got)
	}
	s.host.TargetFleet.Members = []Cluster{m1, m2, m3}
	s.record()
	actions := s.next()
	const newName = backupName + "-2"
	if len(actions) != 1 || actions[0].(CreateBackup).Backup.Name != newName {
		t.Fatalf("the actions are %+v", actions)
	}
	s.record()
	s.backup(velerov1.BackupPhaseCompleted, 5)
	actions = s.next()
	if len(actions) != 1 || actions[0].Cluster() != m3 || actions[0].(StartRestore).Restore.Spec.BackupName != newName {
		t.Fatalf("the actions are %+v", actions)
	}
	s.record()
	s.restore(m3, velerov1.RestorePhaseFailed)
	s.wantPhase(v1alpha1.MigratePhasePartiallyFailed)
	kept := s.m.Status.TargetClusterStatus[0]
	if kept.Phase != v1alpha1.MigratePhaseCompleted || kept.BackupNameInCluster != backupName {
		t.Errorf("the Completed target is %+v", kept)
	}
	// What the Completed target has is of the first Backup, and the source's lists are of the second one.
	request, _ := restoreResults(s.m, s.m.Status.SourceClusterStatus, targetOf(&s.m.Status, m2), s.seen.Members[m2].Restore)
	if got := request.BackedUp.Spec.Target.Name; got != backupName || request.WithoutInfo != nil || len(request.Earlier) != 0 {
		t.Errorf("the results of the Completed target are read with %+v", request)
	}
	if got := s.plan().Of(m2).Objects.Backup; got != backupName {
		t.Errorf("the Backup of the Completed target is %s", got)
	}
	s.retry("")
	if got := s.m.Status.Attempts[1]; got.BackupName != newName || len(got.Targets) != 1 || got.Targets[0].RestoreName != "m3-migrate-default-app-c948154d-2" {
		t.Errorf("the second attempt is %+v", got)
	}
	s.record()
	s.next()
	s.record()
	s.restore(m3, velerov1.RestorePhaseCompleted)
	s.wantPhase(v1alpha1.MigratePhaseCompleted)
	// Of the earlier Restores, only the second one is of the same Backup.
	request, _ = restoreResults(s.m, s.m.Status.SourceClusterStatus, targetOf(&s.m.Status, m3), s.seen.Members[m3].Restore)
	if len(request.Earlier) != 1 || request.Earlier[0].Restore != "m3-migrate-default-app-c948154d-2" || request.Restore != "m3-migrate-default-app-c948154d-3" {
		t.Errorf("the results are read with %+v", request)
	}
}

// TestRetryResolvesTheClustersAgain retries a migration that was canceled before its clusters were pinned.
func TestRetryResolvesTheClustersAgain(t *testing.T) {
	s := newFixture(t)
	s.with(m1, func(m *Member) { m.Locations = nil })
	s.record()
	s.cancel()
	s.record()
	s.wantPhase(v1alpha1.MigratePhaseCanceled)
	s.retry(v1alpha1.RetryBackupNew)
	if s.m.Status.SourceClusterStatus != nil || s.m.Status.Cancellation != nil {
		t.Errorf("the status is %+v", s.m.Status)
	}
	s.now = s.now.Add(time.Hour)
	s.host.TargetFleet.Members = []Cluster{m1, m3}
	s.host.SourceFleet.Found = false
	if s.record(); s.condition(v1alpha1.ConditionStalled).Status != metav1.ConditionTrue {
		t.Error("it is not stalled an hour after the retry")
	}
	s.host.SourceFleet.Found = true
	s.with(m1, func(m *Member) { m.Locations = []velerov1.BackupStorageLocation{bucket("velero")} })
	s.record()
	if got := s.m.Status.TargetClusterStatus; len(got) != 1 || got[0].ClusterName != "m3" {
		t.Errorf("the targets are %+v", got)
	}
	if actions := s.next(); len(actions) != 1 || actions[0].(CreateBackup).Backup.Name != backupName+"-2" {
		t.Errorf("the actions are %+v", actions)
	}
}

// TestRetryWaitsForAnEarlierAttempt retries while objects of the first attempt have not ended, or remain.
func TestRetryWaitsForAnEarlierAttempt(t *testing.T) {
	label := map[string]string{velero.MigrateUIDLabel: "c948154d-1727"}
	backup := func(name string, phase velerov1.BackupPhase) *velerov1.Backup {
		return &velerov1.Backup{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: label}, Status: velerov1.BackupStatus{Phase: phase}}
	}
	restore := func(name string, phase velerov1.RestorePhase) *velerov1.Restore {
		return &velerov1.Restore{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: label}, Status: velerov1.RestoreStatus{Phase: phase}}
	}
	const restoreName = "m2-migrate-default-app-c948154d"
	for name, tt := range map[string]struct {
		backup         *velerov1.Backup
		restore        *velerov1.Restore
		source, target string
	}{
		"the Backup has ended":        {backup(backupName, "Failed"), restore(restoreName, "Completed"), "BackupStarting", "RestoreStarting"},
		"the Backup runs":             {backup(backupName, "InProgress"), nil, "EarlierAttemptRunning", ""},
		"the Restore is new":          {backup(backupName, "Completed"), restore(restoreName, ""), "BackupStarting", "EarlierAttemptRunning"},
		"a Restore of no attempt":     {backup(backupName, "Completed"), restore(restoreName+"-7", "Completed"), "BackupStarting", "UnexpectedObject"},
		"a Restore of the next one":   {backup(backupName, "Completed"), restore(restoreName+"-3", "Completed"), "BackupStarting", "UnexpectedObject"},
		"a Backup of another Migrate": {backup("m1-migrate-default-app-00000000", "InProgress"), nil, "UnexpectedObject", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFixture(t, m2).started().backup(velerov1.BackupPhaseFailed, 0).retry(v1alpha1.RetryBackupNew)
			pick := func(c Cluster, own *velerov1.Backup) {
				s.with(c, func(m *Member) {
					var restores []*velerov1.Restore
					if tt.restore != nil && c == m2 {
						restores = append(restores, tt.restore)
					}
					backups := []*velerov1.Backup{tt.backup}
					if own != nil {
						backups = append(backups, own)
					}
					s.plan().Of(c).Objects.Pick(m, backups, restores)
				})
			}
			pick(m1, nil)
			s.record()
			if got := s.m.Status.SourceClusterStatus; got.Reason != tt.source {
				t.Fatalf("the source is %s: %s", got.Reason, got.Message)
			}
			if tt.target == "" {
				s.wantNoActions()
				return
			}
			s.next()
			pick(m1, s.seen.Members[m1].Backup)
			s.record()
			s.backup(velerov1.BackupPhaseCompleted, 5)
			pick(m2, nil)
			s.record()
			if got := s.m.Status.TargetClusterStatus[0]; got.Reason != tt.target {
				t.Fatalf("the target is %s: %s", got.Reason, got.Message)
			}
			if actions := Next(s.m, s.observed()); (len(actions) == 0) != (tt.target != "RestoreStarting") {
				t.Errorf("the actions are %+v", actions)
			}
		})
	}
}

// TestSuspendedRetry retries a migration that is suspended: it is planned again, or waits with its Restore.
func TestSuspendedRetry(t *testing.T) {
	s := halfDone(t)
	s.m.Spec.Suspend = ptr.To(true)
	s.retry("")
	s.record()
	s.wantCondition(v1alpha1.ConditionSuspended, metav1.ConditionTrue, "Suspended")
	s.wantNoActions()
	if NeedsPreview(s.m) {
		t.Error("it is planned although it has a Backup")
	}
	s = halfDone(t)
	s.m.Spec.Suspend = ptr.To(true)
	s.m.Status.Preview = &v1alpha1.MigratePreviewStatus{Verdict: v1alpha1.PreviewBlocked}
	if s.retry(v1alpha1.RetryBackupNew); s.m.Status.Preview != nil || !NeedsPreview(s.m) {
		t.Error("it is not planned again")
	}
	s.record()
	s.wantNoActions()
	s.m.Spec.Suspend = ptr.To(false)
	s.record()
	if actions := s.next(); len(actions) != 1 {
		t.Errorf("the actions are %+v", actions)
	}
}

// TestAttemptsAreBounded retries as often as possible, with many targets.
func TestAttemptsAreBounded(t *testing.T) {
	s := newFixture(t, m2).started().backup(velerov1.BackupPhaseFailed, 0)
	for i := range 2 * maxAttemptTargets {
		target := v1alpha1.RestoreDetails{ClusterStatus: newClusterStatus(Cluster{KindAttachedCluster, fmt.Sprintf("t%d", i)})}
		if target.Phase = v1alpha1.MigratePhaseCompleted; i%5 == 0 {
			target.Phase = v1alpha1.MigratePhaseFailed
		}
		s.m.Status.TargetClusterStatus = append(s.m.Status.TargetClusterStatus, target)
	}
	for range maxAttempts - 1 {
		s.retry(v1alpha1.RetryBackupNew)
		s.m.Status.Phase = v1alpha1.MigratePhaseFailed
	}
	if got := s.m.Status.Attempts; len(got) != maxAttempts || got[maxAttempts-1].Number != maxAttempts {
		t.Errorf("%d attempts, the last one is %d", len(got), got[len(got)-1].Number)
	}
	ended := s.m.Status.Attempts[0]
	isFailed := func(t v1alpha1.AttemptTarget) bool { return t.Phase == v1alpha1.MigratePhaseFailed }
	if len(ended.Targets) != maxAttemptTargets || ended.TargetsOmitted != maxAttemptTargets+1 || !isFailed(ended.Targets[4]) || isFailed(ended.Targets[5]) {
		t.Errorf("the attempt has %d targets and %d more: %+v", len(ended.Targets), ended.TargetsOmitted, ended.Targets)
	}
}

// TestRetryOfAnIncompleteBackup completes a target from a Backup that lacks items, and another one from a complete Backup.
func TestRetryOfAnIncompleteBackup(t *testing.T) {
	s := newFixture(t, m2, m3).started()
	s.with(m1, func(m *Member) {
		m.Results = &Results{Lists: &Lists{Items: v1alpha1.ItemCounts{Total: 5}}}
		m.Results.LeftOut.Add(velero.ItemResult{Item: velero.Item{Kind: "widgets.example.com"}, Outcome: v1alpha1.ItemLeftOut, Message: "it is young"})
	})
	s.backup("Completed", 5)
	s.next()
	s.record()
	s.restore(m2, "Completed").restore(m3, "Failed")
	s.retry(v1alpha1.RetryBackupNew)
	for range 2 { // the Backup, and the Restore
		s.record()
		s.next()
		s.record()
		s.backup("Completed", 9)
	}
	s.restore(m3, "Completed")
	s.wantPhase("PartiallyFailed")
	s.wantCondition("Ready", "False", "ItemsLeftOut")
	s.wantCondition("ItemsRestored", "False", "ItemsLeftOut")
	if got := s.condition("Ready").Message; !strings.Contains(got, "m2: Restore m2-migrate-default-app-c948154d restored 5 items. It completed with Backup "+backupName+", which lacks items that the filter selects.") {
		t.Errorf("the message is %q", got)
	}
	if _, err := Retry(s.m, "", "joe", s.now); err == nil {
		t.Error("it can be retried although all targets are Completed")
	}
}

// TestRetryOfWhatIsGone retries with a new Backup that holds nothing, or only the namespace: a target has a part of what an earlier
// one held.
func TestRetryOfWhatIsGone(t *testing.T) {
	for _, items := range []int{0, 1} {
		s := halfDone(t).retry(v1alpha1.RetryBackupNew)
		s.record()
		s.next()
		s.record()
		s.with(m1, func(m *Member) { m.Results = &Results{Lists: &Lists{}} })
		s.backup("Completed", items)
		if s.next(); items > 0 {
			s.record()
			s.with(m3, func(m *Member) { m.Results = &Results{Lists: &Lists{}} })
			s.restore(m3, "Completed")
		}
		s.record()
		s.wantPhase("PartiallyFailed")
		s.wantState(s.m.Status.TargetClusterStatus[1].ClusterStatus, "NothingToRestore", "Backup "+backupName+"-2 holds no items, and that of an earlier attempt did. Check whether the application is still in m1.")
		s.wantCondition("ItemsFound", "False", "NothingMatched")
		s.wantCondition("ItemsRestored", "False", "NothingToRestore")
		if got := s.condition("ItemsFound").Message; !strings.HasPrefix(got, "Nothing in m1 matched the filter any more") {
			t.Errorf("the message is %q", got)
		}
	}
}

// TestRetryWhoseBackupFails fails, and a target was Completed before.
func TestRetryWhoseBackupFails(t *testing.T) {
	for _, phase := range []velerov1.BackupPhase{"Failed", "PartiallyFailed", "FailedValidation"} {
		s := halfDone(t).retry(v1alpha1.RetryBackupNew)
		s.record()
		s.next()
		s.record()
		s.backup(phase, 0)
		s.wantPhase("PartiallyFailed")
	}
}

// TestRetryAfterLastingErrors completes all items, and an earlier attempt had an error of a hook.
func TestRetryAfterLastingErrors(t *testing.T) {
	s := halfDone(t).retry("")
	s.record()
	s.next()
	s.record()
	s.with(m3, func(m *Member) {
		m.Results = &Results{Lists: &Lists{Items: v1alpha1.ItemCounts{Total: 5, Unchanged: 5}}, EarlierErrors: []string{"hook load failed"}}
	})
	s.restore(m3, "Completed")
	s.wantPhase("PartiallyFailed")
	s.wantState(s.m.Status.TargetClusterStatus[1].ClusterStatus, "EarlierAttemptFailed", "Restore m3-migrate-default-app-c948154d-2 restored 0 items; the cluster had 5 items as in the source or of an earlier attempt. "+
		"An earlier attempt restored what is there, with errors that this one does not mend: hook load failed. Check the application. To restore it anew, delete it in the cluster and retry the Migrate with a new Backup.")
	s.wantCondition("ItemsRestored", "False", "EarlierAttemptFailed")
}

// TestRetryAfterLastingErrorsAndALostLog has an error of a hook, and its own log is missing.
func TestRetryAfterLastingErrorsAndALostLog(t *testing.T) {
	s := halfDone(t).retry("")
	s.record()
	s.next()
	s.record()
	s.with(m3, func(m *Member) {
		m.Restore.Status.Errors = 1
		m.Results = &Results{LogMissing: true, Errors: []string{"error uploading log file to backup storage: x"}, Lists: &Lists{Items: v1alpha1.ItemCounts{Total: 5, Unchanged: 5}}, EarlierErrors: []string{"hook load failed"}}
	})
	s.restore(m3, "PartiallyFailed")
	if got := s.m.Status.TargetClusterStatus[1]; got.Reason != "RestorePartiallyFailed" || !strings.Contains(got.Message, "hook load failed") {
		t.Errorf("the target is %s: %s", got.Reason, got.Message)
	}
	s.wantCondition("ItemsRestored", "False", "RestorePartiallyFailed")
}

// TestRetryOfNamespacesOnly retries a Restore that was rejected, from a Backup that holds only a Namespace.
func TestRetryOfNamespacesOnly(t *testing.T) {
	s := newFixture(t, m2).started()
	s.with(m1, func(m *Member) { m.Results = &Results{Lists: &Lists{}} })
	s.backup("Completed", 1)
	s.next()
	s.record()
	s.restore(m2, "FailedValidation")
	s.retry("")
	s.record()
	s.next()
	s.record()
	s.with(m2, func(m *Member) { m.Results = &Results{Lists: &Lists{}} })
	s.restore(m2, "Completed")
	s.wantPhase("Completed")
}

// TestRetryWithoutPods leaves the pods out if the data of all volumes has arrived, and pods are not what failed.
func TestRetryWithoutPods(t *testing.T) {
	pod := func(outcome v1alpha1.ItemOutcome) []v1alpha1.ItemResult {
		return []v1alpha1.ItemResult{{Resource: "Pod", Name: "one", Outcome: outcome}}
	}
	for name, tt := range map[string]struct {
		change func(*v1alpha1.RestoreDetails)
		from   v1alpha1.RetryBackup
		want   bool
	}{
		"all moved":        {func(*v1alpha1.RestoreDetails) {}, "", true},
		"a new Backup":     {func(*v1alpha1.RestoreDetails) {}, v1alpha1.RetryBackupNew, false},
		"one not moved":    {func(t *v1alpha1.RestoreDetails) { t.Volumes.Moved = 1 }, "", false},
		"no volumes":       {func(t *v1alpha1.RestoreDetails) { t.Volumes = &v1alpha1.VolumeCounts{} }, "", false},
		"unknown":          {func(t *v1alpha1.RestoreDetails) { t.Volumes = nil }, "", false},
		"a pod failed":     {func(t *v1alpha1.RestoreDetails) { t.Exceptions = pod(v1alpha1.ItemFailed) }, "", false},
		"a pod was kept":   {func(t *v1alpha1.RestoreDetails) { t.Exceptions = pod(v1alpha1.ItemKept) }, "", true},
		"too many to know": {func(t *v1alpha1.RestoreDetails) { t.ExceptionsOmitted = 1 }, "", false},
		"without them, and a claim has lost its data": {func(t *v1alpha1.RestoreDetails) {
			t.WithoutPods, t.Volumes.Moved, t.Exceptions = true, 1, []v1alpha1.ItemResult{{Resource: "PersistentVolumeClaim", Outcome: v1alpha1.ItemWithoutData}}
		}, "", false},
		"without them, and a pod is gone": {func(t *v1alpha1.RestoreDetails) {
			t.WithoutPods, t.Volumes.Moved, t.Exceptions = true, 1, append(pod(v1alpha1.ItemLeftOut), pod(v1alpha1.ItemWithoutData)...)
		}, "", true},
		"without them, and nothing is known": {func(t *v1alpha1.RestoreDetails) { t.WithoutPods, t.Volumes = true, nil }, "", true},
		"with many exceptions":               {func(t *v1alpha1.RestoreDetails) { t.WithoutPods, t.ExceptionsOmitted = true, 1 }, "", false},
	} {
		s := halfDone(t)
		target := &s.m.Status.TargetClusterStatus[1]
		target.Volumes = &v1alpha1.VolumeCounts{Total: 2, Moved: 2}
		tt.change(target)
		s.retry(tt.from)
		if got := s.m.Status.TargetClusterStatus[1].WithoutPods; got != tt.want {
			t.Errorf("%s: without pods %t", name, got)
		}
	}
}

// TestRetryTakesItsTurnByItsOwnTime queues a retry behind the Backups that were created before it.
func TestRetryTakesItsTurnByItsOwnTime(t *testing.T) {
	s := newFixture(t, m2).started().backup(velerov1.BackupPhaseFailed, 0)
	s.now = s.now.Add(time.Hour)
	s.retry(v1alpha1.RetryBackupNew).record()
	if _, ticket, inQueue := TicketOf(s.m, s.observed()); !inQueue || !ticket.Created.Equal(s.now) {
		t.Errorf("the ticket is %+v", ticket)
	}
}
