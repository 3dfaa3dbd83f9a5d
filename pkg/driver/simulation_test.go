// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

var (
	simulationSeed = flag.Uint64("simulation.seed", 0, "Run the random simulation of this seed alone, and print its trace.")
	simulations    = flag.Uint64("simulation.count", 1000, "How many random simulations to run.")
)

// TestEveryFaultOfEveryWrite runs a migration to two targets once for each write
// that it makes and each way in which that write can go wrong, and again with
// each later write failing too, the two ways in which it was made all the same.
func TestEveryFaultOfEveryWrite(t *testing.T) {
	begin := func() *simulation {
		s := newSimulation(t, rand.New(rand.NewPCG(1, 1)))
		s.backupSteps = []velerov1.BackupPhase{"", "InProgress"}
		s.restoreSteps = []velerov1.RestorePhase{"", "InProgress"}
		return s
	}
	undisturbed := begin()
	undisturbed.finish()
	undisturbed.wantPhase(v1alpha1.MigratePhaseCompleted)
	faults := []fault{crashBefore, crashAfter, refused, answerLost}
	run := func(plan map[int]fault) {
		s := begin()
		s.plan = plan
		s.finish()
		s.wantPhase(v1alpha1.MigratePhaseCompleted)
		if t.Failed() {
			t.Fatalf("faults %v\n%s", plan, s.story())
		}
	}
	// A fault may add a write or two.
	writes := undisturbed.writes + 2
	for first := range writes {
		for _, f := range faults {
			run(map[int]fault{first: f})
			for second := first + 1; second < writes; second++ {
				for _, g := range []fault{crashAfter, answerLost} {
					run(map[int]fault{first: f, second: g})
				}
			}
		}
	}
	t.Logf("%d writes of an undisturbed migration", undisturbed.writes)
}

// TestRandomSimulations disturbs migrations in every way at once, in an order that
// a seed decides, lets them come to an end undisturbed, and checks that it is the
// right one.
func TestRandomSimulations(t *testing.T) {
	first, last := uint64(1), *simulations
	if *simulationSeed != 0 {
		first, last = *simulationSeed, *simulationSeed
	}
	ends := map[v1alpha1.MigratePhase]int{}
	for seed := first; seed <= last; seed++ {
		s := newSimulation(t, rand.New(rand.NewPCG(seed, 0)))
		s.disturb(150)
		s.finish()
		s.wantRightEnd()
		if t.Failed() || *simulationSeed != 0 {
			t.Logf("again by: go test ./pkg/driver -run TestRandomSimulations -simulation.seed=%d\n%s", seed, s.story())
		}
		if t.Failed() {
			return
		}
		if s.stored != nil {
			ends[s.stored.Status.Phase]++
		}
	}
	t.Logf("ends: %v", ends)
}

// disturb takes so many random steps.
func (s *simulation) disturb(steps int) {
	s.outcomes()
	for range steps {
		switch s.random.IntN(40) {
		case 0:
			s.crash(s.drivers[s.random.IntN(len(s.drivers))])
		case 1:
			if len(s.drivers) < 2 {
				s.startDriver()
			}
		case 2:
			c := s.someCluster()
			s.members[c].down = !s.members[c].down
			s.tracef("%s is down: %v", c.Name, s.members[c].down)
		case 3:
			s.plan[s.writes] = fault(1 + s.random.IntN(4))
		case 4:
			s.clock.Step(time.Duration(s.random.IntN(5000)) * time.Millisecond)
		case 5:
			if s.random.IntN(10) == 0 {
				s.deleteByHand(s.someCluster())
			}
		case 6:
			if s.random.IntN(40) == 0 {
				s.deleteMigrate()
			}
		case 7, 8, 9, 10, 11:
			s.members[s.someCluster()].velero(s)
		case 12:
			if s.random.IntN(5) == 0 {
				s.members[s.someCluster()].sync(s)
			}
		default:
			s.step()
		}
	}
}

// outcomes decides how Velero's work will end.
func (s *simulation) outcomes() {
	if s.random.IntN(4) == 0 {
		s.members[m1].backupEnds = []velerov1.BackupPhase{"Failed", "PartiallyFailed", "FailedValidation"}[s.random.IntN(3)]
	}
	for _, c := range []migration.Cluster{m2, m3} {
		if s.random.IntN(4) == 0 {
			s.members[c].restoreEnds = []velerov1.RestorePhase{"Failed", "PartiallyFailed", "FailedValidation"}[s.random.IntN(3)]
		}
	}
}

// wantRightEnd checks the end against how Velero's work ended and what was deleted
// by hand.
func (s *simulation) wantRightEnd() {
	s.t.Helper()
	if s.stored == nil {
		return
	}
	got := s.stored.Status.Phase
	if !migration.IsTerminal(got) {
		s.t.Errorf("has not come to an end, but is %s", got)
		return
	}
	if s.byHand {
		return
	}
	want := v1alpha1.MigratePhaseCompleted
	switch s.members[m1].backupEnds {
	case velerov1.BackupPhaseFailedValidation:
		want = v1alpha1.MigratePhaseFailedValidation
	case velerov1.BackupPhaseFailed, velerov1.BackupPhasePartiallyFailed:
		want = v1alpha1.MigratePhaseFailed
	default:
		ends := string(s.members[m2].restoreEnds) + " " + string(s.members[m3].restoreEnds)
		switch {
		case ends == "Completed Completed":
		case strings.Contains(ends, "Completed"), strings.Contains(ends, "PartiallyFailed"):
			want = v1alpha1.MigratePhasePartiallyFailed
		default:
			want = v1alpha1.MigratePhaseFailed
		}
	}
	if got != want {
		s.t.Errorf("has ended %s, want %s", got, want)
	}
}

func (s *simulation) wantPhase(want v1alpha1.MigratePhase) {
	s.t.Helper()
	if got := s.stored.Status.Phase; got != want {
		s.t.Errorf("has ended %s, want %s", got, want)
	}
}

// story is what a person needs to understand a failure.
func (s *simulation) story() string {
	var b strings.Builder
	for i, line := range s.trace {
		fmt.Fprintf(&b, "%4d  %s\n", i, line)
	}
	if s.stored != nil {
		fmt.Fprintf(&b, "status: %+v\n", s.stored.Status)
	}
	return b.String()
}
