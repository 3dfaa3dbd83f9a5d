// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"sigs.k8s.io/yaml"

	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/test/modelvelero"
)

var (
	simulationSeed = flag.Uint64("simulation.seed", 0, "Run the random simulation of this seed alone, and print its trace.")
	simulations    = flag.Uint64("simulation.count", 1000, "How many random simulations to run.")
)

// TestEveryFaultOfEveryWrite runs a migration to one, two and three targets once for
// each write that it makes and each way in which that write can go wrong, and to one
// target again with each later write failing too, in each way in which it is made all
// the same, or the driver dies before it.
func TestEveryFaultOfEveryWrite(t *testing.T) {
	t.Parallel()
	for targets := 1; targets <= 3; targets++ {
		t.Run(fmt.Sprint(targets), func(t *testing.T) {
			run := func(plan map[int]fault) *simulation {
				w := wellWay(targets)
				s := newSimulation(rand.New(rand.NewPCG(1, 1)), targets, w)
				s.plan = plan
				s.heal(migration.Cluster{})
				s.finish(s.ended)
				if s.checkEnd(w); s.failure != "" {
					t.Fatalf("simulation failed: %s\nfaults %v\n%s", s.failure, plan, s.story())
				}
				return s
			}
			undisturbed := run(nil).writes
			// A fault may add a write or two.
			writes, runs := undisturbed+2, 1
			for first := range writes {
				for _, f := range faults {
					run(map[int]fault{first: f})
					runs++
					for second := first + 1; second < writes && targets == 1; second++ {
						for _, g := range faults[:4] {
							run(map[int]fault{first: f, second: g})
							runs++
						}
					}
				}
			}
			t.Logf("%d writes of an undisturbed migration, %d simulations", undisturbed, runs)
		})
	}
}

// TestEveryEditAtEveryStep runs a migration to one target once for each of its steps and
// each edit of its objects, or of itself, by another client before that step;
// several times, for what comes after is in any order.
func TestEveryEditAtEveryStep(t *testing.T) {
	t.Parallel()
	const orders, targets = 4, 1
	run := func(order uint64, step int, edit func(*simulation)) *simulation {
		w := wellWay(targets)
		s := newSimulation(rand.New(rand.NewPCG(order, 1)), targets, w)
		s.heal(migration.Cluster{})
		s.finish(func() bool { return s.steps == step || s.ended() })
		edit(s)
		s.finish(s.ended)
		s.checkEnd(w)
		return s
	}
	edits := map[string]func(*simulation){
		"the Migrate is deleted":    func(s *simulation) { s.store(nil) },
		"the Migrate is made again": func(s *simulation) { s.store(nil); s.createMigrate() },
	}
	for name, do := range map[string]func(*simulation, objectID, modelvelero.Object){
		"is deleted": deleteObject, "loses its label": takeLabelOff, "has its phase written": writePhase, "is made again": makeAgain,
	} {
		for id, of := range map[objectID]string{
			{m1, modelvelero.Key{Kind: "Backup"}}:  "the source's Backup ",
			{m2, modelvelero.Key{Kind: "Backup"}}:  "the target's Backup ",
			{m2, modelvelero.Key{Kind: "Restore"}}: "the Restore ",
		} {
			edits[of+name] = func(s *simulation) { s.touchAny(id.cluster, id.key.Kind, do) }
		}
	}
	runs, longest := 0, 0
	for order := range uint64(orders) {
		undisturbed := run(order, -1, func(*simulation) {}).steps
		longest = max(longest, undisturbed)
		for step := range undisturbed {
			for _, what := range slices.Sorted(maps.Keys(edits)) {
				runs++
				if s := run(order, step, edits[what]); s.failure != "" {
					t.Fatalf("simulation failed: %s\norder %d, %s before step %d\n%s", s.failure, order, what, step, s.story())
				}
			}
		}
	}
	t.Logf("at most %d steps of an undisturbed migration, %d simulations", longest, runs)
}

// TestRandomSimulations disturbs migrations in every way at once, in an order that
// a seed decides, lets them come to an end undisturbed, and checks that it is the
// right one.
func TestRandomSimulations(t *testing.T) {
	t.Parallel()
	first, last := uint64(1), *simulations
	if *simulationSeed != 0 {
		first, last = *simulationSeed, *simulationSeed
	}
	ends := map[string]int{}
	for seed := first; seed <= last; seed++ {
		s := simulate(seed)
		if s.failure != "" || *simulationSeed != 0 {
			t.Logf("%s\nagain by: go test ./pkg/driver -run TestRandomSimulations -simulation.seed=%d", s.story(), seed)
		}
		if s.failure != "" {
			t.Fatalf("simulation failed: seed %d: %s", seed, s.failure)
		}
		end := "deleted"
		if s.stored != nil {
			end = string(s.stored.Status.Phase)
		}
		ends[end]++
	}
	t.Logf("ends: %v", ends)
}

// TestASeedAlwaysLeadsToTheSameEnd: without that no failure could be run again.
func TestASeedAlwaysLeadsToTheSameEnd(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		if once, again := simulate(seed).story(), simulate(seed).story(); once != again {
			t.Fatalf("seed %d: (-once +again)\n%s", seed, cmp.Diff(once, again))
		}
	}
}

// simulate runs the simulation of a seed.
func simulate(seed uint64) *simulation {
	random := rand.New(rand.NewPCG(seed, 0))
	targets := 1 + random.IntN(3)
	w := randomWays(random, targets)
	s := newSimulation(random, targets, w)
	s.disturb(50 + random.IntN(200))
	if targets > 1 && random.IntN(3) == 0 && s.failure == "" {
		disturbed := s.clusters[1+random.IntN(targets)]
		s.heal(disturbed)
		s.checkOthers(disturbed)
	}
	s.heal(migration.Cluster{})
	s.finish(s.ended)
	s.checkEnd(w)
	return s
}

// wellWay is how Velero goes in no time, and well.
func wellWay(targets int) ways {
	w := ways{
		backup:   []velerov1.BackupPhase{"InProgress", "Completed"},
		restores: map[migration.Cluster][]velerov1.RestorePhase{},
		items:    3,
	}
	for _, c := range allTargets[:targets] {
		w.restores[c] = []velerov1.RestorePhase{"InProgress", "Completed"}
	}
	return w
}

// randomWays are any that a Velero of today, of yesterday or of tomorrow may go.
func randomWays(random *rand.Rand, targets int) ways {
	w := ways{restores: map[migration.Cluster][]velerov1.RestorePhase{}, items: 3}
	if random.IntN(10) == 0 {
		w.items = 0
	}
	w.backup = pick(random, [][]velerov1.BackupPhase{
		{"Queued", "ReadyToStart", "InProgress"}, {"New", "Queued", "ReadyToStart", "InProgress"}, {"New", "InProgress"},
	})
	switch random.IntN(12) {
	case 0:
		w.backup = []velerov1.BackupPhase{"Queued", "ReadyToStart", "FailedValidation"}
	case 1:
		w.backup = append(w.backup, "Failed")
	case 2:
		w.backup = append(w.backup, "WaitingForPluginOperationsPartiallyFailed", "FinalizingPartiallyFailed", "PartiallyFailed")
	default:
		w.backup = append(w.backup, pick(random, [][]velerov1.BackupPhase{
			{"Finalizing"}, {"WaitingForPluginOperations", "Finalizing"}, {"PhaseOfTomorrow", "Finalizing"}, nil,
		})...)
		w.backup = append(w.backup, "Completed")
	}
	for _, c := range allTargets[:targets] {
		way := pick(random, [][]velerov1.RestorePhase{{"InProgress"}, {"New", "InProgress"}})
		switch random.IntN(12) {
		case 0:
			way = []velerov1.RestorePhase{"New", "FailedValidation"}
		case 1:
			way = append(way, "Failed")
		case 2:
			way = append(way, "FinalizingPartiallyFailed", "PartiallyFailed")
		default:
			way = append(way, pick(random, [][]velerov1.RestorePhase{
				{"Finalizing"}, {"WaitingForPluginOperations", "Finalizing"}, {"PhaseOfTomorrow"}, nil,
			})...)
			way = append(way, "Completed")
		}
		w.restores[c] = way
	}
	return w
}

func pick[T any](random *rand.Rand, from [][]T) []T {
	return slices.Clone(from[random.IntN(len(from))])
}

// story is what a person needs to understand a failure.
func (s *simulation) story() string {
	var b strings.Builder
	for i, line := range s.trace {
		fmt.Fprintf(&b, "%4d  "+line.format+"\n", append([]any{i}, line.args...)...)
	}
	if s.stored != nil {
		status, err := yaml.Marshal(s.stored.Status)
		fmt.Fprintf(&b, "status:%s\n%s", orError(err), status)
	}
	return b.String()
}
