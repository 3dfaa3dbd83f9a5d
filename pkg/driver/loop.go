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
	backuplisters "kurator.dev/migrate-apiserver/pkg/generated/listers/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/recovery"
)

const (
	// workers is the number of Migrates that are synced concurrently. A sync does not wait for
	// members.
	workers = 16
	// stepInterval is the shortest time between two status updates of a Migrate, if the later one is a step.
	stepInterval = time.Second
	// confirmInterval is the time between two live reads of an object that a watch lacks.
	confirmInterval = time.Second
	// diagnosisInterval is the time between two diagnoses of a Velero without progress.
	diagnosisInterval = 10 * time.Second
	// diagnosisTimeout bounds one diagnosis.
	diagnosisTimeout = 8 * time.Second
	// deniedInterval is the time after which denied access to a cluster is checked again, and
	// allowedInterval the age at which the next sync checks allowed access again, while
	// nothing has started there.
	deniedInterval, allowedInterval = 15 * time.Second, 5 * time.Minute
	// allowedGrace is the time for which access stays allowed during a repeated check.
	allowedGrace = time.Minute
	// writeInterval is the longest time between an access check and a write. The authorizer
	// caches the host's answers for the same time.
	writeInterval = 10 * time.Second
	// resultsTimeout bounds one attempt to read the results of an object, which may be large files,
	// and resultsInterval is the time between two attempts. After the progress deadline of the
	// Migrate its end is recorded without them.
	resultsTimeout, resultsInterval = 40 * time.Second, 5 * time.Second
	// prerequisitesInterval is the time between two checks of what a Migrate needs in a cluster, and
	// prerequisitesTimeout bounds one of them.
	prerequisitesInterval, prerequisitesTimeout = 10 * time.Second, 8 * time.Second
	// workloadsInterval is the time between two reads of the workloads that a Migrate waits for,
	// and workloadsTimeout bounds one of them.
	workloadsInterval, workloadsTimeout = 3 * time.Second, 20 * time.Second
	// firstSyncRetry and lastSyncRetry bound the backoff of failed syncs. Only a retry
	// notices that our own storage works again.
	firstSyncRetry, lastSyncRetry = 5 * time.Millisecond, 30 * time.Second
	// storageTimeout bounds each read and status update of a Migrate. A working storage is
	// far faster.
	storageTimeout = 30 * time.Second
	// stopTimeout bounds the wait for running syncs and calls after the loop is stopped.
	// Normally they return within milliseconds after their context ends. It is shorter than
	// terminationGracePeriodSeconds in artifacts/deploy.
	stopTimeout = 10 * time.Second
	// hostSyncTimeout bounds the wait for the host's inventory before the first sync.
	hostSyncTimeout = 5 * time.Second
	// firstRetry and lastRetry bound the backoff of failed writes.
	firstRetry, lastRetry = time.Second, time.Minute
)

// loop syncs Migrates during one term of leadership.
type loop struct {
	Config
	queue    workqueue.TypedRateLimitingInterface[types.NamespacedName]
	informer cache.SharedIndexInformer
	lister   backuplisters.MigrateLister
	// pending counts the running background calls.
	pending sync.WaitGroup
	// syncs and calls are the running syncs and background calls.
	syncs, calls *activities
	stalls       stallDetector
	// async runs a call for a Migrate in the background.
	async func(key types.NamespacedName, call func())

	queues   queues
	sharings *sharings
	// plan plans a suspended Migrate, and previews has a place for each plan that is made.
	plan     func(context.Context, *v1alpha1.Migrate) (*v1alpha1.MigratePreviewStatus, error)
	previews chan struct{}

	mutex  sync.Mutex
	states map[types.NamespacedName]*migrateState
}

func newLoop(config Config, sharings *sharings) *loop {
	informer := cache.NewSharedIndexInformerWithOptions(config.Migrates.ListWatch(), &v1alpha1.Migrate{}, cache.SharedIndexInformerOptions{
		Indexers: cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc},
	})
	l := &loop{
		Config: config,
		queue: workqueue.NewTypedRateLimitingQueueWithConfig(
			workqueue.NewTypedItemExponentialFailureRateLimiter[types.NamespacedName](firstSyncRetry, lastSyncRetry),
			workqueue.TypedRateLimitingQueueConfig[types.NamespacedName]{Name: "migrates"}),
		informer: informer,
		lister:   backuplisters.NewMigrateLister(informer.GetIndexer()),
		sharings: sharings,
		syncs:    newActivities(config.Clock),
		calls:    newActivities(config.Clock),
		states:   map[types.NamespacedName]*migrateState{},
		previews: make(chan struct{}, maxPreviews),
	}
	l.async = l.runAsync
	l.plan = func(ctx context.Context, m *v1alpha1.Migrate) (*v1alpha1.MigratePreviewStatus, error) {
		return newPreview(ctx, config, sharings, m, true)
	}
	return l
}

// run syncs each live Migrate after a change of anything it depends on. It returns after ctx has
// ended and all syncs and calls have returned. It returns an error if one of them is still running
// stopTimeout after the end of ctx, because that one may still write.
func (l *loop) run(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() {
		err := l.serve(ctx)
		l.pending.Wait()
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
	case <-l.Clock.After(stopTimeout):
		return fmt.Errorf("syncs or calls are still running %s after the stop: syncs %v, calls %v", stopTimeout, l.syncs, l.calls)
	}
}

// serve keeps the inventory of the host up to date and syncs Migrates until ctx ends.
func (l *loop) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	countNoneLive()
	defer countNoneLive() // after the handlers of the informer have ended
	var wg sync.WaitGroup
	defer wg.Wait()
	defer l.queue.ShutDown()
	defer cancel()

	if _, err := l.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { l.changed(nil, obj) },
		UpdateFunc: l.changed,
		DeleteFunc: func(obj any) { l.changed(obj, nil) },
	}); err != nil {
		return fmt.Errorf("watching Migrates: %w", err)
	}
	wg.Go(func() { l.Host.Run(ctx) })
	wg.Go(func() { l.informer.RunWithContext(ctx) })
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
			for l.syncNext(ctx) {
			}
		})
	}
	<-ctx.Done()
	return nil
}

// awaitHost waits up to hostSyncTimeout for the inventory of the host, so that the Migrates' status
// does not report a missing inventory after every start.
func (l *loop) awaitHost(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, hostSyncTimeout)
	defer cancel()
	cache.WaitForCacheSync(ctx.Done(), l.Host.HasSynced)
}

// runAsync runs a call for a Migrate in a goroutine. A panic ends only the call.
func (l *loop) runAsync(key types.NamespacedName, call func()) {
	l.pending.Go(func() {
		defer l.calls.begin(key)()
		ctx := withMigrate(context.Background(), key)
		_ = recovery.Do(ctx, func() error { // recovery logs a panic
			call()
			return nil
		})
	})
}

// syncNext syncs the next Migrate of the queue. It returns false after the queue was shut down. A
// panic fails that Migrate only.
func (l *loop) syncNext(ctx context.Context) bool {
	key, shutdown := l.queue.Get()
	if shutdown {
		return false
	}
	defer l.queue.Done(key)
	defer l.syncs.begin(key)()
	ctx = withMigrate(ctx, key)
	l.requeue(ctx, key, recovery.Do(ctx, func() error { return l.sync(ctx, key) }))
	return true
}

func withMigrate(ctx context.Context, key types.NamespacedName) context.Context {
	return klog.NewContext(ctx, klog.LoggerWithValues(klog.FromContext(ctx), "migrate", key))
}

// requeue queues a Migrate again if syncing it failed.
func (l *loop) requeue(ctx context.Context, key types.NamespacedName, err error) {
	logger := klog.FromContext(ctx)
	if err != nil {
		l.leaveQueueOf(key)
	}
	switch {
	case err == nil:
		l.queue.Forget(key)
	case apierrors.IsConflict(err), apierrors.IsNotFound(err), ctx.Err() != nil:
		logger.V(4).Info("The Migrate has changed, syncing it again", "err", err)
		l.queue.AddRateLimited(key)
	default:
		logger.Error(err, "Syncing the Migrate failed, retrying")
		l.queue.AddRateLimited(key)
	}
}

// sync observes a Migrate, records its status, and starts its next actions.
func (l *loop) sync(ctx context.Context, key types.NamespacedName) error {
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
	s := l.stateOf(m)
	plan := l.authorize(ctx, s, m, migration.Resolve(m, l.Host.Observe(m.Namespace, &m.Spec)))
	s.watch(plan.Veleros(), func(v migration.Velero) Watch {
		return l.Members.Watch(key.Namespace, v, s.uid, func(uid types.UID) {
			if uid == "" || uid == s.uid {
				l.queue.Add(key)
			}
		})
	})
	seen := l.observe(ctx, s, m, plan)
	if m, err = l.record(ctx, s, m, seen); err != nil {
		return err
	}
	if migration.IsTerminal(m.Status.Phase) {
		l.forget(key)
		return nil
	}
	if next, ok := migration.NextDeadline(m, l.Clock.Now()); ok {
		l.queue.AddAfter(key, next.Sub(l.Clock.Now()))
	}
	return l.act(ctx, s, m, seen)
}

// record computes the status from an observation, records it if it differs from the recorded status,
// and returns the recorded Migrate. A step may be deferred by stepInterval.
func (l *loop) record(ctx context.Context, s *migrateState, m *v1alpha1.Migrate, seen migration.Observation) (*v1alpha1.Migrate, error) {
	now := l.Clock.Now()
	update := m.DeepCopy()
	update.Status = migration.Status(m, seen, now)
	switch migration.Compare(&m.Status, &update.Status) {
	case migration.Unchanged:
		return m, nil
	case migration.Step:
		if wait := s.recorded.Add(stepInterval).Sub(now); wait > 0 {
			l.queue.AddAfter(s.key, wait)
			return m, nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, storageTimeout)
	defer cancel()
	recorded, err := l.Migrates.Record(ctx, update)
	if err != nil {
		return nil, fmt.Errorf("recording the status: %w", err)
	}
	s.recorded = now
	l.sendEvents(m, recorded)
	l.measure(m, recorded)
	return recorded, nil
}

// act starts the next actions. First it confirms with a GET that m, which comes from a cache, is
// current.
func (l *loop) act(ctx context.Context, s *migrateState, m *v1alpha1.Migrate, seen migration.Observation) error {
	actions := migration.Next(m, seen)
	if len(actions) == 0 {
		return nil
	}
	fresh, err := l.read(ctx, m)
	if err != nil {
		return fmt.Errorf("confirming the Migrate before acting: %w", err)
	}
	if fresh.UID != m.UID || fresh.ResourceVersion != m.ResourceVersion {
		return apierrors.NewConflict(v1alpha1.Resource("migrates"), m.Name, errors.New("it has changed since it was observed"))
	}
	for _, action := range actions {
		l.startAction(ctx, s, m, seen.Plan, action)
	}
	return nil
}

// read reads the stored Migrate.
func (l *loop) read(ctx context.Context, m *v1alpha1.Migrate) (*v1alpha1.Migrate, error) {
	ctx, cancel := context.WithTimeout(ctx, storageTimeout)
	defer cancel()
	return l.Migrates.Get(ctx, m.Namespace, m.Name)
}

// changed counts and queues a Migrate that has changed: one that is new has no state before, one that was deleted none after.
func (l *loop) changed(before, after any) {
	if deleted, ok := before.(cache.DeletedFinalStateUnknown); ok {
		before = deleted.Obj
	}
	was, existed := before.(*v1alpha1.Migrate)
	is, exists := after.(*v1alpha1.Migrate)
	if existed {
		countLive(was, -1)
	}
	if exists {
		countLive(is, +1)
		was = is
	}
	if existed || exists {
		l.queue.Add(keyOf(was))
	}
}

// enqueueNamespace queues all live Migrates of a namespace.
func (l *loop) enqueueNamespace(namespace string) {
	migrates, err := l.lister.Migrates(namespace).List(labels.Everything())
	if err != nil {
		return
	}
	for _, m := range migrates {
		if !migration.IsTerminal(m.Status.Phase) {
			l.queue.Add(keyOf(m))
		}
	}
}
