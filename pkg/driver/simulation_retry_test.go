// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/test/modelvelero"
)

// TestSimulationOfRetriesWithEachFault simulates a migration to two targets, one of which fails, and then an attempt from
// either Backup with each fault of each write.
func TestSimulationOfRetriesWithEachFault(t *testing.T) {
	t.Parallel()
	const targets, writes = 2, 10
	runs := 0
	for order := range reduced(4) {
		for _, from := range []v1alpha1.RetryBackup{v1alpha1.RetryBackupExisting, v1alpha1.RetryBackupNew} {
			for write := range writes {
				for _, f := range faults {
					runs++
					script := successScript(targets)
					script.restores[m2] = []velerov1.RestorePhase{"InProgress", "Failed"}
					s := newSimulation(rand.New(rand.NewPCG(order, 3)), targets, script)
					s.heal(migration.Cluster{})
					s.finish(s.ended)
					s.mend()
					s.plan = map[int]fault{s.writes + write: f}
					if !s.retryFrom(from) {
						t.Fatalf("no retry from the Backup %s\n%s", from, s.report())
					}
					s.finish(s.ended)
					s.checkEnd(*s.script)
					kept := "m3-migrate-default-app-c948154d"
					if got := s.stored.Status.TargetClusterStatus[1].RestoreNameInCluster; got != kept && s.failure == "" {
						s.failf("the Completed target has the Restore %s, want %s", got, kept)
					}
					if s.failure != "" {
						t.Fatalf("simulation failed: %s\norder %d, Backup %s, %v of write %d\n%s", s.failure, order, from, f, write, s.report())
					}
				}
			}
		}
	}
	t.Logf("%d simulations", runs)
}

// TestSimulationOfRetriesAfter simulates retries whose last attempt left something behind.
func TestSimulationOfRetriesAfter(t *testing.T) {
	t.Parallel()
	const orders, targets = 20, 1
	for name, tt := range map[string]struct {
		restore []velerov1.RestorePhase
		// leave brings the first attempt to its end, and takeOver has the second one begin.
		leave, takeOver func(*simulation)
	}{
		"a call that has not ended": {
			leave: func(s *simulation) {
				s.finish(func() bool { return len(s.drivers[0].calls) > 0 && s.isPinned() })
				for i := range s.drivers[0].calls {
					s.drivers[0].calls[i].held = true
				}
				s.cancel()
				s.wait(2 * time.Minute)
			},
			takeOver: func(s *simulation) {
				for i := range s.drivers[0].calls {
					s.drivers[0].calls[i].held = false
				}
			},
		},
		"a driver that has not seen its end": {
			restore: []velerov1.RestorePhase{"InProgress", "PartiallyFailed"},
			leave: func(s *simulation) {
				s.startDriver()
				second := s.drivers[1]
				s.finish(func() bool {
					state := second.loop.states[migrateKey]
					return state != nil && len(state.ended) > 0 || s.hasEnded()
				})
				second.paused = true
			},
			takeOver: func(s *simulation) {
				s.drivers[0].paused, s.drivers[1].paused = true, false
				s.finish(s.hasEnded)
				s.drivers[0].paused = false
			},
		},
		"a Restore that has not ended": {
			leave: func(s *simulation) {
				target := s.members[m2]
				s.finish(func() bool {
					return slices.ContainsFunc(target.memory.Objects(), func(o modelvelero.Object) bool { return modelvelero.KeyOf(o).Kind == "Restore" })
				})
				target.fault, target.stopped = errDown, true
				s.crash(s.drivers[0]) // which would record it
				s.cancel()
				s.wait(3 * migration.DefaultProgressDeadline)
			},
			takeOver: func(s *simulation) { s.members[m2].fault, s.members[m2].stopped = nil, false },
		},
	} {
		t.Run(name, func(t *testing.T) {
			for order := range uint64(orders) {
				script := successScript(targets)
				if tt.restore != nil {
					script.restores[m2] = tt.restore
				}
				s := newSimulation(rand.New(rand.NewPCG(order, 4)), targets, script)
				s.heal(migration.Cluster{})
				tt.leave(s)
				s.finish(s.hasEnded)
				s.mend()
				if !s.retryFrom(v1alpha1.RetryBackupExisting) && !s.retryFrom(v1alpha1.RetryBackupNew) {
					s.failf("no retry after %s", describe(&s.stored.Status))
				}
				tt.takeOver(s)
				s.finish(s.ended)
				if s.checkEnd(*s.script); s.failure != "" {
					t.Fatalf("simulation failed: %s\norder %d\n%s", s.failure, order, s.report())
				}
			}
		})
	}
}

// isPinned reports whether the clusters are pinned.
func (s *simulation) isPinned() bool { return s.stored != nil && migration.IsPinned(&s.stored.Status) }

// hasEnded reports whether the end of the Migrate is stored.
func (s *simulation) hasEnded() bool {
	return s.stored != nil && migration.IsTerminal(s.stored.Status.Phase)
}

// wait lets time pass, in which the drivers work on.
func (s *simulation) wait(d time.Duration) {
	const parts, steps = 6, 30
	for range parts {
		s.advance(d / parts)
		until := s.steps + steps
		s.finish(func() bool { return s.steps > until || s.hasEnded() })
	}
}
