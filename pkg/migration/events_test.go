// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
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
	s := newFixture(t, m2).started().backup(velerov1.BackupPhaseInProgress, 1)
	before := s.m.Status.DeepCopy()
	if got := Compare(before, before.DeepCopy()); got != Unchanged {
		t.Errorf("equal statuses: %v", got)
	}
	s.backup(velerov1.BackupPhaseInProgress, 2)
	if got := Compare(before, &s.m.Status); got != ProgressOnly {
		t.Errorf("more items: %v", got)
	}
	s.backup(velerov1.BackupPhaseFinalizing, 2)
	if got := Compare(before, &s.m.Status); got != Transition {
		t.Errorf("a new phase: %v", got)
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
