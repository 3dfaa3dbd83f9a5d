// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	clocktesting "k8s.io/utils/clock/testing"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/generated/clientset/versioned"
	clientv1alpha1 "kurator.dev/migrate-apiserver/pkg/generated/clientset/versioned/typed/backup/v1alpha1"
	backuplisters "kurator.dev/migrate-apiserver/pkg/generated/listers/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/permission"
)

// simulatedDriver is one driver with what it has heard of the world. Its loop is the
// real one.
type simulatedDriver struct {
	s       *simulation
	number  int
	dead    bool
	turning bool
	loop    *loop
	queue   *simulatedQueue
	calls   []besideCall
	// decided is the number of versions of the Migrate when the current call was decided.
	decided int
	// confirmed is how many versions the Migrate had when the call under way read it, if
	// that was the last request that it made; 0 if it was not.
	confirmed atomic.Int64
	// heard is up to where in its history the driver knows the Migrate.
	heard int
	// stalled is set while it gets no events of the Migrate.
	stalled bool
	host    simulatedHost
	views   map[migration.Cluster]*view
}

// besideCall is a call that a driver has decided to make async its loop.
type besideCall struct {
	do      func()
	decided int
}

// crashed is what a driver panics with when it dies.
type crashed struct{ driver *simulatedDriver }

func (s *simulation) startDriver() {
	s.started++
	d := &simulatedDriver{
		s: s, number: s.started, heard: len(s.versions), host: s.host,
		queue: &simulatedQueue{later: map[types.NamespacedName]time.Time{}, clock: s.clock},
		views: map[migration.Cluster]*view{},
	}
	d.loop = &loop{
		Config: Config{
			Client: simulatedClient{d: d}, Recorder: d, Host: d, Permission: permission.New(authorizerfactory.NewAlwaysAllowAuthorizer(), permission.Options{}), Members: d,
			Events: &events.FakeRecorder{}, Clock: s.clock,
		},
		queue:  d.queue,
		lister: simulatedLister{d: d},
		async: func(_ types.NamespacedName, call func()) {
			d.calls = append(d.calls, besideCall{call, len(s.versions)})
		},
		states: map[types.NamespacedName]*migrateState{},
	}
	s.drivers = append(s.drivers, d)
	s.two = s.two || len(s.drivers) > 1
	s.tracef("driver %d starts", d.number)
	d.queue.Add(migrateKey)
}

// crash ends a driver; if it was the only one another takes its place.
func (s *simulation) crash(d *simulatedDriver) {
	s.tracef("driver %d dies", d.number)
	d.dead = true
	s.drivers = slices.DeleteFunc(s.drivers, func(other *simulatedDriver) bool { return other == d })
	if len(s.drivers) == 0 {
		s.startDriver()
	}
}

// guarded does something that the driver may die of.
func (d *simulatedDriver) guarded(do func()) {
	confirmed := d.confirmed.Swap(0)
	defer func() {
		d.confirmed.Store(confirmed)
		r := recover()
		c, died := r.(crashed)
		switch {
		case r == nil:
		case !died || c.driver != d:
			d.s.tracef("panic: %v", r)
			panic(fmt.Sprintf("%v\n%s", r, d.s.story()))
		case !d.dead:
			d.s.crash(d)
		}
	}()
	do()
}

// possible is what the driver may do next, or hear.
func (d *simulatedDriver) possible() []func() {
	var possible []func()
	if len(d.queue.ready) > 0 && !d.turning {
		possible = append(possible, d.turn)
	}
	for i := range d.calls {
		possible = append(possible, func() { d.call(i) })
	}
	if d.heard < len(d.s.versions) && !d.stalled {
		possible = append(possible, d.deliverMigrate)
	}
	if d.host.version != d.s.host.version {
		possible = append(possible, d.deliverHost)
	}
	for _, c := range d.s.clusters {
		if v := d.views[c]; v != nil && !v.stalled && v.isBehind(d.s.members[c]) {
			possible = append(possible, func() { d.deliverMember(c) })
		}
	}
	return possible
}

func (d *simulatedDriver) turn() {
	d.s.tracef("driver %d turns", d.number)
	d.turning = true
	defer func() { d.turning = false }()
	d.guarded(func() {
		ctx := klog.NewContext(context.Background(), logr.Discard())
		key, _ := d.queue.Get()
		d.loop.requeue(ctx, key, d.loop.sync(ctx, key))
	})
}

func (d *simulatedDriver) call(i int) {
	call := d.calls[i]
	d.calls = slices.Delete(d.calls, i, i+1)
	d.s.tracef("driver %d calls", d.number)
	decided := d.decided
	defer func() { d.decided = decided }()
	d.decided = call.decided
	d.guarded(call.do)
}

// deliverMigrate delivers a later state of the Migrate; some are left out, as by a
// watch that was broken off.
func (d *simulatedDriver) deliverMigrate() {
	d.heard += 1 + d.s.random.IntN(len(d.s.versions)-d.heard)
	d.s.tracef("driver %d hears of version %d of the Migrate", d.number, d.heard)
	d.queue.Add(migrateKey)
}

func (d *simulatedDriver) known() *v1alpha1.Migrate { return d.s.versions[d.heard-1] }

// Record is etcd's, with the checks that every record must pass.
func (d *simulatedDriver) Record(_ context.Context, m *v1alpha1.Migrate) (recorded *v1alpha1.Migrate, err error) {
	err = d.write(aRecord{m}, func() error {
		before := d.s.stored
		stored, err := d.s.record(m)
		if err != nil {
			return err
		}
		d.s.checkRecord(before, stored)
		recorded = stored
		return nil
	})
	if err != nil {
		return nil, err
	}
	return recorded, nil
}

type aRecord struct{ *v1alpha1.Migrate }

func (r aRecord) String() string { return "record " + describe(&r.Status) }

var migrateKey = types.NamespacedName{Namespace: "default", Name: "app"}

// simulatedQueue is a work queue whose time is the simulation's.
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
	if o.d.known() == nil {
		return nil, apierrors.NewNotFound(v1alpha1.Resource("migrates"), name)
	}
	return o.d.known(), nil
}

func (o oneMigrate) List(labels.Selector) ([]*v1alpha1.Migrate, error) {
	if o.d.known() == nil {
		return nil, nil
	}
	return []*v1alpha1.Migrate{o.d.known()}, nil
}

// simulatedClient reads what is stored.
type simulatedClient struct {
	versioned.Interface
	d *simulatedDriver
}

func (c simulatedClient) BackupV1alpha1() clientv1alpha1.BackupV1alpha1Interface {
	return simulatedGroup{d: c.d}
}

type simulatedGroup struct {
	clientv1alpha1.BackupV1alpha1Interface
	d *simulatedDriver
}

func (g simulatedGroup) Migrates(string) clientv1alpha1.MigrateInterface {
	return simulatedMigrates{d: g.d}
}

type simulatedMigrates struct {
	clientv1alpha1.MigrateInterface
	d *simulatedDriver
}

func (m simulatedMigrates) Get(_ context.Context, name string, _ metav1.GetOptions) (*v1alpha1.Migrate, error) {
	m.d.request()
	m.d.confirmed.Store(int64(len(m.d.s.versions)))
	return m.d.s.get(name)
}
