// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	clocktesting "k8s.io/utils/clock/testing"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	backuplisters "kurator.dev/migrate-apiserver/pkg/generated/listers/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/permission"
)

// simulatedDriver is a driver with its caches. Its loop is the real one.
type simulatedDriver struct {
	s       *simulation
	number  int
	dead    bool
	syncing bool
	// paused is set while the driver takes no steps.
	paused bool
	loop   *loop
	queue  *simulatedQueue
	calls  []asyncCall
	// decided is the number of versions of the Migrate when the current call was started.
	decided int
	// confirmed is the number of versions of the Migrate when the current call read it, or 0
	// if that was not its last request.
	confirmed atomic.Int64
	// delivered is the number of versions of the Migrate that the watch has delivered.
	delivered int
	// blocking are the Backups of others that the driver knew when it began its sync.
	blocking map[string]bool
	// stalled is set while the watch of Migrates delivers nothing.
	stalled bool
	host    simulatedHost
	caches  map[migration.Cluster]*memberCache
}

// asyncCall is a background call that has not run yet.
type asyncCall struct {
	do      func()
	decided int
	// held is set while it does not run.
	held bool
}

// crashed is the panic of a driver that crashes.
type crashed struct{ driver *simulatedDriver }

// startDriver starts another driver.
func (s *simulation) startDriver() {
	s.started++
	d := &simulatedDriver{
		s: s, number: s.started, delivered: len(s.versions), host: s.host,
		queue:  &simulatedQueue{later: map[types.NamespacedName]time.Time{}, clock: s.clock},
		caches: map[migration.Cluster]*memberCache{},
	}
	d.loop = &loop{
		Config: Config{
			Migrates: simulatedMigrates{d}, Host: d, Permission: permission.New(authorizerfactory.NewAlwaysAllowAuthorizer(), permission.Options{}), Members: d,
			Events: &events.FakeRecorder{}, Clock: s.clock,
		},
		queue:    d.queue,
		lister:   simulatedLister{d: d},
		sharings: &sharings{},
		// A plan reads the clusters side by side, in no deterministic order.
		plan: func(context.Context, *v1alpha1.Migrate) (*v1alpha1.MigratePreviewStatus, error) {
			return &v1alpha1.MigratePreviewStatus{Verdict: v1alpha1.PreviewReady}, nil
		},
		previews: make(chan struct{}, 1),
		async: func(_ types.NamespacedName, call func()) {
			d.calls = append(d.calls, asyncCall{do: call, decided: len(s.versions)})
		},
		states: map[types.NamespacedName]*migrateState{},
	}
	s.drivers = append(s.drivers, d)
	s.concurrent = s.concurrent || len(s.drivers) > 1
	s.tracef("driver %d starts", d.number)
	d.queue.Add(migrateKey)
}

// crash ends a driver. If it was the only one, another driver starts.
func (s *simulation) crash(d *simulatedDriver) {
	s.tracef("driver %d crashes", d.number)
	d.dead = true
	s.drivers = slices.DeleteFunc(s.drivers, func(other *simulatedDriver) bool { return other == d })
	if len(s.drivers) == 0 {
		s.startDriver()
	}
}

// recoverCrash calls do, which may crash the driver.
func (d *simulatedDriver) recoverCrash(do func()) {
	confirmed := d.confirmed.Swap(0)
	defer func() {
		d.confirmed.Store(confirmed)
		r := recover()
		c, ok := r.(crashed)
		switch {
		case r == nil:
		case !ok || c.driver != d:
			d.s.tracef("panic: %v", r)
			panic(fmt.Sprintf("%v\n%s", r, d.s.report()))
		case !d.dead:
			d.s.crash(d)
		}
	}()
	do()
}

// steps returns the steps that the driver may take next: a sync, a call, or a delivery to a cache.
func (d *simulatedDriver) steps() []func() {
	var steps []func()
	if d.paused {
		return nil
	}
	if len(d.queue.ready) > 0 && !d.syncing {
		steps = append(steps, d.sync)
	}
	for i := range d.calls {
		if !d.calls[i].held {
			steps = append(steps, func() { d.call(i) })
		}
	}
	if d.delivered < len(d.s.versions) && !d.stalled {
		steps = append(steps, d.deliverMigrate)
	}
	if d.host.version != d.s.host.version {
		steps = append(steps, d.deliverHost)
	}
	for _, c := range d.s.clusters {
		if v := d.caches[c]; v != nil && !v.stalled && v.isBehind(d.s.members[c]) {
			steps = append(steps, func() { d.deliverMember(c) })
		}
	}
	return steps
}

// sync syncs the next Migrate of the queue.
func (d *simulatedDriver) sync() {
	d.s.tracef("driver %d syncs", d.number)
	d.syncing, d.blocking = true, d.othersRunning()
	if d.hasTurn() {
		d.blocking = nil
	}
	defer func() { d.syncing = false }()
	d.recoverCrash(func() {
		ctx := klog.NewContext(context.Background(), logr.Discard())
		key, _ := d.queue.Get()
		d.loop.requeue(ctx, key, d.loop.sync(ctx, key))
	})
}

// hasTurn reports whether the Migrate in the driver's cache has had its turn, though it may not be
// recorded.
func (d *simulatedDriver) hasTurn() bool {
	m := d.cached()
	if m == nil {
		return false
	}
	position := d.loop.queues.positions[m.UID]
	return position.queueID != queueID{} && position.place == 0
}

// othersRunning returns the names of the Backups of others in the source that Velero runs, as the driver
// knows.
func (d *simulatedDriver) othersRunning() map[string]bool {
	names := map[string]bool{}
	if v := d.caches[m1]; v != nil && !v.elsewhere {
		for _, b := range running(m1, v.objects(d.s.members[m1])).Backups {
			if strings.HasPrefix(b.Name, othersPrefix) {
				names[b.Name] = true
			}
		}
	}
	return names
}

// call runs a background call.
func (d *simulatedDriver) call(i int) {
	call := d.calls[i]
	d.calls = slices.Delete(d.calls, i, i+1)
	d.s.tracef("driver %d calls", d.number)
	decided := d.decided
	defer func() { d.decided = decided }()
	d.decided = call.decided
	d.recoverCrash(call.do)
}

// deliverMigrate delivers a later version of the Migrate. It may skip versions, like a watch that is
// restarted.
func (d *simulatedDriver) deliverMigrate() {
	d.delivered += 1 + d.s.random.IntN(len(d.s.versions)-d.delivered)
	d.s.tracef("driver %d receives version %d of the Migrate", d.number, d.delivered)
	d.queue.Add(migrateKey)
}

// cached returns the Migrate in the driver's cache; nil if there is none.
func (d *simulatedDriver) cached() *v1alpha1.Migrate { return d.s.versions[d.delivered-1] }

// Record stores a status, and checks it.
func (d *simulatedDriver) Record(_ context.Context, m *v1alpha1.Migrate) (recorded *v1alpha1.Migrate, err error) {
	err = d.write(recordWrite{m}, func() error {
		before := d.s.stored
		stored, err := d.s.record(m)
		if err != nil {
			return err
		}
		d.s.checkRecord(before, stored)
		d.checkTurn(before, stored)
		recorded = stored
		return nil
	})
	if err != nil {
		return nil, err
	}
	return recorded, nil
}

// recordWrite describes a status update in the trace.
type recordWrite struct{ *v1alpha1.Migrate }

func (r recordWrite) String() string { return "record " + describe(&r.Status) }

var migrateKey = types.NamespacedName{Namespace: "default", Name: "app"}

// simulatedQueue is a work queue on the clock of the simulation.
type simulatedQueue struct {
	workqueue.TypedRateLimitingInterface[types.NamespacedName]
	clock *clocktesting.FakeClock
	ready []types.NamespacedName
	later map[types.NamespacedName]time.Time
}

func (q *simulatedQueue) Add(key types.NamespacedName) {
	if !slices.Contains(q.ready, key) {
		q.ready = append(q.ready, key)
	}
}

func (q *simulatedQueue) AddAfter(key types.NamespacedName, d time.Duration) {
	at := q.clock.Now().Add(d)
	if before, ok := q.later[key]; !ok || at.Before(before) {
		q.later[key] = at
	}
}

func (q *simulatedQueue) AddRateLimited(key types.NamespacedName) { q.AddAfter(key, time.Second) }
func (q *simulatedQueue) Forget(types.NamespacedName)             {}
func (q *simulatedQueue) Done(types.NamespacedName)               {}

func (q *simulatedQueue) Get() (key types.NamespacedName, shutdown bool) {
	key, q.ready = q.ready[0], q.ready[1:]
	return key, false
}

// wake adds the keys that are due.
func (q *simulatedQueue) wake(now time.Time) {
	for key, at := range q.later {
		if !at.After(now) {
			delete(q.later, key)
			q.Add(key)
		}
	}
}

// simulatedLister is the driver's cache of Migrates.
type simulatedLister struct {
	backuplisters.MigrateLister
	d *simulatedDriver
}

func (l simulatedLister) Migrates(string) backuplisters.MigrateNamespaceLister {
	return oneMigrate{d: l.d}
}

type oneMigrate struct {
	backuplisters.MigrateNamespaceLister
	d *simulatedDriver
}

func (o oneMigrate) Get(name string) (*v1alpha1.Migrate, error) {
	if o.d.cached() == nil {
		return nil, apierrors.NewNotFound(v1alpha1.Resource("migrates"), name)
	}
	return o.d.cached(), nil
}

func (o oneMigrate) List(labels.Selector) ([]*v1alpha1.Migrate, error) {
	if o.d.cached() == nil {
		return nil, nil
	}
	return []*v1alpha1.Migrate{o.d.cached()}, nil
}

// simulatedMigrates are the stored Migrates, of which there is one.
type simulatedMigrates struct{ *simulatedDriver }

func (m simulatedMigrates) Get(_ context.Context, _, name string) (*v1alpha1.Migrate, error) {
	m.request()
	m.confirmed.Store(int64(len(m.s.versions)))
	return m.s.get(name)
}

func (simulatedMigrates) List(context.Context, string) (*v1alpha1.MigrateList, error) {
	panic("only previews list")
}

func (simulatedMigrates) ListWatch() cache.ListerWatcher {
	panic("the simulation delivers the versions")
}
