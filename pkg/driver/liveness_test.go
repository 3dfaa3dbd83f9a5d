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

// live returns the errors of the liveness checks of d.
func live(d *Driver) string {
	var failures []string
	for _, check := range d.LivenessChecks() {
		if err := check.Check(nil); err != nil {
			failures = append(failures, check.Name()+": "+err.Error())
		}
	}
	return strings.Join(failures, "; ")
}

func (w *world) wantLive(d *Driver, want string) {
	w.t.Helper()
	if got := live(d); got != want && (want == "" || !strings.Contains(got, want)) {
		w.t.Errorf("livez says %q, want %q", got, want)
	}
}

func TestASyncThatStandsStillIsNotLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.stuck = make(chan struct{})
		d := w.driver()
		ended := w.run(t.Context(), d)
		w.apply(m2)
		time.Sleep(syncLimit)
		w.wantLive(d, "")
		time.Sleep(time.Second)
		w.wantLive(d, "migrate-driver-loop: the sync of Migrate default/app (since 2000-01-01T00:00:00Z) is stuck")
		close(w.stuck)
		time.Sleep(aMomentPasses)
		w.wantLive(d, "")
		ended.want("")
	})
}

// TestAQueueThatIsNotServedIsNotLive fills the queue of a loop that has no workers.
func TestAQueueThatIsNotServedIsNotLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.driver()
		l := newLoop(d.Config)
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

// TestAMemberThatHangsIsLive: what a member does is no reason for a restart.
func TestAMemberThatHangsIsLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.members[m2].hang = true
		d := w.driver()
		ended := w.run(t.Context(), d)
		w.apply(m2)
		time.Sleep(aMomentPasses)
		w.wantPhase("RestoreInProgress")
		for range 10 {
			w.wantLive(d, "")
			time.Sleep(syncLimit)
		}
		ended.want("")
	})
}

// TestAStopDoesNotWaitForEver has a sync, and a call in the background, never end.
func TestAStopDoesNotWaitForEver(t *testing.T) {
	for name, test := range map[string]struct {
		stick func(*world, chan struct{})
		want  string
	}{
		"a sync": {
			func(w *world, stuck chan struct{}) { w.stuck = stuck },
			"syncs or calls are still running 10s after the stop: syncs 1 [default/app (since 2000-01-01T00:00:00Z)], calls 0 []",
		},
		"a call": {
			func(w *world, stuck chan struct{}) { w.members[m1].stuck = stuck },
			"syncs or calls are still running 10s after the stop: syncs 0 [], calls 1 [default/app (since 2000-01-01T00:00:00Z)]",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				stuck := make(chan struct{})
				test.stick(w, stuck)
				ended := w.run(t.Context(), w.driver())
				w.apply(m2)
				time.Sleep(aMomentPasses)
				began := time.Now()
				ended.want(test.want)
				if took := time.Since(began); took > stopTimeout {
					t.Errorf("the stop took %s", took)
				}
				close(stuck)
			})
		})
	}
}
