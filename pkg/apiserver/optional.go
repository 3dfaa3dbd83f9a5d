// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// servedInterval is the time between two checks whether the host serves a kind, as it does once
// it is upgraded.
const servedInterval = 30 * time.Second

// optionalKinds are the kinds that k8s.io/apiserver watches for admission and flow control, and
// that an older host does not serve: Kubernetes has mutating policies since 1.36, validating
// policies since 1.30, and this version of flow control since 1.29.
var optionalKinds = []struct {
	resource schema.GroupVersionResource
	example  runtime.Object
}{
	{admissionregistrationv1.SchemeGroupVersion.WithResource("mutatingadmissionpolicies"), &admissionregistrationv1.MutatingAdmissionPolicy{}},
	{admissionregistrationv1.SchemeGroupVersion.WithResource("mutatingadmissionpolicybindings"), &admissionregistrationv1.MutatingAdmissionPolicyBinding{}},
	{admissionregistrationv1.SchemeGroupVersion.WithResource("validatingadmissionpolicies"), &admissionregistrationv1.ValidatingAdmissionPolicy{}},
	{admissionregistrationv1.SchemeGroupVersion.WithResource("validatingadmissionpolicybindings"), &admissionregistrationv1.ValidatingAdmissionPolicyBinding{}},
	{flowcontrolv1.SchemeGroupVersion.WithResource("flowschemas"), &flowcontrolv1.FlowSchema{}},
	{flowcontrolv1.SchemeGroupVersion.WithResource("prioritylevelconfigurations"), &flowcontrolv1.PriorityLevelConfiguration{}},
}

// ShareOptionalKinds registers with a factory the informers of the kinds that an older host does
// not serve. While the host does not serve a kind, its informer is empty and has synced; it lists
// the kind once the host serves it. If the host does not answer, or forbids the list, the informer
// has not synced.
//
// It must be called before anything else requests these informers from the factory.
func ShareOptionalKinds(factory informers.SharedInformerFactory) {
	for _, kind := range optionalKinds {
		factory.InformerFor(kind.example, func(client kubernetes.Interface, resync time.Duration) cache.SharedIndexInformer {
			return cache.NewSharedIndexInformer(newOptionalKind(client, kind.resource), kind.example, resync,
				cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
		})
	}
}

// optionalKind lists and watches a kind that the host may not serve, for a reflector.
type optionalKind struct {
	served    *cache.ListWatch
	resource  schema.GroupVersionResource
	discovery discovery.DiscoveryInterface
	// missing is set if the host did not serve the kind at the last list.
	missing atomic.Bool
}

var _ cache.ListerWatcherWithContext = &optionalKind{}

func newOptionalKind(client kubernetes.Interface, resource schema.GroupVersionResource) *optionalKind {
	clients := map[string]rest.Interface{
		admissionregistrationv1.GroupName: client.AdmissionregistrationV1().RESTClient(),
		flowcontrolv1.GroupName:           client.FlowcontrolV1().RESTClient(),
	}
	return &optionalKind{
		served:    cache.NewListWatchFromClient(clients[resource.Group], resource.Resource, metav1.NamespaceAll, fields.Everything()),
		resource:  resource,
		discovery: client.Discovery(),
	}
}

// IsWatchListSemanticsUnSupported makes the reflector list before it watches, because an older
// host does not send initial events.
func (k *optionalKind) IsWatchListSemanticsUnSupported() bool { return true }

// List lists the kind; it returns an empty list while the host does not serve it.
func (k *optionalKind) List(opts metav1.ListOptions) (runtime.Object, error) {
	return k.ListWithContext(context.Background(), opts)
}

// ListWithContext lists the kind; it returns an empty list while the host does not serve it.
func (k *optionalKind) ListWithContext(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
	list, err := k.served.ListWithContext(ctx, opts)
	if !apierrors.IsNotFound(err) {
		k.missing.Store(false)
		return list, err
	}
	served, err := k.isServed()
	if err != nil {
		return nil, err
	}
	if served {
		return nil, fmt.Errorf("the host's discovery has %s, but listing it returned not found", k.resource)
	}
	k.missing.Store(true)
	return &metav1.List{}, nil
}

// isServed reports whether the host's discovery has the kind: a list may return not found for
// other reasons.
func (k *optionalKind) isServed() (bool, error) {
	resources, err := k.discovery.ServerResourcesForGroupVersion(k.resource.GroupVersion().String())
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("discover whether the host serves %s: %w", k.resource, err)
	}
	return slices.ContainsFunc(resources.APIResources, func(r metav1.APIResource) bool { return r.Name == k.resource.Resource }), nil
}

// Watch watches the kind. See WatchWithContext.
func (k *optionalKind) Watch(opts metav1.ListOptions) (watch.Interface, error) {
	return k.WatchWithContext(context.Background(), opts)
}

// WatchWithContext watches the kind. While the host does not serve it, the only event is, after
// servedInterval, that the list has expired, so that the reflector lists again.
func (k *optionalKind) WatchWithContext(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	if !k.missing.Load() {
		return k.served.WatchWithContext(ctx, opts)
	}
	expired := apierrors.NewResourceExpired(fmt.Sprintf("the host may serve %s by now", k.resource)).Status()
	events := make(chan watch.Event, 1)
	timer := time.AfterFunc(servedInterval, func() { events <- watch.Event{Type: watch.Error, Object: &expired} })
	return &waiting{events, timer}, nil
}

// waiting is a watch with a single event.
type waiting struct {
	events chan watch.Event
	timer  *time.Timer
}

func (w *waiting) ResultChan() <-chan watch.Event { return w.events }
func (w *waiting) Stop()                          { w.timer.Stop() }
