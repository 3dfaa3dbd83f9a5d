// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/generated/informers/externalversions"
	backuplisters "kurator.dev/migrate-apiserver/pkg/generated/listers/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/recovery"
)

const (
	// workers is how many Migrates are turned at once. A turn waits for a member
	// only where a cache has to be confirmed.
	workers = 16
	// progressInterval is the least time between two records of one Migrate that
	// differ in progress only.
	progressInterval = time.Second
	// askInterval is the time between two questions about what a watch lacks.
	askInterval = time.Second
	// diagnosisInterval is the time between two looks into why Velero makes no progress.
	diagnosisInterval = 10 * time.Second
	// diagnosisTimeout bounds one of them.
	diagnosisTimeout = 8 * time.Second
	// refusedInterval and grantedInterval are the times between two questions whether a
	// cluster may be used in which nothing is begun yet.
	refusedInterval, grantedInterval = 15 * time.Second, 5 * time.Minute
	// grantedPatience is for how long a grant holds that is asked for again.
	grantedPatience = time.Minute
	// writeInterval is how long before a write that may have been asked last: as long as
	// the host's answers are kept in any case.
	writeInterval = 10 * time.Second
	// resultsPatience is how long the errors of an object are tried to be read before
	// its end is recorded without them, resultsTimeout bounds one try, and
	// resultsInterval is the time between two.
	resultsPatience, resultsTimeout, resultsInterval = 10 * time.Second, 8 * time.Second, 3 * time.Second
	// firstTurnRetry and lastTurnRetry bound the time between two tries of a turn that failed, for
	// our own storage does not tell when it works again.
	firstTurnRetry, lastTurnRetry = 5 * time.Millisecond, 30 * time.Second
	// storageTimeout bounds each read and each record of a Migrate. It is far more than a
	// storage that works needs.
	storageTimeout = 30 * time.Second
	// stopPatience is how long what runs is waited for after the loop is told to stop. All
	// that waits for another ends with its context, in milliseconds; what does not may
	// never end. It is well below terminationGracePeriodSeconds of artifacts/deploy.
	stopPatience = 10 * time.Second
	// hostPatience is how long the first turns wait for the host to be read.
	hostPatience = 5 * time.Second
	// firstRetry and lastRetry bound the time between two tries of a write that a
	// member refused.
	firstRetry, lastRetry = time.Second, time.Minute
)

// loop is the driver's work during one term of leadership.
type loop struct {
	Config
	queue    workqueue.TypedRateLimitingInterface[types.NamespacedName]
	factory  externalversions.SharedInformerFactory
	informer cache.SharedIndexInformer
	lister   backuplisters.MigrateLister
	acting   sync.WaitGroup
	// syncs and calls are those that run.
	syncs, calls *activities
	service      service
	// beside runs a call for a Migrate in the background.
	beside func(key types.NamespacedName, call func())

	mutex  sync.Mutex
	tracks map[types.NamespacedName]*track
}

func newLoop(config Config) *loop {
	factory := externalversions.NewSharedInformerFactory(config.Client, 0)
	migrates := factory.Backup().V1alpha1().Migrates()
	l := &loop{
		Config: config,
		queue: workqueue.NewTypedRateLimitingQueueWithConfig(
			workqueue.NewTypedItemExponentialFailureRateLimiter[types.NamespacedName](firstTurnRetry, lastTurnRetry),
			workqueue.TypedRateLimitingQueueConfig[types.NamespacedName]{Name: "migrates"}),
		factory:  factory,
		informer: migrates.Informer(),
		lister:   migrates.Lister(),
		syncs:    newActivities(config.Clock),
		calls:    newActivities(config.Clock),
		tracks:   map[types.NamespacedName]*track{},
	}
	l.beside = l.background
	return l
}

// run turns every live Migrate whenever something that it depends on changes, until
// ctx ends and all that it began has ended. What has not ended stopPatience after that
// is an error: it goes on, and may still write.
func (l *loop) run(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() {
		err := l.serve(ctx)
		l.acting.Wait()
		l.forgetAll()
		ended <- err
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	l.queue.ShutDown()
	select {
	case err := <-ended:
		return err
	case <-l.Clock.After(stopPatience):
		return fmt.Errorf("not all that runs has ended %s after the stop: syncs %v, calls in the background %v", stopPatience, l.syncs, l.calls)
	}
}

// serve keeps the inventory of the host and turns Migrates until ctx ends.
func (l *loop) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer l.factory.Shutdown()
	defer l.queue.ShutDown()
	defer cancel()

	if _, err := l.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    l.enqueueObject,
		UpdateFunc: func(_, obj any) { l.enqueueObject(obj) },
		DeleteFunc: l.enqueueObject,
	}); err != nil {
		return fmt.Errorf("watching Migrates: %w", err)
	}
	wg.Go(func() { l.Host.Run(ctx) })
	l.factory.StartWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), l.informer.HasSynced) {
		return nil
	}
	l.awaitHost(ctx)

	wg.Go(func() {
		if cache.WaitForCacheSync(ctx.Done(), l.Host.HasSynced) {
			l.enqueueNamespace(metav1.NamespaceAll)
		}
	})
	for range workers {
		wg.Go(func() {
			for l.turnNext(ctx) {
			}
		})
	}
	<-ctx.Done()
	return nil
}

// awaitHost gives the host a moment to be read, so that no Migrate is told that
// it can't be.
func (l *loop) awaitHost(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, hostPatience)
	defer cancel()
	cache.WaitForCacheSync(ctx.Done(), l.Host.HasSynced)
}

// background runs a call for a Migrate until it returns. A panic ends the call alone.
func (l *loop) background(key types.NamespacedName, call func()) {
	l.acting.Go(func() {
		defer l.calls.begin(key)()
		ctx := withMigrate(context.Background(), key)
		_ = recovery.Do(ctx, func() error { // what has panicked is logged
			call()
			return nil
		})
	})
}

// turnNext turns the next Migrate, and returns false when the queue is shut down. A
// panic is an error of that Migrate alone.
func (l *loop) turnNext(ctx context.Context) bool {
	key, shutdown := l.queue.Get()
	if shutdown {
		return false
	}
	defer l.queue.Done(key)
	defer l.syncs.begin(key)()
	ctx = withMigrate(ctx, key)
	l.settle(ctx, key, recovery.Do(ctx, func() error { return l.turn(ctx, key) }))
	return true
}

func withMigrate(ctx context.Context, key types.NamespacedName) context.Context {
	return klog.NewContext(ctx, klog.LoggerWithValues(klog.FromContext(ctx), "migrate", key))
}

// settle has a Migrate turned again if turning it failed.
func (l *loop) settle(ctx context.Context, key types.NamespacedName, err error) {
	logger := klog.FromContext(ctx)
	switch {
	case err == nil:
		l.queue.Forget(key)
	case apierrors.IsConflict(err), apierrors.IsNotFound(err), ctx.Err() != nil:
		logger.V(4).Info("The Migrate has changed meanwhile, turning it again", "err", err)
		l.queue.AddRateLimited(key)
	default:
		logger.Error(err, "Turning the Migrate failed, trying again")
		l.queue.AddRateLimited(key)
	}
}

// turn brings one Migrate forward: observe, record, act.
func (l *loop) turn(ctx context.Context, key types.NamespacedName) error {
	m, err := l.lister.Migrates(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) {
		l.forget(key)
		return nil
	}
	if err != nil {
		return err
	}
	if migration.IsTerminal(m.Status.Phase) {
		l.forget(key)
		return nil
	}
	t := l.track(key, m.UID)
	plan := l.authorize(ctx, t, m, migration.Resolve(m, l.Host.Observe(m.Namespace, &m.Spec)))
	t.watch(plan.Veleros(), func(v migration.Velero) Watch {
		return l.Members.Watch(key.Namespace, v, t.uid, func(uid types.UID) {
			if uid == "" || uid == t.uid {
				l.queue.Add(key)
			}
		})
	})
	seen := l.observe(ctx, t, m, plan)
	if m, err = l.record(ctx, t, m, seen); err != nil {
		return err
	}
	if migration.IsTerminal(m.Status.Phase) {
		l.forget(key)
		return nil
	}
	if next, ok := migration.NextDeadline(m, l.Clock.Now()); ok {
		l.queue.AddAfter(key, next.Sub(l.Clock.Now()))
	}
	return l.act(ctx, t, m, seen)
}

// record records what is observed, if it differs from what is recorded, and
// returns what is recorded then. Progress alone may have to wait for its time.
func (l *loop) record(ctx context.Context, t *track, m *v1alpha1.Migrate, seen migration.Observation) (*v1alpha1.Migrate, error) {
	now := l.Clock.Now()
	status := migration.Status(m, seen, now)
	switch migration.Compare(&m.Status, &status) {
	case migration.Unchanged:
		return m, nil
	case migration.ProgressOnly:
		if wait := t.recorded.Add(progressInterval).Sub(now); wait > 0 {
			l.queue.AddAfter(t.key, wait)
			return m, nil
		}
	}
	update := m.DeepCopy()
	update.Status = status
	ctx, cancel := context.WithTimeout(ctx, storageTimeout)
	defer cancel()
	recorded, err := l.Recorder.Record(ctx, update)
	if err != nil {
		return nil, fmt.Errorf("recording the status: %w", err)
	}
	t.recorded = now
	l.tell(m, recorded)
	l.measure(recorded)
	return recorded, nil
}

// act begins what is next. What is recorded may be newer than the cache that m
// came from, so the Migrate is read again before anything is written.
func (l *loop) act(ctx context.Context, t *track, m *v1alpha1.Migrate, seen migration.Observation) error {
	actions := migration.Next(m, seen)
	if len(actions) == 0 {
		return nil
	}
	fresh, err := l.read(ctx, m)
	if err != nil {
		return fmt.Errorf("reading the Migrate before acting: %w", err)
	}
	if fresh.UID != m.UID || fresh.ResourceVersion != m.ResourceVersion {
		return apierrors.NewConflict(v1alpha1.Resource("migrates"), m.Name, errors.New("it has changed since it was observed"))
	}
	for _, action := range actions {
		l.begin(ctx, t, m, seen.Plan, action)
	}
	return nil
}

// read confirms m with a GET.
func (l *loop) read(ctx context.Context, m *v1alpha1.Migrate) (*v1alpha1.Migrate, error) {
	ctx, cancel := context.WithTimeout(ctx, storageTimeout)
	defer cancel()
	return l.Client.BackupV1alpha1().Migrates(m.Namespace).Get(ctx, m.Name, metav1.GetOptions{})
}

func (l *loop) enqueueObject(obj any) {
	if deleted, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = deleted.Obj
	}
	if m, ok := obj.(*v1alpha1.Migrate); ok {
		l.queue.Add(types.NamespacedName{Namespace: m.Namespace, Name: m.Name})
	}
}

func (l *loop) enqueueNamespace(namespace string) {
	migrates, err := l.lister.Migrates(namespace).List(labels.Everything())
	if err != nil {
		return
	}
	for _, m := range migrates {
		if !migration.IsTerminal(m.Status.Phase) {
			l.enqueueObject(m)
		}
	}
}
