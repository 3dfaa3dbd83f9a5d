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

// watchPause is between two tries to watch.
const watchPause = 100 * time.Millisecond

// view is what a watcher has seen: it lists once and then watches, each time from
// where it was, as a reflector does. It lists again only where the server says that
// it can't go on.
type view struct {
	client typed.MigrateInterface
	label  string

	mu      sync.Mutex
	version string
	// objects are the resourceVersions of what is there; revisions are all that
	// were seen of each object, also of those that are gone.
	objects   map[string]string
	revisions map[string][]int
	relists   int
	// past are names of which something older was seen after something newer.
	past []string
}

func watchAll(ctx context.Context, t *testing.T, client typed.MigrateInterface, label string) *view {
	t.Helper()
	v := &view{client: client, label: label, objects: map[string]string{}, revisions: map[string][]int{}}
	if err := v.list(ctx); err != nil {
		t.Fatal(err)
	}
	v.relists = 0
	// It goes on for a while when the load has stopped, to see the last of it.
	watching, cancel := context.WithCancel(context.WithoutCancel(ctx))
	t.Cleanup(cancel)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for watching.Err() == nil {
			v.follow(watching)
			select {
			case <-watching.Done():
			case <-time.After(watchPause):
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return v
}

func (v *view) options() metav1.ListOptions {
	return metav1.ListOptions{LabelSelector: "ha.test/load=" + v.label}
}

func (v *view) list(ctx context.Context) error {
	all, err := v.client.List(ctx, v.options())
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.relists++
	v.version = all.ResourceVersion
	v.objects = map[string]string{}
	for i := range all.Items {
		v.put(&all.Items[i])
	}
	return nil
}

// follow watches from where the view is until the watch ends.
func (v *view) follow(ctx context.Context) {
	options := v.options()
	options.AllowWatchBookmarks = true
	v.mu.Lock()
	options.ResourceVersion = v.version
	v.mu.Unlock()
	stream, err := v.client.Watch(ctx, options)
	if isGone(err) {
		_ = v.list(ctx)
	}
	if err != nil {
		return
	}
	defer stream.Stop()
	for event := range stream.ResultChan() {
		if event.Type == watch.Error {
			if isGone(apierrors.FromObject(event.Object)) {
				_ = v.list(ctx)
			}
			return
		}
		v.saw(event)
	}
}

func (v *view) saw(event watch.Event) {
	m := event.Object.(*v1alpha1.Migrate)
	v.mu.Lock()
	defer v.mu.Unlock()
	if order, err := resourceversion.CompareResourceVersion(m.ResourceVersion, v.version); err != nil || order < 0 {
		v.past = append(v.past, m.Name+" at "+m.ResourceVersion+" after "+v.version)
	}
	v.version = m.ResourceVersion
	switch event.Type {
	case watch.Added, watch.Modified:
		v.put(m)
	case watch.Deleted:
		delete(v.objects, m.Name)
	}
}

// put notes an object. The caller holds the lock.
func (v *view) put(m *v1alpha1.Migrate) {
	v.objects[m.Name] = m.ResourceVersion
	if n, err := strconv.Atoi(m.Labels[revision]); err == nil && !slices.Contains(v.revisions[m.Name], n) {
		v.revisions[m.Name] = append(v.revisions[m.Name], n)
	}
}

// awaitVersion returns when the view is as new as a list.
func (v *view) awaitVersion(t *testing.T, all *v1alpha1.MigrateList) {
	t.Helper()
	eventually(t, "the watch to see the last", func() bool {
		v.mu.Lock()
		defer v.mu.Unlock()
		for i := range all.Items {
			seen, ok := v.objects[all.Items[i].Name]
			order, err := resourceversion.CompareResourceVersion(seen, all.Items[i].ResourceVersion)
			if !ok || err != nil || order < 0 {
				return false
			}
		}
		return len(v.objects) == len(all.Items)
	})
}

// check checks that every change that was acknowledged was seen, in its order.
func (v *view) check(t *testing.T, name string, b *book) {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	seen := v.revisions[name]
	if !slices.IsSorted(seen) {
		t.Errorf("%s: revisions %v were seen in this order", name, seen)
	}
	if v.relists > 0 {
		return // what was between is nobody's to see
	}
	for n := range b.revision + 1 {
		if !slices.Contains(seen, n) {
			t.Errorf("%s: revision %d was not seen, but %v", name, n, seen)
		}
	}
}

// equals checks that the view is what there is.
func (v *view) equals(t *testing.T, there map[string]*v1alpha1.Migrate) {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	for name := range v.objects {
		if there[name] == nil {
			t.Errorf("the watch has %s, the list does not", name)
		}
	}
	for name := range there {
		if _, ok := v.objects[name]; !ok {
			t.Errorf("the list has %s, the watch does not", name)
		}
	}
	if len(v.past) > 0 {
		t.Errorf("time went back %d times, such as: %s", len(v.past), v.past[0])
	}
}

// isGone says that a watch can't be resumed.
func isGone(err error) bool { return apierrors.IsResourceExpired(err) || apierrors.IsGone(err) }
