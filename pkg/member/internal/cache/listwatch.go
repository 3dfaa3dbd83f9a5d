// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	clientcache "k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"kurator.dev/migrate-apiserver/pkg/member/internal/client"
	"kurator.dev/migrate-apiserver/pkg/member/internal/limits"
	"kurator.dev/migrate-apiserver/pkg/member/internal/metrics"
	"kurator.dev/migrate-apiserver/pkg/member/internal/transport"
	"kurator.dev/migrate-apiserver/pkg/recovery"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// watched are the resources that a Cache always watches.
var watched = []string{"backups", "restores", "backupstoragelocations"}

// runningBackups names the watch of the Backups that Velero runs.
const runningBackups = "unselected backups"

// healthyWatch is how long a watch must last to be healthy: its end is no fault, and earlier
// faults are over.
const healthyWatch = 10 * time.Second

// watchPause is the shortest time between two starts of a watch.
const watchPause = time.Second

// fillAtOnce is the number of Migrates whose incomplete objects are listed together.
const fillAtOnce = 10

// Run keeps watches open until Cancel or Stop.
func (c *Cache) Run() {
	defer close(c.stopped)
	metrics.MembersWatched.Inc()
	defer metrics.MembersWatched.Dec()
	c.client.SetWatched(true)
	defer c.client.SetWatched(false)
	defer c.clear()
	for c.ctx.Err() == nil {
		conn, err := c.client.Connect(c.ctx)
		if err == nil {
			c.works(access)
			c.serve(conn)
			continue
		}
		c.note(access, err)
		c.client.Wait(c.ctx)
	}
}

// Cancel ends Run without waiting for it.
func (c *Cache) Cancel() { c.cancel() }

// Stop ends Run and waits for it.
func (c *Cache) Stop() {
	c.cancel()
	<-c.stopped
}

// clear drops all objects.
func (c *Cache) clear() {
	c.backups.clear()
	c.restores.clear()
	c.locations.clear()
	c.running.clear()
}

// serve watches over one Connection until that is closed or the Cache is stopped.
func (c *Cache) serve(conn *client.Connection) {
	ctx, cancel := context.WithCancel(conn.Context())
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()

	c.backups.moved()
	c.restores.moved()
	c.locations.moved()
	c.running.moved()
	c.mu.Lock()
	c.server = conn.Server()
	c.listed.Delete(runningBackups)
	c.mu.Unlock()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { c.recheck(ctx) })
	keep(ctx, &wg, &listWatch[*velerov1.Backup, *velerov1.BackupList]{
		cache: c, conn: conn, store: c.backups, from: conn.Backups, selector: velero.MigrateUIDLabel, example: &velerov1.Backup{},
	})
	keep(ctx, &wg, &listWatch[*velerov1.Restore, *velerov1.RestoreList]{
		cache: c, conn: conn, store: c.restores, from: conn.Restores, selector: velero.MigrateUIDLabel, example: &velerov1.Restore{},
	})
	keep(ctx, &wg, &listWatch[*velerov1.BackupStorageLocation, *velerov1.BackupStorageLocationList]{
		cache: c, conn: conn, store: c.locations, from: conn.Locations, example: &velerov1.BackupStorageLocation{},
	})
	wg.Go(func() {
		select {
		case <-c.requested:
			keep(ctx, &wg, &listWatch[*velerov1.Backup, *velerov1.BackupList]{
				cache: c, conn: conn, store: c.running, from: conn.Backups, example: &velerov1.Backup{},
			})
		case <-ctx.Done():
		}
	})
}

// recheck has the kubeconfig read when that is due, which closes the Connection if the
// kubeconfig has changed or is gone.
func (c *Cache) recheck(ctx context.Context) {
	for {
		invalidated := c.client.Changed()
		if _, err := c.client.Connection(ctx); err != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-invalidated:
		case <-time.After(c.client.Options().RecheckInterval):
		}
	}
}

// note records the error of an attempt as a fault.
func (c *Cache) note(name string, err error) {
	var unreachable *client.UnreachableError
	switch {
	case c.ctx.Err() != nil, errors.Is(err, client.ErrAbandoned):
		return
	case errors.As(err, &unreachable):
		err = unreachable.Err
	}
	c.failed(name, err)
}

// source is a typed client of a resource.
type source[L runtime.Object] interface {
	List(ctx context.Context, opts metav1.ListOptions) (L, error)
	Watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error)
}

// keep keeps a store up to date until ctx ends.
func keep[T object, L list](ctx context.Context, wg *sync.WaitGroup, lw *listWatch[T, L]) {
	lw.rate = limits.NewEventRate()
	wg.Go(func() { lw.run(ctx) })
	if lw.selector != "" {
		wg.Go(func() { lw.fill(ctx) })
	}
}

func pause(ctx context.Context, d time.Duration, until <-chan struct{}) {
	select {
	case <-ctx.Done():
	case <-until:
	case <-time.After(d):
	}
}

// listWatch lists and watches one resource over one Connection, for a reflector. It records
// errors as faults of the Cache and hides them from the reflector, which would silently retry
// after some of them.
//
// The reflector would keep all pages of a list in memory until the last one, however many
// there are. So listWatch adds the objects of each page to the store and returns it empty.
type listWatch[T object, L list] struct {
	cache    *Cache
	conn     *client.Connection
	store    *store[T]
	from     source[L]
	selector string
	example  T
	// rate bounds the events of all watches of the Connection.
	rate *rate.Limiter

	// abort ends the list or watch of the reflector.
	abort context.CancelCauseFunc
	// pages counts the pages of the current list, and foreign its objects that were not
	// requested.
	pages, foreign int
	// started is when the last watch was started.
	started time.Time
	// short counts the watches in a row that were not healthy. suspect is set if a fault is
	// over only after a healthy one.
	short   int
	suspect bool
}

// list is a list of objects.
type list interface {
	runtime.Object
	metav1.ListMetaAccessor
}

var _ clientcache.ListerWatcherWithContext = &listWatch[*velerov1.Backup, *velerov1.BackupList]{}

// run keeps the store up to date until ctx ends.
func (lw *listWatch[T, L]) run(ctx context.Context) {
	retry := lw.cache.client.Backoff()
	for failures := 0; ctx.Err() == nil; failures++ {
		started := time.Now()
		lw.ended(lw.listAndWatch(ctx))
		if time.Since(started) >= healthyWatch {
			failures = 0
		}
		if lw.cache.client.Blocked() {
			lw.cache.client.Wait(ctx)
		} else if failures > 0 {
			pause(ctx, retry.Delay(failures-1), lw.cache.client.Changed())
		}
	}
}

// listAndWatch runs a reflector until its list or watch ends. It returns why if that was
// aborted or panicked; other errors are recorded where they occur.
func (lw *listWatch[T, L]) listAndWatch(ctx context.Context) error {
	ctx, lw.abort = context.WithCancelCause(ctx)
	defer lw.abort(nil)
	lw.store.onExceeded(lw.abort)
	defer lw.store.end()
	// A member can make the reflector and client-go log any amount.
	quiet := klog.NewContext(ctx, logr.Discard())
	err := recovery.Do(ctx, func() error {
		options := clientcache.ReflectorOptions{Name: lw.cache.client.String()}
		return clientcache.NewReflectorWithOptions(lw, lw.example, lw.store, options).ListAndWatchWithContext(quiet)
	})
	if panicked := new(recovery.PanicError); errors.As(err, &panicked) {
		return err
	}
	return context.Cause(ctx)
}

// ended records why the reflector ended.
func (lw *listWatch[T, L]) ended(err error) {
	var panicked *recovery.PanicError
	var exceeded *limits.Error
	switch {
	case errors.As(err, &panicked):
		lw.cache.note(lw.store.resource, err)
	case errors.As(err, &exceeded):
		lw.suspect = true
		if lw.store.resource != runningBackups {
			// Before the fault is reported, which may cause a call at once.
			lw.cache.client.LimitExceeded(exceeded)
		}
		lw.cache.note(lw.store.resource, err)
	}
}

// fill lists the objects of Migrates that were registered after the list of the reflector,
// until ctx ends.
func (lw *listWatch[T, L]) fill(ctx context.Context) {
	retry := lw.cache.client.Backoff()
	for failures := 0; ctx.Err() == nil; {
		missing := lw.store.missing(fillAtOnce)
		if len(missing) == 0 {
			lw.cache.works(lw.filling()) // a list of the reflector may have brought them meanwhile
			select {
			case <-ctx.Done():
			case <-lw.store.incomplete:
			}
			continue
		}
		err := recovery.Do(ctx, func() error { return lw.fetch(ctx, missing) })
		if err == nil {
			lw.cache.works(lw.filling())
			failures = 0
			continue
		}
		if errors.As(err, new(*limits.Error)) {
			lw.store.abort(err)
		}
		pause(ctx, retry.Delay(failures), lw.cache.client.Changed())
		failures++
	}
}

// filling returns the name of the fault that fill fails.
func (lw *listWatch[T, L]) filling() string { return lw.store.resource + ", filling in" }

// fetch lists the objects of some Migrates and adds them to the store.
func (lw *listWatch[T, L]) fetch(ctx context.Context, missing map[types.UID]*owned) error {
	var values []string
	for uid := range missing {
		values = append(values, string(uid))
	}
	isOf, err := labels.NewRequirement(velero.MigrateUIDLabel, selection.In, values)
	if err != nil {
		return err
	}
	const limit = fillAtOnce * maxKeptObjects
	found, err := lw.page(ctx, lw.filling(), metav1.ListOptions{LabelSelector: isOf.String(), Limit: limit})
	if err != nil {
		return err
	}
	if found.GetListMeta().GetContinue() != "" {
		return limits.Exceeded(limits.Objects, "more than %d %s belong to %d Migrates", limit, lw.store.resource, len(missing))
	}
	var items []T
	foreign := 0
	err = lw.each(found, &foreign, func(item T) error {
		items = append(items, item)
		return nil
	})
	if err == nil {
		lw.store.fill(missing, items)
	}
	return err
}

// IsWatchListSemanticsUnSupported makes the reflector use list calls, which have a deadline and
// are served by members of any version.
func (lw *listWatch[T, L]) IsWatchListSemanticsUnSupported() bool { return true }

// List is required by ListerWatcher; the reflector calls ListWithContext.
func (lw *listWatch[T, L]) List(opts metav1.ListOptions) (runtime.Object, error) {
	return lw.ListWithContext(context.Background(), opts)
}

// Watch is required by ListerWatcher; the reflector calls WatchWithContext.
func (lw *listWatch[T, L]) Watch(opts metav1.ListOptions) (watch.Interface, error) {
	return lw.WatchWithContext(context.Background(), opts)
}

// ListWithContext adds the objects of a page to the store and returns it empty.
func (lw *listWatch[T, L]) ListWithContext(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
	if opts.Continue == "" {
		lw.pages, lw.foreign = 0, 0
		lw.store.begin()
	}
	opts.LabelSelector = lw.selector
	// A consistent read: another API server of the member may have an older cache.
	opts.ResourceVersion = ""
	opts.Limit = pageSize
	page, err := lw.page(ctx, lw.store.resource, opts)
	if err != nil {
		return nil, err
	}
	if err := lw.take(page); err != nil {
		lw.abort(err)
		return nil, err
	}
	return page, meta.SetList(page, nil)
}

// page gets a page of a list. It records an error as the fault of a name.
func (lw *listWatch[T, L]) page(ctx context.Context, name string, opts metav1.ListOptions) (L, error) {
	timeout := lw.cache.client.Options().CallTimeout
	ctx = lw.cache.client.Allow(ctx, fmt.Sprintf("a list of %d %s", opts.Limit, lw.store.resource), limits.MaxPage)
	return attempt(ctx, lw, name, func(ctx context.Context) (L, error) {
		ctx, cancel := transport.WithTimeout(ctx, timeout)
		defer cancel()
		page, err := lw.from.List(ctx, opts)
		if err != nil && ctx.Err() != nil {
			err = &transport.Error{Cause: context.Cause(ctx)}
		}
		return page, err
	})
}

// take adds the objects of a page to the store.
func (lw *listWatch[T, L]) take(page L) error {
	of := page.GetListMeta()
	lw.pages++
	switch {
	case lw.pages == maxPages && of.GetContinue() != "":
		return limits.Exceeded(limits.Pages, "the list of %s has more than %d pages of %d", lw.store.resource, maxPages, pageSize)
	case len(of.GetContinue()) > maxContinue:
		return limits.Exceeded(limits.Answer, "the list of %s has a continue token of more than %d bytes", lw.store.resource, maxContinue)
	case len(of.GetResourceVersion()) > maxVersion:
		return limits.Exceeded(limits.Answer, "the list of %s has a resourceVersion of more than %d bytes", lw.store.resource, maxVersion)
	}
	return lw.each(page, &lw.foreign, lw.store.list)
}

// each calls f with each object of a page that was requested, and counts the others.
func (lw *listWatch[T, L]) each(page L, foreign *int, f func(T) error) error {
	return meta.EachListItemWithAlloc(page, func(obj runtime.Object) error {
		item, err := typed[T](obj)
		if err != nil {
			return err
		}
		if !lw.isRequested(item) {
			return lw.countForeign(foreign)
		}
		return f(item)
	})
}

// isRequested reports whether an object matches the request: it is in Velero's namespace, and
// has our label if that is the selector.
func (lw *listWatch[T, L]) isRequested(item T) bool {
	return item.GetNamespace() == lw.conn.Namespace && len(item.GetResourceVersion()) <= maxVersion &&
		(lw.selector == "" || velero.MigrateUID(item) != "")
}

// countForeign counts an object that was not requested, and returns an error if there are too
// many.
func (lw *listWatch[T, L]) countForeign(count *int) error {
	if *count++; *count > maxForeign {
		return limits.Exceeded(limits.Foreign, "%s are sent that were not asked for", lw.store.resource)
	}
	return nil
}

func (lw *listWatch[T, L]) WatchWithContext(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	lw.cache.wasListed(lw.store.resource)
	pause(ctx, time.Until(lw.started.Add(lw.gap())), nil)
	lw.started = time.Now()
	opts.LabelSelector = lw.selector
	allowance := lw.cache.client.AllowWatch("an event of the watch of "+lw.store.resource, lw.rate)
	ctx = allowance.With(ctx)
	opened, err := attempt(ctx, lw, lw.store.resource, func(ctx context.Context) (watch.Interface, error) {
		return lw.from.Watch(ctx, opts)
	})
	if err != nil {
		return nil, err
	}
	return newStream(lw, opened, allowance), nil
}

// gap returns the shortest time between the starts of two watches, which grows while they are
// not healthy.
func (lw *listWatch[T, L]) gap() time.Duration {
	const patience = 5
	if lw.short <= patience {
		return watchPause
	}
	return client.Backoff{Shortest: watchPause, Longest: healthyWatch}.Delay(lw.short - patience)
}

// errRecorded hides an error from the reflector, which would silently retry after some.
var errRecorded = errors.New("recorded as a fault of the cache")

// attempt makes a call over the Connection. It records an error as the fault of a name.
func attempt[A any, T object, L list](ctx context.Context, lw *listWatch[T, L], name string, call func(context.Context) (A, error)) (A, error) {
	result, err := client.Attempt(ctx, lw.cache.client, func(ctx context.Context, conn *client.Connection) (A, error) {
		if conn != lw.conn {
			var none A
			return none, client.ErrAbandoned
		}
		return call(ctx)
	})
	if err == nil {
		return result, nil
	}
	if ctx.Err() == nil {
		lw.cache.note(name, err)
	}
	return result, errRecorded
}
