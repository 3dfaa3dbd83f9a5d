// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// livenessErrors returns the errors of d's liveness checks.
func livenessErrors(d *Driver) string {
	var failures []string
	for _, check := range d.LivenessChecks() {
		if err := check.Check(nil); err != nil {
			failures = append(failures, check.Name()+": "+err.Error())
		}
	}
	return strings.Join(failures, "; ")
}

// wantLive checks that the liveness errors contain want; an empty want means none.
func (w *world) wantLive(d *Driver, want string) {
	w.t.Helper()
	if got := livenessErrors(d); got != want && (want == "" || !strings.Contains(got, want)) {
		w.t.Errorf("livez returns %q, want %q", got, want)
	}
}

func TestStuckSyncIsNotLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.stuck = make(chan struct{})
		d := w.driver()
		run := w.start(t.Context(), d)
		w.apply(m2)
		time.Sleep(syncLimit)
		w.wantLive(d, "")
		time.Sleep(time.Second)
		w.wantLive(d, "migrate-driver-loop: the sync of Migrate default/app (since 2000-01-01T00:00:00Z) is stuck")
		close(w.stuck)
		time.Sleep(processingTime)
		w.wantLive(d, "")
		run.stopAndWant("")
	})
}

// TestQueueWithoutWorkersIsNotLive fills the queue of a loop that has no workers.
func TestQueueWithoutWorkersIsNotLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.driver()
		l := newLoop(d.Config, &sharings{})
		defer l.queue.ShutDown()
		d.setRunning(l)
		time.Sleep(2 * syncLimit)
		w.wantLive(d, "")

		l.queue.Add(types.NamespacedName{Namespace: "default", Name: "app"})
		w.wantLive(d, "")
		time.Sleep(syncLimit + time.Second)
		w.wantLive(d, "1 Migrates are queued, and none has been synced since 2000-01-01T00:04:00Z")
		l.syncNext(t.Context())
		w.wantLive(d, "")
	})
}

// TestHangingMemberDoesNotFailLiveness checks that a member can't cause a restart.
func TestHangingMemberDoesNotFailLiveness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.members[m2].hang = true
		d := w.driver()
		run := w.start(t.Context(), d)
		w.apply(m2)
		time.Sleep(processingTime)
		w.wantPhase("RestoreInProgress")
		for range 10 {
			w.wantLive(d, "")
			time.Sleep(syncLimit)
		}
		run.stopAndWant("")
	})
}

// TestRunReturnsAnErrorAfterStopTimeout blocks a sync or a background call for ever.
func TestRunReturnsAnErrorAfterStopTimeout(t *testing.T) {
	for name, test := range map[string]struct {
		block func(*world, chan struct{})
		want  string
	}{
		"stuck sync": {
			func(w *world, stuck chan struct{}) { w.stuck = stuck },
			"syncs or calls are still running 10s after the stop: syncs 1 [default/app (since 2000-01-01T00:00:00Z)], calls 0 []",
		},
		"stuck call": {
			func(w *world, stuck chan struct{}) { w.members[m1].stuck = stuck },
			"syncs or calls are still running 10s after the stop: syncs 0 [], calls 1 [default/app (since 2000-01-01T00:00:00Z)]",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				stuck := make(chan struct{})
				test.block(w, stuck)
				run := w.start(t.Context(), w.driver())
				w.apply(m2)
				time.Sleep(processingTime)
				began := time.Now()
				run.stopAndWant(test.want)
				if took := time.Since(began); took > stopTimeout {
					t.Errorf("the stop took %s", took)
				}
				close(stuck)
			})
		})
	}
}
