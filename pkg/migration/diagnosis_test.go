// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

const restoreName = "m2-migrate-default-app-c948154d"

// after advances the time by d and records the status with a diagnosis of cluster c.
func (s *fixture) after(d time.Duration, c Cluster, diagnosis *Diagnosis) *fixture {
	s.now = s.now.Add(d)
	s.with(c, func(m *Member) { m.Diagnosis = diagnosis })
	s.record()
	return s
}

func (s *fixture) wantState(cs v1alpha1.ClusterStatus, reason, message string) {
	s.t.Helper()
	if cs.Reason != reason || cs.Message != message {
		s.t.Errorf("the status of %s is\n%s: %q, want\n%s: %q", cs.ClusterName, cs.Reason, cs.Message, reason, message)
	}
}

func (s *fixture) target() v1alpha1.ClusterStatus {
	return s.m.Status.TargetClusterStatus[0].ClusterStatus
}

func TestDiagnosisExplainsMissingProgress(t *testing.T) {
	for _, tt := range []struct {
		name      string
		phase     velerov1.RestorePhase
		diagnosis Diagnosis
		reason    string
		message   string
		clockRuns bool
	}{
		{
			"Velero does not answer", velerov1.RestorePhaseNew,
			Diagnosis{Server: ServerSilent},
			"VeleroNotAnswering",
			"Velero in m2 does not answer a ServerStatusRequest; check whether its server runs. " +
				"Restore m2-migrate-default-app-c948154d is created; waiting for Velero, which processes one Restore at a time.", true,
		},
		{
			"a volume is hindered", velerov1.RestorePhaseInProgress,
			Diagnosis{Server: ServerAnswers, Hindrances: []string{"PodVolumeRestore a: Pod app/db: Unschedulable: no nodes.", "PodVolumeRestore b: node n is not ready"}, Terminating: []string{"app"}},
			"VolumeDataNotMoving",
			"Restore m2-migrate-default-app-c948154d is running. The data of volumes does not move in m2. PodVolumeRestore a: Pod app/db: Unschedulable: no nodes.; PodVolumeRestore b: node n is not ready.", true,
		},
		{
			"Velero does not answer during the Restore", velerov1.RestorePhaseInProgress,
			Diagnosis{Server: ServerSilent, Terminating: []string{"app"}},
			"VeleroNotAnswering",
			"Velero in m2 does not answer a ServerStatusRequest; check whether its server runs. Restore m2-migrate-default-app-c948154d is running.", true,
		},
		{
			"queued", velerov1.RestorePhaseNew,
			Diagnosis{Server: ServerAnswers, Running: "nightly"},
			"RestoreQueued",
			"Restore m2-migrate-default-app-c948154d is created; waiting for Velero, which processes one Restore at a time. " +
				"Velero in m2 is processing Restore nightly.", false,
		},
		{
			"namespace Terminating", velerov1.RestorePhaseInProgress,
			Diagnosis{Server: ServerAnswers, Terminating: []string{"app", "shop"}},
			"NamespaceTerminating",
			"Restore m2-migrate-default-app-c948154d is running. Velero may be waiting for a namespace that is being deleted in m2: app, shop. " +
				"See what blocks the deletion: kubectl get namespace app --output=yaml", true,
		},
		{
			"volumes", velerov1.RestorePhaseInProgress,
			Diagnosis{Server: ServerAnswers, Volumes: &v1alpha1.VolumeProgress{BytesDone: 512, TotalBytes: 3 << 30}},
			"RestoreInProgress",
			"Restore m2-migrate-default-app-c948154d is running, 512 B of 3.0 GiB of volume data.", true,
		},
		{
			"nothing is diagnosed", velerov1.RestorePhaseNew,
			Diagnosis{},
			"RestoreNew",
			"Restore m2-migrate-default-app-c948154d is created; waiting for Velero, which processes one Restore at a time.", true,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newFixture(t, m2).restoring().restore(m2, tt.phase)
			s.after(6*time.Second, m2, &tt.diagnosis)
			s.wantState(s.target(), tt.reason, tt.message)
			s.wantPhase("RestoreInProgress")
			if runs := s.target().LastProgressTime != nil; runs != tt.clockRuns {
				t.Errorf("the progress clock runs: %v, want %v", runs, tt.clockRuns)
			}
			// Without a new diagnosis the recorded status stays.
			was := s.m.Status.DeepCopy()
			s.after(time.Second, m2, nil)
			if tt.diagnosis.Volumes == nil && cmp.Diff(was, &s.m.Status) != "" {
				t.Errorf("without a diagnosis the status changes: %s", cmp.Diff(was, &s.m.Status))
			}
			// Progress of the object overrides the diagnosis.
			s.restore(m2, velerov1.RestorePhaseFinalizing)
			s.wantState(s.target(), "RestoreFinalizing", "Restore "+restoreName+" is being finalized.")
		})
	}
}

func TestDiagnosisOfAQueuedBackup(t *testing.T) {
	s := newFixture(t, m2).started().backup(velerov1.BackupPhaseQueued, 0)
	if s.m.Status.SourceClusterStatus.LastProgressTime != nil {
		t.Error("the progress clock runs in a queue")
	}
	s.after(6*time.Second, m1, &Diagnosis{Server: ServerSilent})
	cs := s.m.Status.SourceClusterStatus.ClusterStatus
	s.wantState(cs, "VeleroNotAnswering", "Velero in m1 does not answer a ServerStatusRequest; check whether its server runs. "+
		"Backup m1-migrate-default-app-c948154d is in Velero's queue, at position 0.")
	if cs.LastProgressTime == nil {
		t.Error("the progress clock does not run while Velero does not answer")
	}
	s.wantCondition("Ready", "False", "VeleroNotAnswering")

	const queued = "Backup m1-migrate-default-app-c948154d is in Velero's queue, at position 0."
	s.after(6*time.Second, m1, &Diagnosis{Server: ServerAnswers, Running: "nightly"})
	s.wantState(s.m.Status.SourceClusterStatus.ClusterStatus, "BackupQueued", queued+" Velero in m1 is processing Backup nightly.")
	s.after(time.Second, m1, nil)
	s.wantState(s.m.Status.SourceClusterStatus.ClusterStatus, "BackupQueued", queued+" Velero in m1 is processing Backup nightly.")
	s.after(6*time.Second, m1, &Diagnosis{Server: ServerAnswers})
	s.wantState(s.m.Status.SourceClusterStatus.ClusterStatus, "BackupQueued", queued)
}

func TestReadyMessageHasTheTimeOfTheLastTransition(t *testing.T) {
	s := newFixture(t, m2).restoring()
	s.after(6*time.Second, m2, &Diagnosis{Server: ServerAnswers, Running: "nightly"})
	s.after(20*time.Second, m2, &Diagnosis{Server: ServerAnswers, Running: "nightly"})
	if since := s.target().LastTransitionTime; since == nil || !since.Equal(&metav1.Time{Time: start.Add(6 * time.Second)}) {
		t.Errorf("lastTransitionTime %v", since)
	}
	want := "0 of 1 target done. m2, since 2023-10-28T15:55:19Z: Restore m2-migrate-default-app-c948154d is created; " +
		"waiting for Velero, which processes one Restore at a time. Velero in m2 is processing Restore nightly."
	if got := s.condition("Ready").Message; got != want {
		t.Errorf("the message of Ready is %q, want %q", got, want)
	}
}

func TestUnreachableMessageHasTheNextAttempt(t *testing.T) {
	s := newFixture(t, m2).restoring()
	s.with(m2, func(m *Member) {
		m.Err, m.Since, m.NextTry = errDown, start, start.Add(8*time.Second)
	}).record()
	s.wantState(s.target(), "MemberUnreachable", "Reading m2 has failed since 2023-10-28T15:55:13Z: connection refused; retrying at 2023-10-28T15:55:21Z.")
}

func TestVolumeProgressPreventsStalled(t *testing.T) {
	s := newFixture(t, m2).restoring().restore(m2, velerov1.RestorePhaseInProgress)
	for n := range 5 {
		s.after(400*time.Second, m2, &Diagnosis{Server: ServerAnswers, Volumes: &v1alpha1.VolumeProgress{BytesDone: int64(n + 1), TotalBytes: 100}})
		s.wantCondition("Stalled", "False", "Progressing")
	}
	s.after(600*time.Second, m2, &Diagnosis{Server: ServerAnswers, Volumes: &v1alpha1.VolumeProgress{BytesDone: 5, TotalBytes: 100}})
	s.wantCondition("Stalled", "True", "ProgressDeadlineExceeded")
}

// TestQueuedBackupHasNoProgressDeadline also checks that the deadline runs after the queue, from
// which Velero starts a Backup at once.
func TestQueuedBackupHasNoProgressDeadline(t *testing.T) {
	s := newFixture(t, m2).started().backup(velerov1.BackupPhaseQueued, 0)
	s.now = s.now.Add(time.Hour)
	s.record()
	s.wantCondition("Stalled", "False", "Progressing")
	s.backup(velerov1.BackupPhaseReadyToStart, 0)
	s.wantState(s.m.Status.SourceClusterStatus.ClusterStatus, "BackupReadyToStart", "Backup "+s.m.Status.SourceClusterStatus.BackupNameInCluster+" has left Velero's queue; waiting for Velero to start it.")
	s.wantCondition("Stalled", "False", "Progressing")
	s.now = s.now.Add(time.Hour)
	s.record()
	s.wantCondition("Stalled", "True", "ProgressDeadlineExceeded")
}

// TestProgressOverridesADiagnosis also checks that an empty diagnosis changes nothing.
func TestProgressOverridesADiagnosis(t *testing.T) {
	s := newFixture(t, m2).restoring()
	s.after(6*time.Second, m2, &Diagnosis{Server: ServerSilent})
	s.after(time.Second, m2, &Diagnosis{})
	if s.target().Reason != "VeleroNotAnswering" {
		t.Errorf("with an empty diagnosis the reason is %s", s.target().Reason)
	}
	s.with(m2, func(m *Member) { m.Diagnosis = &Diagnosis{Server: ServerSilent} })
	s.restore(m2, velerov1.RestorePhaseInProgress)
	s.wantState(s.target(), "RestoreInProgress", "Restore "+restoreName+" is running.")
}

// TestRecreatedRestoresAreNoProgress creates and deletes a Restore repeatedly.
func TestRecreatedRestoresAreNoProgress(t *testing.T) {
	s := newFixture(t, m2).restoring()
	for range 4 {
		s.now = s.now.Add(200 * time.Second)
		s.refuse(m2)
		if s.target().Reason != "RestoreRefusedEarly" {
			t.Fatalf("reason %s", s.target().Reason)
		}
		s.with(m2, func(m *Member) { m.Restore.Status = velerov1.RestoreStatus{} })
		s.record()
	}
	s.wantCondition("Stalled", "True", "ProgressDeadlineExceeded")
	// If the Restore can't be created again, the reason says why.
	s.refuse(m2).record()
	s.with(m2, func(m *Member) { m.Err, m.Since = errDown, start }).record()
	if s.target().Reason != "MemberUnreachable" || s.target().Phase != "Pending" {
		t.Errorf("an unreachable member: %s, %s", s.target().Phase, s.target().Reason)
	}
}

// TestRefusedRestoreWithUnknownAccess: access is not checked while a Restore is recorded, so it
// is unknown when Velero rejects it.
func TestRefusedRestoreWithUnknownAccess(t *testing.T) {
	s := newFixture(t, m2).restoring()
	s.access[m2] = Access{}
	s.refuse(m2)
	if target := s.target(); target.Phase != "Pending" || target.Reason != "RestoreRefusedEarly" {
		t.Errorf("%s, %s", target.Phase, target.Reason)
	}
}

func TestNeedsDiagnosis(t *testing.T) {
	s := newFixture(t, m2).restoring()
	for _, tt := range []struct {
		after  time.Duration
		c      Cluster
		wait   time.Duration
		needed bool
	}{
		{2 * time.Second, m2, 3 * time.Second, false},
		{5 * time.Second, m2, 0, true},
		{time.Hour, m1, 0, false}, // its Backup is finished
		{time.Hour, m3, 0, false}, // not a cluster of the Migrate
	} {
		wait, needed := NeedsDiagnosis(s.m, tt.c, s.seen.Members[tt.c], start.Add(tt.after))
		if wait != tt.wait || needed != tt.needed {
			t.Errorf("%s after %v: %v in %v, want %v in %v", tt.c.Name, tt.after, needed, wait, tt.needed, tt.wait)
		}
	}
	s.restore(m2, velerov1.RestorePhaseCompleted)
	if _, needed := NeedsDiagnosis(s.m, m2, s.seen.Members[m2], start.Add(time.Hour)); needed {
		t.Error("a finished cluster needs a diagnosis")
	}
}

func TestMessageHasTheErrorsOfTheRestore(t *testing.T) {
	const logError = "error uploading log file to backup storage: rpc error: connection refused"
	const next = " See what was not restored: velero restore describe m2-migrate-default-app-c948154d --details. Fix the error and retry the Migrate."
	for _, tt := range []struct {
		name    string
		errors  int
		results *Results
		reason  string
		message string
	}{
		{"not read", 2, nil, "RestorePartiallyFailed", "ended PartiallyFailed with 2 errors and 1 warning." + next},
		{"read", 2, &Results{Errors: []string{"a", "b"}}, "RestorePartiallyFailed", "ended PartiallyFailed with 2 errors and 1 warning: a; b." + next},
		{"many", 5, &Results{Errors: []string{"a", "b", "c", "d", "e"}}, "RestorePartiallyFailed", "ended PartiallyFailed with 5 errors and 1 warning: a; b; c; and 2 more." + next},
		{
			"can't be read", 1, &Results{Err: errors.New("the storage answers 403 Forbidden")}, "RestorePartiallyFailed",
			"ended PartiallyFailed with 1 error and 1 warning: (reading the errors from the storage failed: the storage answers 403 Forbidden)." + next,
		},
		{
			"only the log", 1, &Results{Errors: []string{logError}}, "RestoreLogNotUploaded",
			"restored 4 items, with 1 warning. It ended PartiallyFailed only because Velero could not upload its log to the storage.",
		},
		{
			"neither log nor results", 1, &Results{Err: errDown, LogMissing: true}, "RestoreLogNotUploaded",
			"restored 4 items, with 1 warning. It ended PartiallyFailed only because Velero could not upload its log to the storage.",
		},
		{
			"neither, and more errors", 2, &Results{Err: errDown, LogMissing: true}, "RestorePartiallyFailed",
			"ended PartiallyFailed with 2 errors and 1 warning: (reading the errors from the storage failed: connection refused)." + next,
		},
		{
			"the log among others", 2, &Results{Errors: []string{logError, "a"}}, "RestorePartiallyFailed",
			"ended PartiallyFailed with 2 errors and 1 warning: " + logError + "; a." + next,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newFixture(t, m2).restoring()
			s.with(m2, func(m *Member) {
				m.Restore = m.Restore.DeepCopy()
				m.Restore.Status.Errors, m.Restore.Status.Warnings = tt.errors, 1
				m.Restore.Status.Progress = &velerov1.RestoreProgress{TotalItems: 4, ItemsRestored: 4}
				m.Results = tt.results
			})
			s.restore(m2, velerov1.RestorePhasePartiallyFailed)
			s.wantPhase("PartiallyFailed")
			s.wantState(s.target(), tt.reason, "Restore "+restoreName+" "+tt.message)
		})
	}
}

// TestMessageOfAFailedRestoreHasNoHint: after a restart Velero fails the Restore without a log.
func TestMessageOfAFailedRestoreHasNoHint(t *testing.T) {
	s := newFixture(t, m2).restoring()
	s.with(m2, func(m *Member) {
		m.Restore = m.Restore.DeepCopy()
		m.Restore.Status.FailureReason = `found a restore with status "InProgress" during the server starting, mark it as "Failed"`
	})
	s.restore(m2, velerov1.RestorePhaseFailed)
	s.wantState(s.target(), "RestoreFailed", "Restore "+restoreName+` ended Failed: found a restore with status "InProgress" during the server starting, `+
		`mark it as "Failed". Fix the error and retry the Migrate.`)
}

// TestMessageOfACompletedBackup checks what the message has besides the items.
func TestMessageOfACompletedBackup(t *testing.T) {
	for _, tt := range []struct {
		name     string
		warnings int
		results  *Results
		message  string
	}{
		{"warnings", 5, &Results{Warnings: []string{"a", "b", "c", "d", "e"}, Lists: excepting(v1alpha1.ItemCounts{Total: 3}, v1alpha1.VolumeCounts{})}, "holds 3 items, with 5 warnings: a; b; c; and 2 more."},
		{"warnings that can't be read", 1, &Results{Err: errDown, ListsErr: errDown}, "holds 4 items by Velero's count (reading its lists from the storage failed: connection refused), with 1 warning (reading the warnings from the storage failed: connection refused)."},
		{"lists that can't be read", 0, &Results{ListsErr: errDown}, "holds 4 items by Velero's count (reading its lists from the storage failed: connection refused)."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newFixture(t, m2).started()
			s.with(m1, func(m *Member) { m.Results, m.Backup.Status.Warnings = tt.results, tt.warnings })
			s.backup(velerov1.BackupPhaseCompleted, 4)
			s.wantState(s.m.Status.SourceClusterStatus.ClusterStatus, "BackupCompleted", "Backup m1-migrate-default-app-c948154d "+tt.message)
		})
	}
}

func TestMessageHasTheUnknownNamesOfTheFilter(t *testing.T) {
	for _, tt := range []struct {
		results *Results
		reason  string
		message string
	}{
		{&Results{}, "BackupCompleted", "holds 4 items."},
		{&Results{Unknown: []string{"deploymentz", "cmz"}}, "UnknownResources", "holds 4 items. The filter names resources that the cluster does not serve, and Velero ignored them: deploymentz, cmz. Check their spelling."},
		{&Results{UnknownErr: errDown}, "BackupCompleted", "holds 4 items. Whether the cluster serves the resources that the filter names could not be checked: connection refused."},
	} {
		s := newFixture(t, m2).started()
		s.with(m1, func(m *Member) { m.Results = tt.results })
		s.backup(velerov1.BackupPhaseCompleted, 4)
		s.wantState(s.m.Status.SourceClusterStatus.ClusterStatus, tt.reason, "Backup m1-migrate-default-app-c948154d "+tt.message)
	}
}

func TestAffectedNamespaces(t *testing.T) {
	for _, tt := range []struct {
		name               string
		included, excluded []string
		mapping            map[string]string
		want               []string
		named              bool
	}{
		{"everything", nil, nil, nil, []string{"a", "b", "ns-1"}, false},
		{"a name", []string{"a"}, nil, nil, []string{"a"}, true},
		{"a pattern with ?", []string{"ns-?"}, nil, nil, []string{"a", "b", "ns-1"}, false},
		{"a pattern with []", []string{"[ab]"}, nil, nil, []string{"a", "b", "ns-1"}, false},
		{"an excluded name", nil, []string{"b"}, nil, []string{"a", "ns-1"}, false},
		{"a namespace that is mapped to another name", nil, nil, map[string]string{"a": "z"}, []string{"b", "ns-1"}, false},
		{"a mapped name", []string{"a"}, nil, map[string]string{"a": "b"}, []string{"b"}, true},
		{"another name that is mapped", []string{"b"}, nil, map[string]string{"a": "b"}, []string{"b"}, true},
		{"two names that are mapped to one", []string{"y"}, nil, map[string]string{"x": "a", "y": "a"}, []string{"a"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &v1alpha1.Migrate{Spec: v1alpha1.MigrateSpec{Policy: &v1alpha1.MigratePolicy{
				ResourceFilter:   &v1alpha1.ResourceFilter{IncludedNamespaces: tt.included, ExcludedNamespaces: tt.excluded},
				NamespaceMapping: tt.mapping,
			}}}
			got, named := affectedNamespaces(m, []string{"a", "b", "ns-1"})
			if !slices.Equal(got, tt.want) || named != tt.named {
				t.Errorf("got %q, named %v; want %q, %v", got, named, tt.want, tt.named)
			}
		})
	}
}
