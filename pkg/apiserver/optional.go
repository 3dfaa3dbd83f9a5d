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

// servedInterval is how long it may take until a kind is noticed that the host begins to
// serve, as it does when it is upgraded.
const servedInterval = 30 * time.Second

// optionalKinds are those that the library watches for admission and flow control, and
// that an older host does not serve: mutating policies are of Kubernetes 1.36, validating
// ones of 1.30, this version of flow control is of 1.29.
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

// ShareOptionalKinds registers with a factory the informers of the kinds that an older
// host does not serve. What the host does not serve it holds no object of, so such an
// informer is synced and empty, and lists the kind once the host serves it. A host that
// gives no answer, or refuses one, proves nothing: then the informer is not synced.
//
// Whoever asks the factory for one of these informers gets the one that is registered
// here, so it has to come first.
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
	// missing says that the last list found the kind unserved.
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

// IsWatchListSemanticsUnSupported has the reflector list before it watches: an older host
// does not send initial events.
func (k *optionalKind) IsWatchListSemanticsUnSupported() bool { return true }

// List lists the kind; nothing where the host does not serve it.
func (k *optionalKind) List(opts metav1.ListOptions) (runtime.Object, error) {
	return k.ListWithContext(context.Background(), opts)
}

// ListWithContext lists the kind; nothing where the host does not serve it.
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
		return nil, fmt.Errorf("the host serves %s and answers that it does not", k.resource)
	}
	k.missing.Store(true)
	return &metav1.List{}, nil
}

// isServed asks the host's discovery: a list that is not found may have other reasons.
func (k *optionalKind) isServed() (bool, error) {
	resources, err := k.discovery.ServerResourcesForGroupVersion(k.resource.GroupVersion().String())
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("find out whether the host serves %s: %w", k.resource, err)
	}
	return slices.ContainsFunc(resources.APIResources, func(r metav1.APIResource) bool { return r.Name == k.resource.Resource }), nil
}

// Watch watches the kind. See WatchWithContext.
func (k *optionalKind) Watch(opts metav1.ListOptions) (watch.Interface, error) {
	return k.WatchWithContext(context.Background(), opts)
}

// WatchWithContext watches the kind. While the host does not serve it there are no
// events but, after servedInterval, that the list has expired, so that it is listed anew.
func (k *optionalKind) WatchWithContext(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	if !k.missing.Load() {
		return k.served.WatchWithContext(ctx, opts)
	}
	expired := apierrors.NewResourceExpired(fmt.Sprintf("the host may serve %s by now", k.resource)).Status()
	events := make(chan watch.Event, 1)
	timer := time.AfterFunc(servedInterval, func() { events <- watch.Event{Type: watch.Error, Object: &expired} })
	return &waiting{events, timer}, nil
}

// waiting is a watch that has one event at its end.
type waiting struct {
	events chan watch.Event
	timer  *time.Timer
}

func (w *waiting) ResultChan() <-chan watch.Event { return w.events }
func (w *waiting) Stop()                          { w.timer.Stop() }
