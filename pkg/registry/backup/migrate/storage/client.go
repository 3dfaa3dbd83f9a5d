// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/client-go/tools/cache"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/recovery"
	"kurator.dev/migrate-apiserver/pkg/registry/backup/internal/store"
)

// Client reads Migrates and records their statuses within the process, without requests.
type Client struct {
	reads   *store.Store
	records *genericregistry.Store
}

// readyInterval is the time between two tries while the watch cache is not ready, as after an outage of etcd.
const readyInterval = 200 * time.Millisecond

// Get returns a Migrate as it is stored in etcd now.
func (c *Client) Get(ctx context.Context, namespace, name string) (*v1alpha1.Migrate, error) {
	obj, err := c.reads.Get(genericapirequest.WithNamespace(ctx, namespace), name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return toV1alpha1(obj)
}

// List returns the Migrates of a namespace from the watch cache. They share memory with it, and must not be changed.
func (c *Client) List(ctx context.Context, namespace string) (*v1alpha1.MigrateList, error) {
	return c.list(ctx, namespace, &internalversion.ListOptions{ResourceVersion: "0"})
}

// ListWatch lists and watches the Migrates of all namespaces that have not ended. What it returns may share memory with the
// watch cache, and must not be changed.
func (c *Client) ListWatch() cache.ListerWatcher {
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			live, err := selectLive(&options)
			if err != nil {
				return nil, err
			}
			return c.list(ctx, metav1.NamespaceAll, live)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			live, err := selectLive(&options)
			if err != nil {
				return nil, err
			}
			var w watch.Interface
			if err := wait.PollUntilContextCancel(ctx, readyInterval, true, func(ctx context.Context) (bool, error) {
				var err error
				w, err = c.reads.Watch(genericapirequest.WithNamespace(ctx, metav1.NamespaceAll), live)
				if apierrors.IsTooManyRequests(err) {
					return false, nil // the informer would wait longer, and not end with ctx
				}
				return true, err
			}); err != nil {
				return nil, err
			}
			return newWatcher(ctx, w), nil
		},
	}
}

// Record replaces the recorded status by that of m and returns the recorded Migrate. Metadata and
// spec are kept. It returns a conflict if the Migrate has another UID or resourceVersion, both of
// which must be set, and an error if the recorded phase is terminal and would change within an attempt.
//
// Recording an equal status does not change the resourceVersion.
func (c *Client) Record(ctx context.Context, m *v1alpha1.Migrate) (*v1alpha1.Migrate, error) {
	if m.UID == "" || m.ResourceVersion == "" {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("record status of Migrate %s/%s: uid and resourceVersion must be set", m.Namespace, m.Name))
	}
	obj, err := fromV1alpha1(m)
	if err != nil {
		return nil, err
	}
	ctx = genericapirequest.WithNamespace(ctx, m.Namespace)
	recorded, _, err := c.records.Update(ctx, m.Name, rest.DefaultUpdatedObjectInfo(obj),
		rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	if err != nil {
		return nil, err
	}
	return toV1alpha1(recorded)
}

func (c *Client) list(ctx context.Context, namespace string, options *internalversion.ListOptions) (*v1alpha1.MigrateList, error) {
	obj, err := c.reads.List(genericapirequest.WithNamespace(ctx, namespace), options)
	if err != nil {
		return nil, err
	}
	internal, ok := obj.(*backup.MigrateList)
	if !ok {
		return nil, fmt.Errorf("%T is not a list of Migrates", obj)
	}
	list := &v1alpha1.MigrateList{}
	return list, v1alpha1.Convert_backup_MigrateList_To_v1alpha1_MigrateList(internal, list, nil)
}

// selectLive returns options that select only Migrates that have not ended.
func selectLive(options *metav1.ListOptions) (*internalversion.ListOptions, error) {
	live := &internalversion.ListOptions{}
	if err := internalversion.Convert_v1_ListOptions_To_internalversion_ListOptions(options, live, nil); err != nil {
		return nil, err
	}
	var phases []fields.Selector
	for _, phase := range backup.TerminalPhases() {
		phases = append(phases, fields.OneTermNotEqualSelector(v1alpha1.FieldPhase, string(phase)))
	}
	live.FieldSelector = fields.AndSelectors(phases...)
	return live, nil
}

// watcher is a watch with the Migrates of its events converted. After Stop it sends nothing.
type watcher struct {
	from   watch.Interface
	result chan watch.Event
	cancel context.CancelFunc
}

func newWatcher(ctx context.Context, from watch.Interface) *watcher {
	ctx, cancel := context.WithCancel(ctx)
	w := &watcher{from: from, result: make(chan watch.Event), cancel: cancel}
	go w.run(ctx)
	return w
}

// ResultChan returns the events.
func (w *watcher) ResultChan() <-chan watch.Event { return w.result }

// Stop ends the watch.
func (w *watcher) Stop() { w.cancel() }

func (w *watcher) run(ctx context.Context) {
	defer close(w.result)
	defer w.from.Stop()
	for {
		select {
		case event, ok := <-w.from.ResultChan():
			if !ok {
				return
			}
			select {
			case w.result <- converted(ctx, event):
			case <-ctx.Done():
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// converted returns an event with its Migrate converted. Other objects, such as an error, are left as they are.
func converted(ctx context.Context, event watch.Event) watch.Event {
	if err := recovery.Do(ctx, func() error {
		obj := event.Object
		if shared, ok := obj.(runtime.CacheableObject); ok {
			obj = shared.GetObject()
		}
		internal, ok := obj.(*backup.Migrate)
		if !ok {
			return nil
		}
		m := &v1alpha1.Migrate{}
		event.Object = m
		return v1alpha1.Convert_backup_Migrate_To_v1alpha1_Migrate(internal, m, nil)
	}); err != nil {
		return watch.Event{Type: watch.Error, Object: &apierrors.NewInternalError(err).ErrStatus}
	}
	return event
}
