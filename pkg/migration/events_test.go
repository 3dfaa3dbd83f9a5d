// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

func TestEvents(t *testing.T) {
	s := newFixture(t, m2)
	var got []string
	collect := func(do func()) {
		before := s.m.Status.DeepCopy()
		do()
		for _, e := range Events(before, &s.m.Status) {
			cluster := "-"
			if e.Cluster != nil {
				cluster = e.Cluster.Name
			}
			got = append(got, e.Type+" "+cluster+" "+e.Reason)
		}
	}
	s.host.SourceFleet.Found = false
	collect(func() { s.record() })
	s.host.SourceFleet.Found = true
	collect(func() { s.record() })
	s.next()
	collect(func() { s.record() })
	collect(func() { s.backup(velerov1.BackupPhaseInProgress, 1) })
	collect(func() { s.backup(velerov1.BackupPhaseInProgress, 2) })
	collect(func() { s.backup(velerov1.BackupPhaseCompleted, 2) })
	s.next()
	collect(func() { s.record() })
	collect(func() { s.restore(m2, velerov1.RestorePhaseFailed) })
	collect(func() { s.record() })

	want := []string{
		"Warning - FleetNotFound",
		"Normal m1 BackupStarting",
		"Normal m1 BackupCompleted",
		"Normal m2 RestoreStarting",
		"Warning m2 RestoreFailed",
		"Warning - Failed",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestCompare(t *testing.T) {
	running := newFixture(t, m2, m3).started().backup(velerov1.BackupPhaseInProgress, 1).m.Status
	restoring := newFixture(t, m2, m3).started().backup(velerov1.BackupPhaseCompleted, 1).m.Status
	target := func(phase v1alpha1.MigratePhase, reason string) func(*v1alpha1.MigrateStatus) {
		return func(s *v1alpha1.MigrateStatus) {
			s.TargetClusterStatus[1].Phase, s.TargetClusterStatus[1].Reason = phase, reason
		}
	}
	condition := func(kind string, value metav1.ConditionStatus) func(*v1alpha1.MigrateStatus) {
		return func(s *v1alpha1.MigrateStatus) {
			meta.SetStatusCondition(&s.Conditions, metav1.Condition{Type: kind, Status: value, Reason: "Because"})
		}
	}
	for name, tc := range map[string]struct {
		before v1alpha1.MigrateStatus
		change func(*v1alpha1.MigrateStatus)
		want   Change
	}{
		"nothing":                       {running, func(*v1alpha1.MigrateStatus) {}, Unchanged},
		"more items":                    {running, func(s *v1alpha1.MigrateStatus) { s.SourceClusterStatus.BackupStatusInCluster.Progress.ItemsBackedUp++ }, Step},
		"a message":                     {running, func(s *v1alpha1.MigrateStatus) { s.SourceClusterStatus.Message = "more" }, Step},
		"Velero's phase":                {running, func(s *v1alpha1.MigrateStatus) { s.SourceClusterStatus.BackupStatusInCluster.Phase = "Finalizing" }, Transition},
		"a reason of the source":        {running, func(s *v1alpha1.MigrateStatus) { s.SourceClusterStatus.Reason = v1alpha1.ReasonVeleroNotAnswering }, Transition},
		"the phase":                     {running, func(s *v1alpha1.MigrateStatus) { s.Phase = v1alpha1.MigratePhaseRestoreInProgress }, Transition},
		"it stalls":                     {running, condition(v1alpha1.ConditionStalled, metav1.ConditionTrue), Transition},
		"it is suspended":               {running, condition(v1alpha1.ConditionSuspended, metav1.ConditionTrue), Transition},
		"a member is not reachable":     {running, condition(v1alpha1.ConditionMembersReachable, metav1.ConditionFalse), Transition},
		"all members are reachable":     {running, condition(v1alpha1.ConditionMembersReachable, metav1.ConditionTrue), Step},
		"a target restores":             {restoring, target(v1alpha1.MigratePhaseRestoreInProgress, v1alpha1.ReasonRestoreInProgress), Step},
		"one of two targets has ended":  {restoring, target(v1alpha1.MigratePhaseCompleted, v1alpha1.ReasonRestoreCompleted), Step},
		"one of two targets has failed": {restoring, target(v1alpha1.MigratePhaseFailed, v1alpha1.ReasonRestoreFailed), Transition},
		"a target has a problem":        {restoring, target(v1alpha1.MigratePhasePending, v1alpha1.ReasonMemberUnreachable), Transition},
		"a target begins":               {running, target(v1alpha1.MigratePhasePending, v1alpha1.ReasonRestoreStarting), Transition},
		"a target is proven": {restoring, func(s *v1alpha1.MigrateStatus) {
			s.TargetClusterStatus[1].StorageProof = &v1alpha1.StorageProof{Type: "OwnBackup"}
		}, Transition},
		"the end": {restoring, func(s *v1alpha1.MigrateStatus) { s.Phase = v1alpha1.MigratePhaseCompleted }, Transition},
	} {
		after := tc.before.DeepCopy()
		tc.change(after)
		if got := Compare(&tc.before, after); got != tc.want {
			t.Errorf("%s: got %d, want %d", name, got, tc.want)
		}
	}

	// From the creation to the Backup's first work.
	m := newFixture(t, m2).m
	created := m.Status
	for _, tc := range []struct {
		source *v1alpha1.BackupDetails
		reason string
		want   Change
	}{
		{nil, v1alpha1.ReasonFleetNotFound, Transition},
		{&v1alpha1.BackupDetails{ClusterStatus: v1alpha1.ClusterStatus{Reason: v1alpha1.ReasonConnecting}}, v1alpha1.ReasonConnecting, Step},
		{&v1alpha1.BackupDetails{ClusterStatus: v1alpha1.ClusterStatus{Reason: v1alpha1.ReasonWaitingInQueue}}, v1alpha1.ReasonWaitingInQueue, Transition},
		{&v1alpha1.BackupDetails{ClusterStatus: v1alpha1.ClusterStatus{Phase: v1alpha1.MigratePhaseBackupInProgress, Reason: v1alpha1.ReasonBackupNew}}, v1alpha1.ReasonBackupNew, Step},
		{&v1alpha1.BackupDetails{ClusterStatus: v1alpha1.ClusterStatus{Phase: v1alpha1.MigratePhaseBackupInProgress, Reason: v1alpha1.ReasonBackupInProgress}}, v1alpha1.ReasonBackupInProgress, Transition},
	} {
		after := created.DeepCopy()
		after.SourceClusterStatus = tc.source
		meta.SetStatusCondition(&after.Conditions, metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: tc.reason})
		if got := Compare(&created, after); got != tc.want {
			t.Errorf("%s: got %d, want %d", tc.reason, got, tc.want)
		}
	}
}

// FuzzStatus checks the invariants of Status and Next for random sequences of observations.
func FuzzStatus(f *testing.F) {
	for seed := range uint64(50) {
		f.Add(seed)
	}
	backupPhases := []velerov1.BackupPhase{"", "New", "Queued", "InProgress", "Finalizing", "Completed", "PartiallyFailed", "Failed", "FailedValidation", "Deleting", "Strange"}
	restorePhases := []velerov1.RestorePhase{"", "New", "InProgress", "Finalizing", "Completed", "PartiallyFailed", "Failed", "FailedValidation", "Strange"}
	f.Fuzz(func(t *testing.T, seed uint64) {
		random := rand.New(rand.NewPCG(seed, 0))
		s := newFixture(t, m2, m3)
		for range 40 {
			before := s.m.Status.DeepCopy()
			switch random.IntN(10) {
			case 0:
				s.host.SourceFleet.Found = !s.host.SourceFleet.Found
			case 1:
				s.with([]Cluster{m1, m2, m3}[random.IntN(3)], func(m *Member) {
					if m.Err = nil; random.IntN(2) == 0 {
						m.Err = errDown
					}
				})
			case 2:
				if s.seen.Members[m1].Backup != nil {
					s.backup(backupPhases[random.IntN(len(backupPhases))], random.IntN(3))
				}
			case 3:
				if c := []Cluster{m2, m3}[random.IntN(2)]; s.seen.Members[c].Restore != nil {
					s.restore(c, restorePhases[random.IntN(len(restorePhases))])
				}
			case 4:
				delete(s.seen.Members, []Cluster{m1, m2, m3}[random.IntN(3)])
			case 5:
				s.with([]Cluster{m1, m2, m3}[random.IntN(3)], func(m *Member) { m.Locations = nil })
			case 6:
				s.seen.Members[[]Cluster{m1, m2, m3}[random.IntN(3)]] = Member{Locations: []velerov1.BackupStorageLocation{bucket("velero")}, Turn: &Turn{}}
			default:
				for _, action := range s.next() {
					if _, ok := action.(StartRestore); ok && s.m.Status.SourceClusterStatus.Phase != "Completed" {
						t.Fatalf("a Restore is started before its Backup is complete: %+v", s.m.Status)
					}
				}
			}
			s.record()
			if IsTerminal(before.Phase) && Compare(before, &s.m.Status) != Unchanged {
				t.Fatalf("the final status changed from %+v to %+v", before, s.m.Status)
			}
			if again := Status(s.m, s.observed(), s.now); Compare(&s.m.Status, &again) != Unchanged {
				t.Fatalf("the same observation results in two statuses:\n%s", cmp.Diff(s.m.Status, again))
			}
		}
	})
}
