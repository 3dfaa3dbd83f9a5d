// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"errors"
	"sync"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"kurator.dev/migrate-apiserver/pkg/recovery"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// watched are the resources that are watched.
var watched = []string{"backups", "restores", "backupstoragelocations"}

// healthyWatch is how long a watch must have lasted for its end to be no fault.
const healthyWatch = 10 * time.Second

// watchPause is the least time between two starts of a watch.
const watchPause = time.Second

// run keeps watches open until the watcher is stopped.
func (w *watcher) run() {
	defer close(w.stopped)
	membersWatched.Inc()
	defer membersWatched.Dec()
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
	ours := velero.MigrateUIDLabel
	wg.Go(func() { keep(ctx, w, conn, watched[0], ours, conn.backups, &velerov1.Backup{}, w.backups) })
	wg.Go(func() { keep(ctx, w, conn, watched[1], ours, conn.restores, &velerov1.Restore{}, w.restores) })
	wg.Go(func() {
		keep(ctx, w, conn, watched[2], "", conn.locations, &velerov1.BackupStorageLocation{}, w.locations)
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

// keep keeps a resource in store until ctx ends.
func keep[T object, L runtime.Object](ctx context.Context, w *watcher, conn *connection, name, selector string, from source[L], example T, store *objects[T]) {
	retry := backoff{w.member.options.RetryMin, w.member.options.RetryMax}
	lw := &listWatch[L]{watcher: w, conn: conn, name: name, selector: selector, from: from}
	for failures := 0; ctx.Err() == nil; failures++ {
		started := time.Now()
		err := recovery.Do(ctx, func() error {
			return cache.NewReflectorWithOptions(lw, example, store, cache.ReflectorOptions{Name: w.member.String()}).ListAndWatchWithContext(ctx)
		})
		// What else is wrong has been noted where it happened, by lw.
		if panicked := new(recovery.PanicError); errors.As(err, &panicked) {
			w.note(name, err)
		}
		if time.Since(started) >= healthyWatch {
			failures = 0
		}
		if _, _, blocked := w.member.circuit.blocked(); blocked {
			w.member.circuit.wait(ctx)
		} else if failures > 0 {
			pause(ctx, retry.delay(failures-1), w.member.circuit.onChange())
		}
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
type listWatch[L runtime.Object] struct {
	watcher  *watcher
	conn     *connection
	name     string
	selector string
	from     source[L]
	// started is when the last watch was started.
	started time.Time
}

var _ cache.ListerWatcherWithContext = &listWatch[*velerov1.BackupList]{}

// IsWatchListSemanticsUnSupported has the reflector list plainly: that is a call
// with a deadline, and a member of any version can do it.
func (lw *listWatch[L]) IsWatchListSemanticsUnSupported() bool { return true }

func (lw *listWatch[L]) List(opts metav1.ListOptions) (runtime.Object, error) {
	return lw.ListWithContext(context.Background(), opts)
}

func (lw *listWatch[L]) Watch(opts metav1.ListOptions) (watch.Interface, error) {
	return lw.WatchWithContext(context.Background(), opts)
}

func (lw *listWatch[L]) ListWithContext(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
	opts.LabelSelector = lw.selector
	// Never what some cache has: time does not go back when another API server of
	// the member answers.
	opts.ResourceVersion = ""
	timeout := lw.watcher.member.options.CallTimeout
	return ask(ctx, lw, func(ctx context.Context) (L, error) {
		ctx, cancel := context.WithTimeoutCause(ctx, timeout, noAnswerError{timeout})
		defer cancel()
		list, err := lw.from.List(ctx, opts)
		if err != nil && ctx.Err() != nil {
			err = &transportError{cause: context.Cause(ctx)}
		}
		return list, err
	})
}

func (lw *listWatch[L]) WatchWithContext(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	lw.watcher.wasListed(lw.name)
	pause(ctx, time.Until(lw.started.Add(watchPause)), nil)
	lw.started = time.Now()
	opts.LabelSelector = lw.selector
	stream, err := ask(ctx, lw, func(ctx context.Context) (watch.Interface, error) {
		return lw.from.Watch(ctx, opts)
	})
	if err != nil {
		return nil, err
	}
	lw.watcher.works(lw.name)
	return stream, nil
}

// ask makes an attempt over the connection.
func ask[T any, L runtime.Object](ctx context.Context, lw *listWatch[L], call func(context.Context) (T, error)) (T, error) {
	result, err := attempt(ctx, lw.watcher.member, func(ctx context.Context, conn *connection) (T, error) {
		if conn != lw.conn {
			var none T
			return none, errAbandoned
		}
		return call(ctx)
	})
	if err == nil {
		return result, nil
	}
	if ctx.Err() == nil {
		lw.watcher.note(lw.name, err)
	}
	return result, errors.New("noted")
}
