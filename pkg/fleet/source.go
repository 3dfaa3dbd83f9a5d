// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"kurator.dev/migrate-apiserver/pkg/recovery"
)

// absentRecheck is the time between two checks whether a missing CRD is installed.
const absentRecheck = 5 * time.Second

// readTimeout bounds one live call to the host.
const readTimeout = 10 * time.Second

// source is one kind on the host, in one namespace or in all.
type source struct {
	client    dynamic.Interface
	kind      kind
	namespace string
	changed   func(kind, namespace, name string)
	// forbidden is set once it was logged that the kind may not be listed.
	forbidden atomic.Bool

	mu sync.RWMutex
	// informer is nil while run does not run, and while the CRD is not installed.
	informer cache.SharedIndexInformer
	// absent is set while the CRD is not installed.
	absent bool
	// err is the last error of a list or watch.
	err error
}

func newSource(client dynamic.Interface, k kind, namespace string, changed func(kind, namespace, name string)) *source {
	return &source{client: client, kind: k, namespace: namespace, changed: changed}
}

// store returns the cache; nil while there is none, or for no source.
func (s *source) store() cache.Store {
	if s == nil {
		return nil
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.informer == nil {
		return nil
	}
	return s.informer.GetStore()
}

// get returns an object from the cache; nil if there is none.
func (s *source) get(namespace, name string) *unstructured.Unstructured {
	store := s.store()
	if store == nil {
		return nil
	}
	obj, _, _ := store.GetByKey(namespace + "/" + name)
	u, _ := obj.(*unstructured.Unstructured)
	return u
}

// read returns an object by a live call; nil if there is none.
func (s *source) read(ctx context.Context, namespace, name string) (*unstructured.Unstructured, error) {
	if s == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	u, err := s.client.Resource(s.kind.resource).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return u, nil
}

// labelled returns the objects of a namespace with a label from the cache, in the order of their names.
func (s *source) labelled(namespace, label, value string) []*unstructured.Unstructured {
	store := s.store()
	if store == nil {
		return nil
	}
	var found []*unstructured.Unstructured
	for _, obj := range store.List() {
		if u, ok := obj.(*unstructured.Unstructured); ok && u.GetNamespace() == namespace && u.GetLabels()[label] == value {
			found = append(found, u)
		}
	}
	slices.SortFunc(found, func(a, b *unstructured.Unstructured) int { return strings.Compare(a.GetName(), b.GetName()) })
	return found
}

// readLabelled returns the same as labelled by a live call.
func (s *source) readLabelled(ctx context.Context, namespace, label, value string) ([]*unstructured.Unstructured, error) {
	if s == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	list, err := s.client.Resource(s.kind.resource).Namespace(namespace).List(ctx, metav1.ListOptions{LabelSelector: labels.Set{label: value}.String()})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var found []*unstructured.Unstructured
	for i := range list.Items {
		found = append(found, &list.Items[i])
	}
	return found, nil
}

// unsynced returns why the cache has not synced; nil if it has.
func (s *source) unsynced() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	switch {
	case s.absent, s.informer != nil && s.informer.HasSynced():
		return nil
	case s.err != nil:
		return fmt.Errorf("list %s on the host: %w", s.kind.resource.GroupResource(), s.err)
	default:
		return fmt.Errorf("%s on the host: %w", s.kind.resource.GroupResource(), ErrNotSynced)
	}
}

// run watches the kind until ctx ends.
func (s *source) run(ctx context.Context) {
	defer s.set(func() { s.informer, s.absent, s.err = nil, false, nil })
	if !s.awaitInstalled(ctx) {
		return
	}
	informer, err := s.newInformer()
	if err != nil {
		s.set(func() { s.err = err })
		return
	}
	s.set(func() { s.informer, s.absent = informer, false })
	informer.RunWithContext(ctx)
}

// awaitInstalled waits until the CRD is installed; it returns false if ctx ends first. An
// informer would retry with a growing delay, and log each failure.
func (s *source) awaitInstalled(ctx context.Context) bool {
	for {
		missing := s.missing(ctx)
		if ctx.Err() != nil {
			return false
		}
		if !missing {
			return true
		}
		s.set(func() { s.absent = true })
		select {
		case <-ctx.Done():
			return false
		case <-time.After(absentRecheck):
		}
	}
}

// missing reports whether the host does not serve the kind, or an optional one may not be listed. The informer retries after other
// errors.
func (s *source) missing(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	_, err := s.client.Resource(s.kind.resource).Namespace(s.namespace).List(ctx, metav1.ListOptions{Limit: 1})
	// RBAC is checked before whether the kind exists. An installation of an earlier version has no permission for it.
	forbidden := s.kind.optional && apierrors.IsForbidden(err)
	if forbidden && s.forbidden.CompareAndSwap(false, true) {
		klog.FromContext(ctx).Info("The server may not list a kind of clusters, which it takes as absent; apply the RBAC of this version", "resource", s.kind.resource.GroupResource(), "err", err)
	}
	return forbidden || apierrors.IsNotFound(err)
}

func (s *source) newInformer() (cache.SharedIndexInformer, error) {
	informer := dynamicinformer.NewFilteredDynamicInformer(s.client, s.kind.resource, s.namespace, 0, cache.Indexers{}, nil).Informer()
	return informer, errors.Join(
		informer.SetTransform(strip),
		informer.SetWatchErrorHandlerWithContext(s.failed),
		second(informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    s.added,
			UpdateFunc: s.updated,
			DeleteFunc: s.added,
		})),
	)
}

func (s *source) failed(ctx context.Context, r *cache.Reflector, err error) {
	s.set(func() { s.err = err })
	if apierrors.IsNotFound(err) {
		return
	}
	cache.DefaultWatchErrorHandler(ctx, r, err)
}

func (s *source) added(obj any) {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	if u, ok := obj.(*unstructured.Unstructured); ok {
		s.changed(s.kind.name, u.GetNamespace(), u.GetName())
	}
}

func (s *source) updated(before, after any) {
	b, ok := before.(*unstructured.Unstructured)
	a, ok2 := after.(*unstructured.Unstructured)
	same := false
	// A panic in matters counts as a change.
	_ = recovery.Do(context.Background(), func() error {
		same = ok && ok2 && reflect.DeepEqual(s.kind.matters(b), s.kind.matters(a))
		return nil
	})
	if !same {
		s.added(after)
	}
}

func (s *source) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// strip removes the managed fields, which are not used, from a cached object.
func strip(obj any) (any, error) {
	if u, ok := obj.(*unstructured.Unstructured); ok {
		u.SetManagedFields(nil)
	}
	return obj, nil
}

func second[T any](_ T, err error) error { return err }
