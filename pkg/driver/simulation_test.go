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
	simulationSeed = flag.Uint64("simulation.seed", 0, "Run only the random simulation of this seed, and print its trace.")
	simulations    = flag.Uint64("simulation.count", 1000, "Number of random simulations.")
)

// reduced returns how many of n simulations are run: with -short, as with the race detector, a quarter. A simulation has no
// concurrency, and the detector makes it several times as slow.
func reduced(n uint64) uint64 {
	if testing.Short() {
		return (n + 3) / 4
	}
	return n
}

// TestSimulationOfEachFaultOfEachWrite simulates a migration to one, two and three targets with each
// fault of each write. For one target it adds a second fault of each later write: one in which the
// write succeeds, or a crash before it.
func TestSimulationOfEachFaultOfEachWrite(t *testing.T) {
	t.Parallel()
	for targets := 1; targets <= 3; targets++ {
		t.Run(fmt.Sprint(targets), func(t *testing.T) {
			run := func(plan map[int]fault) *simulation {
				script := successScript(targets)
				s := newSimulation(rand.New(rand.NewPCG(1, 1)), targets, script)
				s.plan = plan
				s.heal(migration.Cluster{})
				s.finish(s.ended)
				if s.checkEnd(script); s.failure != "" {
					t.Fatalf("simulation failed: %s\nfaults %v\n%s", s.failure, plan, s.report())
				}
				return s
			}
			faultless := run(nil).writes
			// A fault may cause up to two more writes.
			writes, runs := faultless+2, 1
			for first := range writes {
				for _, f := range faults {
					run(map[int]fault{first: f})
					runs++
					for second := first + 1; second < writes && targets == 1 && !testing.Short(); second++ {
						for _, g := range faults[:4] {
							run(map[int]fault{first: f, second: g})
							runs++
						}
					}
				}
			}
			t.Logf("%d writes without faults, %d simulations", faultless, runs)
		})
	}
}

// TestSimulationOfEachEditAtEachStep simulates a migration to one target with each edit of its objects,
// or of the Migrate, by another client before each step. It repeats this for several random orders of
// the steps.
func TestSimulationOfEachEditAtEachStep(t *testing.T) {
	t.Parallel()
	const targets = 1
	orders := reduced(4)
	run := func(order uint64, step int, edit func(*simulation)) *simulation {
		script := successScript(targets)
		s := newSimulation(rand.New(rand.NewPCG(order, 1)), targets, script)
		s.heal(migration.Cluster{})
		s.finish(func() bool { return s.steps == step || s.ended() })
		edit(s)
		s.finish(s.ended)
		s.checkEnd(script)
		return s
	}
	edits := map[string]func(*simulation){
		"the Migrate is deleted":   func(s *simulation) { s.store(nil) },
		"the Migrate is recreated": func(s *simulation) { s.store(nil); s.createMigrate() },
		"the Migrate is canceled":  (*simulation).cancel,
		"the Migrate is suspended for a while": func(s *simulation) {
			s.setSuspended(true)
			for range 20 {
				if !s.step() {
					s.advanceToNext()
				}
			}
			s.setSuspended(false)
		},
	}
	for name, do := range map[string]func(*simulation, objectID, modelvelero.Object){
		"is deleted": deleteObject, "loses its labels": removeLabels, "gets a phase": writePhase, "is recreated": recreateObject,
	} {
		for id, of := range map[objectID]string{
			{m1, modelvelero.Key{Kind: "Backup"}}:  "the source's Backup ",
			{m2, modelvelero.Key{Kind: "Backup"}}:  "the target's Backup ",
			{m2, modelvelero.Key{Kind: "Restore"}}: "the Restore ",
		} {
			edits[of+name] = func(s *simulation) { s.modifyObject(id.cluster, id.key.Kind, do) }
		}
	}
	runs, longest := 0, 0
	for order := range orders {
		unedited := run(order, -1, func(*simulation) {}).steps
		longest = max(longest, unedited)
		for step := range unedited {
			for _, what := range slices.Sorted(maps.Keys(edits)) {
				runs++
				if s := run(order, step, edits[what]); s.failure != "" {
					t.Fatalf("simulation failed: %s\norder %d, %s before step %d\n%s", s.failure, order, what, step, s.report())
				}
			}
		}
	}
	t.Logf("at most %d steps without edits, %d simulations", longest, runs)
}

// TestSimulationOfCancellationAfterEachWrite simulates a migration that is canceled right after each write, which a
// fault hides from the driver: it arrives late, or its response is lost.
func TestSimulationOfCancellationAfterEachWrite(t *testing.T) {
	t.Parallel()
	const orders, targets, writes = 10, 2, 8
	runs := 0
	for order := range uint64(orders) {
		for write := range writes {
			for _, f := range []fault{late, responseLost, timedOut, crashAfter} {
				runs++
				script := successScript(targets)
				s := newSimulation(rand.New(rand.NewPCG(order, 2)), targets, script)
				s.plan = map[int]fault{write: f}
				s.heal(migration.Cluster{})
				s.finish(func() bool { return s.writes > write || s.ended() })
				s.cancel()
				s.finish(s.ended)
				if s.checkEnd(script); s.failure != "" {
					t.Fatalf("simulation failed: %s\norder %d, %v of write %d\n%s", s.failure, order, f, write, s.report())
				}
			}
		}
	}
	t.Logf("%d simulations", runs)
}

// TestRandomSimulations simulates migrations with random disturbances, then lets them finish without
// disturbances, and checks how they ended. The seed determines all random choices.
func TestRandomSimulations(t *testing.T) {
	t.Parallel()
	first, last := uint64(1), reduced(*simulations)
	if *simulationSeed != 0 {
		first, last = *simulationSeed, *simulationSeed
	}
	ends := map[string]int{}
	for seed := first; seed <= last; seed++ {
		s := simulate(seed)
		if s.failure != "" || *simulationSeed != 0 {
			t.Logf("%s\nreproduce with: go test ./pkg/driver -run TestRandomSimulations -simulation.seed=%d", s.report(), seed)
		}
		if s.failure != "" {
			t.Fatalf("simulation failed: seed %d: %s", seed, s.failure)
		}
		end := "deleted"
		if s.stored != nil {
			end = fmt.Sprintf("%s after %d", s.stored.Status.Phase, min(s.stored.Status.Attempt(), 3))
		}
		ends[end]++
	}
	t.Logf("ends, with the number of attempts, at most 3: %v", ends)
}

// TestSimulationIsDeterministic checks that a seed reproduces a simulation.
func TestSimulationIsDeterministic(t *testing.T) {
	t.Parallel()
	for seed := range reduced(100) {
		if first, second := simulate(seed).report(), simulate(seed).report(); first != second {
			t.Fatalf("seed %d: (-first +second)\n%s", seed, cmp.Diff(first, second))
		}
	}
}

// simulate runs the simulation of a seed.
func simulate(seed uint64) *simulation {
	random := rand.New(rand.NewPCG(seed, 0))
	targets := 1 + random.IntN(3)
	script := randomScript(random, targets)
	script.private = seed%4 == 0
	s := newSimulation(random, targets, script)
	s.disturb(50 + random.IntN(200))
	if targets > 1 && random.IntN(3) == 0 && s.failure == "" {
		disturbed := s.clusters[1+random.IntN(targets)]
		s.heal(disturbed)
		s.checkIndependence(disturbed)
	}
	s.heal(migration.Cluster{})
	s.finish(s.ended)
	s.checkEnd(script)
	for s.failure == "" && random.IntN(3) > 0 && s.retry() {
		if random.IntN(2) == 0 {
			s.mend()
		}
		if random.IntN(2) == 0 {
			s.disturb(random.IntN(100))
			s.heal(migration.Cluster{})
		}
		s.finish(s.ended)
		s.checkEnd(*s.script)
	}
	return s
}

// mend removes the causes by which the Backup or a Restore failed.
func (s *simulation) mend() {
	s.tracef("the administrator mends the clusters")
	mended := successScript(len(s.clusters) - 1)
	s.script.backup, s.script.restores = mended.backup, mended.restores
	for _, m := range s.members {
		m.kept, m.unready, m.lost = 0, false, false
	}
}

// successScript returns a script in which everything is Completed after the fewest phases.
func successScript(targets int) veleroScript {
	script := veleroScript{
		backup:   []velerov1.BackupPhase{"InProgress", "Completed"},
		restores: map[migration.Cluster][]velerov1.RestorePhase{},
		items:    3,
	}
	for _, c := range allTargets[:targets] {
		script.restores[c] = []velerov1.RestorePhase{"InProgress", "Completed"}
	}
	return script
}

// randomScript returns a script with random ends, and with phases of older, current and future
// versions of Velero.
func randomScript(random *rand.Rand, targets int) veleroScript {
	script := veleroScript{restores: map[migration.Cluster][]velerov1.RestorePhase{}, items: 3, kept: map[migration.Cluster]int{}, unready: map[migration.Cluster]bool{}, lost: map[migration.Cluster]bool{}, lacks: map[migration.Cluster]int{}}
	if random.IntN(10) == 0 {
		script.items = 0
	}
	script.backup = pick(random, [][]velerov1.BackupPhase{
		{"Queued", "ReadyToStart", "InProgress"}, {"New", "Queued", "ReadyToStart", "InProgress"}, {"New", "InProgress"},
	})
	switch random.IntN(12) {
	case 0:
		script.backup = []velerov1.BackupPhase{"Queued", "ReadyToStart", "FailedValidation"}
	case 1:
		script.backup = append(script.backup, "Failed")
	case 2:
		script.backup = append(script.backup, "WaitingForPluginOperationsPartiallyFailed", "FinalizingPartiallyFailed", "PartiallyFailed")
	default:
		script.backup = append(script.backup, pick(random, [][]velerov1.BackupPhase{
			{"Finalizing"}, {"WaitingForPluginOperations", "Finalizing"}, {"PhaseOfTomorrow", "Finalizing"}, nil,
		})...)
		script.backup = append(script.backup, "Completed")
	}
	for _, c := range allTargets[:targets] {
		phases := pick(random, [][]velerov1.RestorePhase{{"InProgress"}, {"New", "InProgress"}})
		switch random.IntN(12) {
		case 0:
			phases = []velerov1.RestorePhase{"New", "FailedValidation"}
		case 1:
			phases = append(phases, "Failed")
		case 2:
			phases = append(phases, "FinalizingPartiallyFailed", "PartiallyFailed")
		default:
			phases = append(phases, pick(random, [][]velerov1.RestorePhase{
				{"Finalizing"}, {"WaitingForPluginOperations", "Finalizing"}, {"PhaseOfTomorrow"}, nil,
			})...)
			phases = append(phases, "Completed")
		}
		script.restores[c] = phases
		if random.IntN(8) == 0 && script.items > 0 {
			script.kept[c] = 1
		}
		script.unready[c], script.lost[c], script.lacks[c] = random.IntN(4) == 0, random.IntN(10) == 0, max(random.IntN(5)-2, 0)
	}
	script.waits, script.maps = random.IntN(3) == 0, random.IntN(4) == 0
	return script
}

func pick[T any](random *rand.Rand, from [][]T) []T {
	return slices.Clone(from[random.IntN(len(from))])
}

// report returns the trace and the recorded status.
func (s *simulation) report() string {
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
