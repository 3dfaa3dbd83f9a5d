// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package ha

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/watch"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	typed "kurator.dev/migrate-apiserver/pkg/generated/clientset/versioned/typed/backup/v1alpha1"
)

// watchPause is the time between two watches.
const watchPause = 100 * time.Millisecond

// watcher lists once and then watches, each time from the last resourceVersion, like a
// reflector. It lists again only if that resourceVersion has expired.
type watcher struct {
	client typed.MigrateInterface
	label  string

	mu      sync.Mutex
	version string
	// objects are the resourceVersions of the existing objects. revisions are all seen
	// revisions of each object, including deleted ones.
	objects   map[string]string
	revisions map[string][]int
	relists   int
	// outOfOrder describes the events that were older than the event before them.
	outOfOrder []string
}

// startWatcher lists the objects with a label and watches them until the test ends.
func startWatcher(ctx context.Context, t *testing.T, client typed.MigrateInterface, label string) *watcher {
	t.Helper()
	w := &watcher{client: client, label: label, objects: map[string]string{}, revisions: map[string][]int{}}
	if err := w.list(ctx); err != nil {
		t.Fatal(err)
	}
	w.relists = 0
	// It outlives ctx, which ends with the load, to see the last events.
	watching, cancel := context.WithCancel(context.WithoutCancel(ctx))
	t.Cleanup(cancel)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for watching.Err() == nil {
			w.resume(watching)
			select {
			case <-watching.Done():
			case <-time.After(watchPause):
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

func (w *watcher) options() metav1.ListOptions {
	return metav1.ListOptions{LabelSelector: "ha.test/load=" + w.label}
}

func (w *watcher) list(ctx context.Context) error {
	all, err := w.client.List(ctx, w.options())
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.relists++
	w.version = all.ResourceVersion
	w.objects = map[string]string{}
	for i := range all.Items {
		w.put(&all.Items[i])
	}
	return nil
}

// resume watches from the last resourceVersion until the watch ends.
func (w *watcher) resume(ctx context.Context) {
	options := w.options()
	options.AllowWatchBookmarks = true
	w.mu.Lock()
	options.ResourceVersion = w.version
	w.mu.Unlock()
	stream, err := w.client.Watch(ctx, options)
	if isExpired(err) {
		_ = w.list(ctx)
	}
	if err != nil {
		return
	}
	defer stream.Stop()
	for event := range stream.ResultChan() {
		if event.Type == watch.Error {
			if isExpired(apierrors.FromObject(event.Object)) {
				_ = w.list(ctx)
			}
			return
		}
		w.handle(event)
	}
}

func (w *watcher) handle(event watch.Event) {
	m := event.Object.(*v1alpha1.Migrate)
	w.mu.Lock()
	defer w.mu.Unlock()
	if order, err := resourceversion.CompareResourceVersion(m.ResourceVersion, w.version); err != nil || order < 0 {
		w.outOfOrder = append(w.outOfOrder, m.Name+" at "+m.ResourceVersion+" after "+w.version)
	}
	w.version = m.ResourceVersion
	switch event.Type {
	case watch.Added, watch.Modified:
		w.put(m)
	case watch.Deleted:
		delete(w.objects, m.Name)
	}
}

// put records an object. The caller holds the lock.
func (w *watcher) put(m *v1alpha1.Migrate) {
	w.objects[m.Name] = m.ResourceVersion
	if n, err := strconv.Atoi(m.Labels[revision]); err == nil && !slices.Contains(w.revisions[m.Name], n) {
		w.revisions[m.Name] = append(w.revisions[m.Name], n)
	}
}

// awaitVersion waits until the watcher has seen the objects of a list, or newer versions.
func (w *watcher) awaitVersion(t *testing.T, all *v1alpha1.MigrateList) {
	t.Helper()
	eventually(t, "the watch to see the last events", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		for i := range all.Items {
			seen, ok := w.objects[all.Items[i].Name]
			order, err := resourceversion.CompareResourceVersion(seen, all.Items[i].ResourceVersion)
			if !ok || err != nil || order < 0 {
				return false
			}
		}
		return len(w.objects) == len(all.Items)
	})
}

// check checks that all acknowledged changes of an object were seen in order.
func (w *watcher) check(t *testing.T, name string, state *objectState) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := w.revisions[name]
	if !slices.IsSorted(seen) {
		t.Errorf("%s: revisions %v were seen in this order", name, seen)
	}
	if w.relists > 0 {
		return // a list may skip revisions
	}
	for n := range state.revision + 1 {
		if !slices.Contains(seen, n) {
			t.Errorf("%s: revision %d was not seen, only %v", name, n, seen)
		}
	}
}

// checkEqual checks that the watcher has the stored objects, and that no event was out of order.
func (w *watcher) checkEqual(t *testing.T, stored map[string]*v1alpha1.Migrate) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for name := range w.objects {
		if stored[name] == nil {
			t.Errorf("the watch has %s, the list does not", name)
		}
	}
	for name := range stored {
		if _, ok := w.objects[name]; !ok {
			t.Errorf("the list has %s, the watch does not", name)
		}
	}
	if len(w.outOfOrder) > 0 {
		t.Errorf("%d events were out of order, such as: %s", len(w.outOfOrder), w.outOfOrder[0])
	}
}

// isExpired reports whether err means that a watch can't be resumed.
func isExpired(err error) bool { return apierrors.IsResourceExpired(err) || apierrors.IsGone(err) }
