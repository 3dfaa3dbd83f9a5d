// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/go-logr/logr"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	clocktesting "k8s.io/utils/clock/testing"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/generated/clientset/versioned"
	clientv1alpha1 "kurator.dev/migrate-apiserver/pkg/generated/clientset/versioned/typed/backup/v1alpha1"
	backuplisters "kurator.dev/migrate-apiserver/pkg/generated/listers/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// fault is how a write goes wrong.
type fault int

const (
	none        fault = iota
	crashBefore       // the driver dies before the write is made
	crashAfter        // the driver dies after it
	refused           // the write is not made, and the driver is told
	answerLost        // the write is made, and the driver is told that it was not
)

func (f fault) String() string {
	return [...]string{"none", "crash before", "crash after", "refused", "answer lost"}[f]
}

// crashed is what a driver panics with when it dies.
type crashed struct{}

// simulation is a world in which nothing happens by itself: the real loop's turns
// and calls, Velero's steps and the deliveries of watches are all taken one by
// one, so the same choices always lead to the same end.
type simulation struct {
	t      *testing.T
	random *rand.Rand
	clock  *clocktesting.FakeClock
	trace  []string

	// stored is the Migrate in etcd; nil if it was deleted.
	stored  *v1alpha1.Migrate
	members map[migration.Cluster]*simulatedMember
	drivers []*simulatedDriver

	// writes counts the writes that were tried; plan says which go wrong.
	writes int
	plan   map[int]fault
	// backupSteps and restoreSteps are the phases that Velero goes through.
	backupSteps  []velerov1.BackupPhase
	restoreSteps []velerov1.RestorePhase
	// bucket is the finished Backup in the storage that all members share.
	bucket *velerov1.Backup
	// byHand says that somebody deleted an object of ours.
	byHand bool
}

func newSimulation(t *testing.T, random *rand.Rand) *simulation {
	s := &simulation{
		t: t, random: random, plan: map[int]fault{},
		backupSteps: backupSteps, restoreSteps: restoreSteps,
		clock:   clocktesting.NewFakeClock(time.Date(2023, 10, 28, 15, 55, 13, 0, time.UTC)),
		members: map[migration.Cluster]*simulatedMember{},
	}
	for _, c := range []migration.Cluster{m1, m2, m3} {
		s.members[c] = &simulatedMember{name: c.Name, backupEnds: velerov1.BackupPhaseCompleted, restoreEnds: velerov1.RestorePhaseCompleted}
	}
	for _, name := range volumes {
		s.members[m1].pvbs = append(s.members[m1].pvbs, velerov1.PodVolumeBackup{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	reference := func(c migration.Cluster) corev1.ObjectReference {
		return corev1.ObjectReference{Kind: c.Kind, Name: c.Name}
	}
	s.stored = &v1alpha1.Migrate{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: "app", UID: "c948154d-1727", ResourceVersion: "1",
			CreationTimestamp: metav1.NewTime(s.clock.Now()),
		},
		Spec: v1alpha1.MigrateSpec{
			SourceCluster: v1alpha1.Destination{Fleet: "f", Clusters: []corev1.ObjectReference{reference(m1)}},
			TargetCluster: v1alpha1.Destination{Fleet: "f", Clusters: []corev1.ObjectReference{reference(m2), reference(m3)}},
		},
	}
	s.startDriver()
	return s
}

func (s *simulation) tracef(format string, args ...any) {
	s.trace = append(s.trace, fmt.Sprintf(format, args...))
}

func (s *simulation) someCluster() migration.Cluster {
	return []migration.Cluster{m1, m2, m3}[s.random.IntN(3)]
}

// write makes a write, or has it go wrong as planned.
func (s *simulation) write(what string, do func() error) error {
	n := s.writes
	s.writes++
	f := s.plan[n]
	s.tracef("write %d: %s (fault: %v)", n, what, f)
	switch f {
	case crashBefore:
		panic(crashed{})
	case refused:
		return errors.New("refused")
	}
	err := do()
	switch f {
	case crashAfter:
		panic(crashed{})
	case answerLost:
		return errors.New("the answer was lost")
	}
	return err
}

// step does one of the things that a driver has to do, or delivers to it.
func (s *simulation) step() {
	d := s.drivers[s.random.IntN(len(s.drivers))]
	var possible []func()
	if len(d.queue.ready) > 0 {
		possible = append(possible, d.turn)
	}
	for i := range d.calls {
		possible = append(possible, func() { d.call(i) })
	}
	if d.isBehind() {
		possible = append(possible, d.deliverMigrate)
	}
	for _, c := range []migration.Cluster{m1, m2, m3} {
		if d.views[c] != nil && d.views[c].version != s.members[c].version() {
			possible = append(possible, func() { d.deliverMember(c) })
		}
	}
	if len(possible) == 0 {
		s.clock.Step(time.Second)
		d.queue.wake(s.clock.Now())
		return
	}
	possible[s.random.IntN(len(possible))]()
}

// patience is how long an undisturbed end may take: longer than the longest retry,
// shorter than the progress deadline, which wakes whoever was forgotten.
const patience = 8 * time.Minute

// finish lets everything happen, undisturbed, for long enough.
func (s *simulation) finish() {
	began := s.clock.Now()
	defer func() {
		if took := s.clock.Since(began); took > patience {
			s.t.Errorf("took %s to come to an end undisturbed", took)
		}
	}()
	for _, c := range []migration.Cluster{m1, m2, m3} {
		s.members[c].down = false
	}
	for range 4000 {
		if s.stored == nil || migration.IsTerminal(s.stored.Status.Phase) && s.quiet() {
			return
		}
		s.step()
		for _, c := range []migration.Cluster{m1, m2, m3} {
			if s.random.IntN(8) == 0 {
				s.members[c].velero(s)
			}
			if s.members[c].backup == nil && s.random.IntN(50) == 0 {
				s.members[c].sync(s)
			}
		}
	}
}

func (s *simulation) quiet() bool {
	return !slices.ContainsFunc(s.drivers, func(d *simulatedDriver) bool {
		return len(d.queue.ready)+len(d.calls) > 0 || d.isBehind()
	})
}

func (s *simulation) deleteByHand(c migration.Cluster) {
	m := s.members[c]
	s.tracef("somebody deletes what is in %s", c.Name)
	s.byHand = s.byHand || m.backup != nil || m.restore != nil
	if c == m1 || s.random.IntN(2) == 0 {
		m.backup = nil
	} else {
		m.restore = nil
	}
	m.changes++
}

func (s *simulation) deleteMigrate() {
	s.tracef("the Migrate is deleted")
	s.stored = nil
}

// Record is etcd's, with the invariants that every record must keep.
func (s *simulation) Record(_ context.Context, m *v1alpha1.Migrate) (recorded *v1alpha1.Migrate, err error) {
	err = s.write(fmt.Sprintf("record %s", m.Status.Phase), func() error {
		switch {
		case s.stored == nil:
			return apierrors.NewNotFound(v1alpha1.Resource("migrates"), m.Name)
		case m.ResourceVersion != s.stored.ResourceVersion:
			return apierrors.NewConflict(v1alpha1.Resource("migrates"), m.Name, errors.New("resourceVersion"))
		case migration.IsTerminal(s.stored.Status.Phase):
			s.t.Errorf("invariant 3: %s is recorded over %s", m.Status.Phase, s.stored.Status.Phase)
		}
		s.wantEndsKept(m)
		version, _ := strconv.Atoi(s.stored.ResourceVersion)
		s.stored = m.DeepCopy()
		s.stored.ResourceVersion = strconv.Itoa(version + 1)
		recorded = s.stored.DeepCopy()
		return nil
	})
	return recorded, err
}

// wantEndsKept checks that no part that has ended is recorded otherwise.
func (s *simulation) wantEndsKept(m *v1alpha1.Migrate) {
	for i, before := range s.stored.Status.TargetClusterStatus {
		if after := m.Status.TargetClusterStatus[i]; migration.IsTerminal(before.Phase) && after.Phase != before.Phase {
			s.t.Errorf("invariant 3: %s in %s is recorded over %s", after.Phase, after.ClusterName, before.Phase)
		}
	}
}

// simulatedDriver is one driver with what it has heard of the world.
type simulatedDriver struct {
	s     *simulation
	loop  *loop
	queue *simulatedQueue
	calls []func()
	known *v1alpha1.Migrate
	views map[migration.Cluster]*view
}

// view is what a driver's watch of a member has heard.
type view struct {
	version  string
	seen     migration.Member
	onChange func(types.UID)
}

func (s *simulation) startDriver() {
	d := &simulatedDriver{s: s, queue: &simulatedQueue{later: map[types.NamespacedName]time.Time{}, clock: s.clock}, views: map[migration.Cluster]*view{}}
	d.loop = &loop{
		Config: Config{
			Client: simulatedClient{s: s}, Recorder: s, Host: &world{}, Access: grantsAll{}, Members: d,
			Events: &events.FakeRecorder{}, Clock: s.clock,
		},
		queue:   d.queue,
		lister:  simulatedLister{d: d},
		retries: flowcontrol.NewFakeBackOff(firstRetry, lastRetry, s.clock),
		beside:  func(call func()) { d.calls = append(d.calls, call) },
		tracks:  map[types.NamespacedName]*track{},
	}
	s.drivers = append(s.drivers, d)
	s.tracef("driver %d starts", len(s.drivers))
	d.deliverMigrate()
}

// crash ends a driver; another takes its place.
func (s *simulation) crash(d *simulatedDriver) {
	s.tracef("a driver dies")
	s.drivers = slices.DeleteFunc(s.drivers, func(other *simulatedDriver) bool { return other == d })
	s.startDriver()
}

// guarded does something that the driver may die of.
func (d *simulatedDriver) guarded(do func()) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(crashed); !ok {
				d.s.t.Errorf("panic: %v\n%s", r, d.s.story())
				panic(r)
			}
			d.s.crash(d)
		}
	}()
	do()
}

func (d *simulatedDriver) turn() {
	d.s.tracef("turn")
	d.guarded(func() { d.loop.turnNext(klog.NewContext(context.Background(), logr.Discard())) })
}

func (d *simulatedDriver) call(i int) {
	call := d.calls[i]
	d.calls = slices.Delete(d.calls, i, i+1)
	d.s.tracef("call")
	d.guarded(call)
}

func (d *simulatedDriver) isBehind() bool {
	if d.known == nil || d.s.stored == nil {
		return d.known != d.s.stored
	}
	return d.known.ResourceVersion != d.s.stored.ResourceVersion
}

func (d *simulatedDriver) deliverMigrate() {
	d.s.tracef("the driver hears of the Migrate")
	d.known = d.s.stored
	d.queue.Add(types.NamespacedName{Namespace: "default", Name: "app"})
}

func (d *simulatedDriver) deliverMember(c migration.Cluster) {
	d.s.tracef("the driver hears of %s", c.Name)
	v := d.views[c]
	since := v.seen.Since
	v.version, v.seen = d.s.members[c].version(), d.s.members[c].observe()
	if v.seen.Err != nil {
		if v.seen.Since = since; since.IsZero() {
			v.seen.Since = d.s.clock.Now()
		}
	}
	v.onChange("")
}

func (d *simulatedDriver) Watch(_ string, c migration.Cluster, onChange func(types.UID)) Watch {
	d.views[c] = &view{version: "never", onChange: onChange}
	return simulatedWatch{d, c}
}

func (d *simulatedDriver) Member(_ string, c migration.Cluster) Member { return callTo{d.s, c} }

type simulatedWatch struct {
	d *simulatedDriver
	c migration.Cluster
}

func (w simulatedWatch) Observe(types.UID) (migration.Member, bool) {
	v := w.d.views[w.c]
	return v.seen, v.version != "never"
}

func (w simulatedWatch) Stop() { delete(w.d.views, w.c) }

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
	if o.d.known == nil {
		return nil, apierrors.NewNotFound(v1alpha1.Resource("migrates"), name)
	}
	return o.d.known, nil
}

// simulatedClient reads what is stored.
type simulatedClient struct {
	versioned.Interface
	s *simulation
}

func (c simulatedClient) BackupV1alpha1() clientv1alpha1.BackupV1alpha1Interface {
	return simulatedGroup{s: c.s}
}

type simulatedGroup struct {
	clientv1alpha1.BackupV1alpha1Interface
	s *simulation
}

func (g simulatedGroup) Migrates(string) clientv1alpha1.MigrateInterface {
	return simulatedMigrates{s: g.s}
}

type simulatedMigrates struct {
	clientv1alpha1.MigrateInterface
	s *simulation
}

func (m simulatedMigrates) Get(_ context.Context, name string, _ metav1.GetOptions) (*v1alpha1.Migrate, error) {
	if m.s.stored == nil {
		return nil, apierrors.NewNotFound(v1alpha1.Resource("migrates"), name)
	}
	return m.s.stored.DeepCopy(), nil
}
