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
	// down has calls wait for their context, as if the host did not answer; stuck, until
	// it is closed, whatever the state of their context.
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

func (w *world) elected(l *lease) *Driver {
	d := w.driver()
	d.LeaderElection = &LeaderElection{Lock: l, LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod}
	return d
}

// ending is a Driver's Run that can be stopped.
type ending struct {
	w      *world
	stop   context.CancelFunc
	result chan error
}

func (w *world) run(ctx context.Context, d *Driver) ending {
	ctx, cancel := context.WithCancel(ctx)
	e := ending{w, cancel, make(chan error, 1)}
	go func() { e.result <- d.Run(ctx) }()
	return e
}

// want stops it and wants the error, none if that is empty.
func (e ending) want(want string) {
	e.w.t.Helper()
	e.stop()
	got := ""
	if err := <-e.result; err != nil {
		got = err.Error()
	}
	if got != want {
		e.w.t.Errorf("Run: %q, want %q", got, want)
	}
}

// TestTheLeaseIsHeldWhileAWriteRuns stops a leader whose write goes on for a while.
func TestTheLeaseIsHeldWhileAWriteRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l := newWorld(t), &lease{}
		w.members[m1].stuck = make(chan struct{})
		ended := w.run(t.Context(), w.elected(l))
		w.apply(m2)
		time.Sleep(aMomentPasses)
		ended.stop()
		time.Sleep(stopTimeout / 2)
		if got := l.holder(); got != "us" {
			t.Errorf("the Lease is held by %q while a write runs", got)
		}
		close(w.members[m1].stuck)
		ended.want("")
		if got := l.holder(); got != "" {
			t.Errorf("the Lease is held by %q after the end", got)
		}
	})
}

// TestTheLeaseRunsOutWhileAWriteGoesOn stops a leader whose write never ends.
func TestTheLeaseRunsOutWhileAWriteGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l := newWorld(t), &lease{}
		w.members[m1].stuck = make(chan struct{})
		ended := w.run(t.Context(), w.elected(l))
		w.apply(m2)
		time.Sleep(aMomentPasses)
		ended.want("syncs or calls are still running 10s after the stop: syncs 0 [], calls 1 [default/app (since 2000-01-01T00:00:00Z)]")
		if got := l.holder(); got != "us" {
			t.Errorf("the Lease is held by %q while a write goes on", got)
		}
		close(w.members[m1].stuck)
	})
}

// TestALostLeadEndsWritesAtOnce has the host not answer any more: writes end before
// another replica may take the Lease.
func TestALostLeadEndsWritesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l := newWorld(t), &lease{}
		w.members[m1].hang = true
		d := w.elected(l)
		ended := w.run(t.Context(), d)
		w.apply(m2)
		time.Sleep(aMomentPasses)
		l.set(func() { l.down = true })
		time.Sleep(leaseDuration - aMomentPasses)
		if l := d.currentLoop(); l != nil {
			t.Errorf("still leads when the Lease has run out: calls %v", l.calls)
		}
		w.wantLive(d, "")
		l.set(func() { l.down = false })
		w.members[m1].change(func() { w.members[m1].hang = false })
		time.Sleep(leaseDuration + retryPeriod*2)
		w.wantPhase("Completed")
		ended.want("")
	})
}

// TestALeaderThatCannotRenewIsNotLive has the elector itself stand still.
func TestALeaderThatCannotRenewIsNotLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l := newWorld(t), &lease{}
		d := w.elected(l)
		ended := w.run(t.Context(), d)
		time.Sleep(time.Second)
		stuck := make(chan struct{})
		l.set(func() { l.stuck = stuck })
		time.Sleep(leaseDuration + renewLimit - 2*time.Second)
		w.wantLive(d, "")
		time.Sleep(retryPeriod + 2*time.Second)
		w.wantLive(d, "leaderElection: failed election to renew leadership on lease migrate-apiserver")
		l.set(func() { l.stuck = nil })
		close(stuck)
		ended.want("")
	})
}

// TestAReplicaThatNeverLedStops: it has nothing to give up.
func TestAReplicaThatNeverLedStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		l := &lease{record: &resourcelock.LeaderElectionRecord{HolderIdentity: "another", LeaseDurationSeconds: 3600}}
		l.record.RenewTime.Time = now
		w := newWorld(t)
		ended := w.run(t.Context(), w.elected(l))
		time.Sleep(aMomentPasses)
		ended.want("")
		if got := l.holder(); got != "another" {
			t.Errorf("the Lease is held by %q", got)
		}
	})
}
