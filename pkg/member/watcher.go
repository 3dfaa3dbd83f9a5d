// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package member

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
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"kurator.dev/migrate-apiserver/pkg/member/internal/limits"
	"kurator.dev/migrate-apiserver/pkg/member/internal/metrics"
	"kurator.dev/migrate-apiserver/pkg/recovery"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// watched are the resources that are watched.
var watched = []string{"backups", "restores", "backupstoragelocations"}

// healthyWatch is how long a watch must last for all to be well: its end is no fault
// then, and what was wrong before is over.
const healthyWatch = 10 * time.Second

// watchPause is the least time between two starts of a watch.
const watchPause = time.Second

// fillAtOnce is for how many Migrates objects are fetched at once that had been passed
// over.
const fillAtOnce = 10

// run keeps watches open until the watcher is stopped.
func (w *watcher) run() {
	defer close(w.stopped)
	metrics.MembersWatched.Inc()
	defer metrics.MembersWatched.Dec()
	defer w.clear()
	for w.ctx.Err() == nil {
		conn, err := w.connect()
		if err == nil {
			w.works(access)
			w.serve(conn)
			continue
		}
		w.note(access, err)
		w.member.circuit.wait(w.ctx)
	}
}

// clear drops all objects.
func (w *watcher) clear() {
	w.backups.clear()
	w.restores.clear()
	w.locations.clear()
}

// connect returns the connection. Not having one is a failure of the member as
// far as the circuit is concerned; having one says nothing.
func (w *watcher) connect() (*connection, error) {
	ctx, cancel := context.WithTimeoutCause(w.ctx, w.member.options.CallTimeout, noAnswerError{w.member.options.CallTimeout})
	defer cancel()
	done, err := w.member.circuit.admit()
	if err != nil {
		return nil, err
	}
	conn, err := w.member.connection(ctx)
	if err != nil {
		done(settled(ctx, err))
		return nil, err
	}
	done(errAbandoned)
	return conn, nil
}

// serve watches over one connection until that is closed or the watcher stopped.
func (w *watcher) serve(conn *connection) {
	ctx, cancel := context.WithCancel(conn.ctx)
	defer cancel()
	defer context.AfterFunc(w.ctx, cancel)()

	w.backups.moved()
	w.restores.moved()
	w.locations.moved()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { w.recheck(ctx) })
	keep(ctx, &wg, &listWatch[*velerov1.Backup, *velerov1.BackupList]{
		watcher: w, conn: conn, store: w.backups, from: conn.backups, selector: velero.MigrateUIDLabel, example: &velerov1.Backup{},
	})
	keep(ctx, &wg, &listWatch[*velerov1.Restore, *velerov1.RestoreList]{
		watcher: w, conn: conn, store: w.restores, from: conn.restores, selector: velero.MigrateUIDLabel, example: &velerov1.Restore{},
	})
	keep(ctx, &wg, &listWatch[*velerov1.BackupStorageLocation, *velerov1.BackupStorageLocationList]{
		watcher: w, conn: conn, store: w.locations, from: conn.locations, example: &velerov1.BackupStorageLocation{},
	})
}

// recheck reads the kubeconfig again when that is due, which closes the
// connection if there is a new one or none any more.
func (w *watcher) recheck(ctx context.Context) {
	every := w.member.options.RecheckInterval
	for {
		invalidated := w.member.circuit.onChange()
		if _, err := w.member.connection(ctx); err != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-invalidated:
		case <-time.After(every):
		}
	}
}

// note notes what was wrong with an attempt.
func (w *watcher) note(name string, err error) {
	var unreachable *UnreachableError
	switch {
	case w.ctx.Err() != nil, errors.Is(err, errAbandoned):
		return
	case errors.As(err, &unreachable):
		err = unreachable.Err
	}
	w.failed(name, err)
}

// source is a typed client of a resource.
type source[L runtime.Object] interface {
	List(ctx context.Context, opts metav1.ListOptions) (L, error)
	Watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error)
}

// keep keeps a resource in its store until ctx ends.
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

// listWatch lists and watches one resource over one connection, for a reflector.
// Errors are noted in the watcher and hidden from the reflector, which would try
// again after some of them without telling.
//
// The reflector would keep all pages of a list until the last has come, however many
// there are. So what is wanted of each page is put into the store at once, and the
// reflector sees empty pages.
type listWatch[T object, L list] struct {
	watcher  *watcher
	conn     *connection
	store    *objects[T]
	from     source[L]
	selector string
	example  T
	// rate is how many events may come, over all watches of the connection.
	rate *rate.Limiter

	// abort ends what the reflector does.
	abort context.CancelCauseFunc
	// pages is how many of the present list have come, and foreign how many objects of it
	// that were not asked for.
	pages, foreign int
	// started is when the last watch was started.
	started time.Time
	// short is how many watches in a row did not last, and suspect that it takes a healthy
	// one for a fault to be over.
	short   int
	suspect bool
}

// list is a list of objects.
type list interface {
	runtime.Object
	metav1.ListMetaAccessor
}

var _ cache.ListerWatcherWithContext = &listWatch[*velerov1.Backup, *velerov1.BackupList]{}

// run keeps the store until ctx ends.
func (lw *listWatch[T, L]) run(ctx context.Context) {
	circuit := lw.watcher.member.circuit
	retry := lw.retry()
	for failures := 0; ctx.Err() == nil; failures++ {
		started := time.Now()
		lw.settle(lw.listAndWatch(ctx))
		if time.Since(started) >= healthyWatch {
			failures = 0
		}
		if _, _, blocked := circuit.blocked(); blocked {
			circuit.wait(ctx)
		} else if failures > 0 {
			pause(ctx, retry.delay(failures-1), circuit.onChange())
		}
	}
}

func (lw *listWatch[T, L]) retry() backoff {
	return backoff{lw.watcher.member.options.RetryMin, lw.watcher.member.options.RetryMax}
}

// listAndWatch has a reflector list and watch until that ends, and returns why if it was
// aborted or panicked. What else is wrong has been noted where it happened.
func (lw *listWatch[T, L]) listAndWatch(ctx context.Context) error {
	ctx, lw.abort = context.WithCancelCause(ctx)
	defer lw.abort(nil)
	lw.store.onExceeded(lw.abort)
	defer lw.store.end()
	// What the reflector and client-go log of a member is as long, and comes as often, as
	// the member likes.
	quiet := klog.NewContext(ctx, logr.Discard())
	err := recovery.Do(ctx, func() error {
		options := cache.ReflectorOptions{Name: lw.watcher.member.String()}
		return cache.NewReflectorWithOptions(lw, lw.example, lw.store, options).ListAndWatchWithContext(quiet)
	})
	if panicked := new(recovery.PanicError); errors.As(err, &panicked) {
		return err
	}
	return context.Cause(ctx)
}

// settle notes why the reflector ended.
func (lw *listWatch[T, L]) settle(err error) {
	var panicked *recovery.PanicError
	var exceeded *limits.Error
	switch {
	case errors.As(err, &panicked):
		lw.watcher.note(lw.store.resource, err)
	case errors.As(err, &exceeded):
		lw.suspect = true
		// First, for whoever learns of the fault may ask the member at once.
		lw.watcher.member.circuit.exceeded(exceeded)
		lw.watcher.note(lw.store.resource, err)
	}
}

// fill fetches the objects of Migrates that were passed over because nobody watched for
// them yet, until ctx ends.
func (lw *listWatch[T, L]) fill(ctx context.Context) {
	retry := lw.retry()
	for failures := 0; ctx.Err() == nil; {
		uids := lw.store.missing(fillAtOnce)
		if len(uids) == 0 {
			lw.watcher.works(lw.filling()) // also where a list has brought them meanwhile
			select {
			case <-ctx.Done():
			case <-lw.store.incomplete:
			}
			continue
		}
		err := recovery.Do(ctx, func() error { return lw.fetch(ctx, uids) })
		if err == nil {
			lw.watcher.works(lw.filling())
			failures = 0
			continue
		}
		if errors.As(err, new(*limits.Error)) {
			lw.store.abort(err)
		}
		pause(ctx, retry.delay(failures), lw.watcher.member.circuit.onChange())
		failures++
	}
}

// filling is the fault of not being able to fill in.
func (lw *listWatch[T, L]) filling() string { return lw.store.resource + ", filling in" }

// fetch fetches the objects of some Migrates.
func (lw *listWatch[T, L]) fetch(ctx context.Context, uids []types.UID) error {
	var values []string
	for _, uid := range uids {
		values = append(values, string(uid))
	}
	isOf, err := labels.NewRequirement(velero.MigrateUIDLabel, selection.In, values)
	if err != nil {
		return err
	}
	found, err := lw.page(ctx, lw.filling(), metav1.ListOptions{LabelSelector: isOf.String(), Limit: fillAtOnce * maxKeptObjects})
	if err != nil {
		return err
	}
	var items []T
	foreign := 0
	err = lw.each(found, &foreign, func(item T) error {
		items = append(items, item)
		return nil
	})
	if err == nil {
		lw.store.fill(uids, items)
	}
	return err
}

// IsWatchListSemanticsUnSupported has the reflector list plainly: that is a call
// with a deadline, and a member of any version can do it.
func (lw *listWatch[T, L]) IsWatchListSemanticsUnSupported() bool { return true }

func (lw *listWatch[T, L]) List(opts metav1.ListOptions) (runtime.Object, error) {
	return lw.ListWithContext(context.Background(), opts)
}

func (lw *listWatch[T, L]) Watch(opts metav1.ListOptions) (watch.Interface, error) {
	return lw.WatchWithContext(context.Background(), opts)
}

// ListWithContext puts a page of a list into the store and returns it empty.
func (lw *listWatch[T, L]) ListWithContext(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
	if opts.Continue == "" {
		lw.pages, lw.foreign = 0, 0
		lw.store.begin()
	}
	opts.LabelSelector = lw.selector
	// Never what some cache has: time does not go back when another API server of
	// the member answers.
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

// page fetches a page of a list. That it can't is noted as a fault of the given name.
func (lw *listWatch[T, L]) page(ctx context.Context, name string, opts metav1.ListOptions) (L, error) {
	m := lw.watcher.member
	timeout := m.options.CallTimeout
	ctx = m.allowing(ctx, fmt.Sprintf("a list of %d %s", opts.Limit, lw.store.resource), limits.MaxPage)
	return ask(ctx, lw, name, func(ctx context.Context) (L, error) {
		ctx, cancel := context.WithTimeoutCause(ctx, timeout, noAnswerError{timeout})
		defer cancel()
		page, err := lw.from.List(ctx, opts)
		if err != nil && ctx.Err() != nil {
			err = &transportError{cause: context.Cause(ctx)}
		}
		return page, err
	})
}

// take puts what is wanted of a page into the store.
func (lw *listWatch[T, L]) take(page L) error {
	of := page.GetListMeta()
	lw.pages++
	switch {
	case lw.pages == maxPages && of.GetContinue() != "":
		return limits.Exceeded(limits.Pages, "the list of %s has more than %d pages of %d", lw.store.resource, maxPages, pageSize)
	case len(of.GetContinue()) > maxContinue, len(of.GetResourceVersion()) > maxVersion:
		return limits.Exceeded(limits.Answer, "the list of %s has a resource version or a continue token of more than %d bytes", lw.store.resource, maxVersion)
	}
	return lw.each(page, &lw.foreign, lw.store.list)
}

// each calls f for each object of a list that was asked for, and counts the others.
func (lw *listWatch[T, L]) each(page L, foreign *int, f func(T) error) error {
	return meta.EachListItemWithAlloc(page, func(obj runtime.Object) error {
		item, err := typed[T](obj)
		if err != nil {
			return err
		}
		if !lw.isAskedFor(item) {
			return lw.notAskedFor(foreign)
		}
		return f(item)
	})
}

// isAskedFor says whether an object is one that an API server may send: of Velero's
// namespace, with our label if that is what is watched for.
func (lw *listWatch[T, L]) isAskedFor(item T) bool {
	return item.GetNamespace() == lw.conn.namespace && len(item.GetResourceVersion()) <= maxVersion &&
		(lw.selector == "" || migrateOf(item) != "")
}

// notAskedFor counts an object that was not asked for; it is an error if there are too
// many.
func (lw *listWatch[T, L]) notAskedFor(count *int) error {
	if *count++; *count > maxForeign {
		return limits.Exceeded(limits.Foreign, "%s are sent that were not asked for", lw.store.resource)
	}
	return nil
}

func (lw *listWatch[T, L]) WatchWithContext(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	lw.watcher.wasListed(lw.store.resource)
	pause(ctx, time.Until(lw.started.Add(lw.gap())), nil)
	lw.started = time.Now()
	opts.LabelSelector = lw.selector
	allowance := limits.ForWatch(lw.watcher.member.reading, "an event of the watch of "+lw.store.resource, lw.rate)
	ctx = allowance.With(ctx)
	opened, err := ask(ctx, lw, lw.store.resource, func(ctx context.Context) (watch.Interface, error) {
		return lw.from.Watch(ctx, opts)
	})
	if err != nil {
		return nil, err
	}
	return newStream(lw, opened, allowance), nil
}

// gap is the least time between the starts of two watches: it grows while they don't
// last.
func (lw *listWatch[T, L]) gap() time.Duration {
	const patience = 5
	if lw.short <= patience {
		return watchPause
	}
	return backoff{watchPause, healthyWatch}.delay(lw.short - patience)
}

// ask makes an attempt over the connection. Its failure is noted as a fault of the given
// name.
func ask[A any, T object, L list](ctx context.Context, lw *listWatch[T, L], name string, call func(context.Context) (A, error)) (A, error) {
	result, err := attempt(ctx, lw.watcher.member, func(ctx context.Context, conn *connection) (A, error) {
		if conn != lw.conn {
			var none A
			return none, errAbandoned
		}
		return call(ctx)
	})
	if err == nil {
		return result, nil
	}
	if ctx.Err() == nil {
		lw.watcher.note(name, err)
	}
	return result, errors.New("noted")
}
