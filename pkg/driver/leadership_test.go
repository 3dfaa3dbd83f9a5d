// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

const leaseDuration, renewDeadline, retryPeriod = 15 * time.Second, 10 * time.Second, 2 * time.Second

// lease is the Lease of the leader.
type lease struct {
	mutex  sync.Mutex
	record *resourcelock.LeaderElectionRecord
	// down blocks calls until their context ends, as if the host did not answer. stuck
	// blocks calls until it is closed, even after their context has ended.
	down  bool
	stuck chan struct{}
}

func (l *lease) call(ctx context.Context, do func() error) error {
	l.mutex.Lock()
	down, stuck := l.down, l.stuck
	l.mutex.Unlock()
	if stuck != nil {
		<-stuck
	}
	if down {
		<-ctx.Done()
		return ctx.Err()
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return do()
}

func (l *lease) Get(ctx context.Context) (record *resourcelock.LeaderElectionRecord, raw []byte, err error) {
	err = l.call(ctx, func() error {
		if l.record == nil {
			return apierrors.NewNotFound(schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}, "l")
		}
		held := *l.record
		record = &held
		raw, err = json.Marshal(record)
		return err
	})
	return record, raw, err
}

func (l *lease) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.call(ctx, func() error {
		l.record = &record
		return nil
	})
}

func (l *lease) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.Update(ctx, record)
}

func (l *lease) RecordEvent(string) {}
func (l *lease) Identity() string   { return "us" }
func (l *lease) Describe() string   { return "the Lease" }

func (l *lease) holder() string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.record == nil {
		return "none"
	}
	return l.record.HolderIdentity
}

func (l *lease) set(f func()) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	f()
}

// withElection returns a driver that elects its leader by l.
func (w *world) withElection(l *lease) *Driver {
	d := w.driver()
	d.LeaderElection = &LeaderElection{Lock: l, LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod}
	return d
}

// driverRun is a call of Driver.Run that can be stopped.
type driverRun struct {
	w      *world
	stop   context.CancelFunc
	result chan error
}

// start calls d.Run in the background.
func (w *world) start(ctx context.Context, d *Driver) driverRun {
	ctx, cancel := context.WithCancel(ctx)
	r := driverRun{w, cancel, make(chan error, 1)}
	go func() { r.result <- d.Run(ctx) }()
	return r
}

// stopAndWant stops the run, and checks its error; an empty want means none.
func (r driverRun) stopAndWant(want string) {
	r.w.t.Helper()
	r.stop()
	got := ""
	if err := <-r.result; err != nil {
		got = err.Error()
	}
	if got != want {
		r.w.t.Errorf("Run: %q, want %q", got, want)
	}
}

// TestLeaderHoldsTheLeaseUntilItsWritesEnd stops a leader whose write takes a while.
func TestLeaderHoldsTheLeaseUntilItsWritesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l := newWorld(t), &lease{}
		w.members[m1].stuck = make(chan struct{})
		run := w.start(t.Context(), w.withElection(l))
		w.apply(m2)
		time.Sleep(processingTime)
		run.stop()
		time.Sleep(stopTimeout / 2)
		if got := l.holder(); got != "us" {
			t.Errorf("the Lease is held by %q during a write, want us", got)
		}
		close(w.members[m1].stuck)
		run.stopAndWant("")
		if got := l.holder(); got != "" {
			t.Errorf("the Lease is held by %q after the end, want no holder", got)
		}
	})
}

// TestLeaderDoesNotReleaseTheLeaseWhileAWriteIsStuck stops a leader whose write never returns.
func TestLeaderDoesNotReleaseTheLeaseWhileAWriteIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l := newWorld(t), &lease{}
		w.members[m1].stuck = make(chan struct{})
		run := w.start(t.Context(), w.withElection(l))
		w.apply(m2)
		time.Sleep(processingTime)
		run.stopAndWant("syncs or calls are still running 10s after the stop: syncs 0 [], calls 1 [default/app (since 2000-01-01T00:00:00Z)]")
		if got := l.holder(); got != "us" {
			t.Errorf("the Lease is held by %q during a write, want us", got)
		}
		close(w.members[m1].stuck)
	})
}

// TestLeaderCancelsItsWritesWhenItLosesTheLease makes the host unreachable: writes end before another
// replica may take the Lease.
func TestLeaderCancelsItsWritesWhenItLosesTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l := newWorld(t), &lease{}
		w.members[m1].hang = true
		d := w.withElection(l)
		run := w.start(t.Context(), d)
		w.apply(m2)
		time.Sleep(processingTime)
		l.set(func() { l.down = true })
		time.Sleep(leaseDuration - processingTime)
		if l := d.currentLoop(); l != nil {
			t.Errorf("still leads after the Lease has expired: calls %v", l.calls)
		}
		w.wantLive(d, "")
		l.set(func() { l.down = false })
		w.members[m1].change(func() { w.members[m1].hang = false })
		time.Sleep(leaseDuration + retryPeriod*2)
		w.wantPhase("Completed")
		run.stopAndWant("")
	})
}

// TestLeaderThatCannotRenewIsNotLive blocks the elector itself.
func TestLeaderThatCannotRenewIsNotLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l := newWorld(t), &lease{}
		d := w.withElection(l)
		run := w.start(t.Context(), d)
		time.Sleep(time.Second)
		stuck := make(chan struct{})
		l.set(func() { l.stuck = stuck })
		time.Sleep(leaseDuration + renewLimit - 2*time.Second)
		w.wantLive(d, "")
		time.Sleep(retryPeriod + 2*time.Second)
		w.wantLive(d, "leaderElection: failed election to renew leadership on lease migrate-apiserver")
		l.set(func() { l.stuck = nil })
		close(stuck)
		run.stopAndWant("")
	})
}

// TestFollowerStopsAndKeepsTheLeaseOfTheLeader stops a replica that never led.
func TestFollowerStopsAndKeepsTheLeaseOfTheLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		l := &lease{record: &resourcelock.LeaderElectionRecord{HolderIdentity: "another", LeaseDurationSeconds: 3600}}
		l.record.RenewTime.Time = now
		w := newWorld(t)
		run := w.start(t.Context(), w.withElection(l))
		time.Sleep(processingTime)
		run.stopAndWant("")
		if got := l.holder(); got != "another" {
			t.Errorf("the Lease is held by %q, want another", got)
		}
	})
}
