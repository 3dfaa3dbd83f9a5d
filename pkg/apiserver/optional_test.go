// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// olderHost is a RoundTripper that answers as a host that serves only the given resources.
type olderHost struct {
	mutex sync.Mutex
	// served are the resources that it serves; fault is the code of every answer.
	served []string
	fault  int
}

func (h *olderHost) set(fault int, served ...string) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.fault, h.served = fault, served
}

func (h *olderHost) RoundTrip(r *http.Request) (*http.Response, error) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	w := httptest.NewRecorder()
	w.Header().Set("Content-Type", "application/json")
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case h.fault != 0:
		w.WriteHeader(h.fault)
	case len(parts) == 3:
		list := metav1.APIResourceList{GroupVersion: parts[1] + "/" + parts[2]}
		for _, name := range h.served {
			list.APIResources = append(list.APIResources, metav1.APIResource{Name: name})
		}
		_ = json.NewEncoder(w).Encode(list)
	case !slices.Contains(h.served, parts[3]):
		http.NotFound(w, r)
	case r.URL.Query().Get("watch") == "":
		_, _ = w.WriteString(`{"kind":"MutatingAdmissionPolicyList","apiVersion":"admissionregistration.k8s.io/v1","metadata":{"resourceVersion":"1"},"items":[{"metadata":{"name":"p"}}]}`)
	}
	return w.Result(), r.Context().Err()
}

func TestInformersOfUnservedKindsSync(t *testing.T) {
	const policies = "mutatingadmissionpolicies"
	for name, test := range map[string]struct {
		fault  int
		served []string
		synced bool
		items  int
	}{
		"served":           {served: []string{policies}, synced: true, items: 1},
		"an older version": {served: []string{"mutatingwebhookconfigurations"}, synced: true},
		"no group version": {fault: http.StatusNotFound, synced: true},
		"forbidden":        {fault: http.StatusForbidden},
		"unauthorized":     {fault: http.StatusUnauthorized},
		"down":             {fault: http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				host := &olderHost{served: test.served, fault: test.fault}
				factory := watchOptionalKinds(t, host)
				informer := factory.Admissionregistration().V1().MutatingAdmissionPolicies().Informer()
				if got := informer.HasSynced(); got != test.synced {
					t.Errorf("synced: %v, want %v", got, test.synced)
				}
				if got := len(informer.GetStore().List()); got != test.items {
					t.Errorf("%d items, want %d", got, test.items)
				}
			})
		})
	}
}

// TestInformersListKindsOfAnUpgradedHost has a host that begins to serve a kind and later is down:
// the informer keeps its objects.
func TestInformersListKindsOfAnUpgradedHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := &olderHost{}
		factory := watchOptionalKinds(t, host)
		informer := factory.Admissionregistration().V1().MutatingAdmissionPolicies().Informer()
		host.set(http.StatusServiceUnavailable)
		time.Sleep(5 * time.Minute)
		host.set(0, "mutatingadmissionpolicies")
		time.Sleep(2 * time.Minute)
		if _, exists, _ := informer.GetStore().GetByKey("p"); !exists {
			t.Error("the policy is not known two minutes after the upgrade")
		}
		host.set(http.StatusServiceUnavailable)
		time.Sleep(5 * time.Minute)
		if _, exists, _ := informer.GetStore().GetByKey("p"); !exists {
			t.Error("the policy is forgotten while the host is down")
		}
	})
}

// TestOptionalKindsCoverTheLibrary checks that the factory returns the registered informers.
func TestOptionalKindsCoverTheLibrary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		factory := watchOptionalKinds(t, &olderHost{})
		for name, synced := range map[string]func() bool{
			"mutating policies":   factory.Admissionregistration().V1().MutatingAdmissionPolicies().Informer().HasSynced,
			"mutating bindings":   factory.Admissionregistration().V1().MutatingAdmissionPolicyBindings().Informer().HasSynced,
			"validating policies": factory.Admissionregistration().V1().ValidatingAdmissionPolicies().Informer().HasSynced,
			"validating bindings": factory.Admissionregistration().V1().ValidatingAdmissionPolicyBindings().Informer().HasSynced,
			"flow schemas":        factory.Flowcontrol().V1().FlowSchemas().Informer().HasSynced,
			"priority levels":     factory.Flowcontrol().V1().PriorityLevelConfigurations().Informer().HasSynced,
		} {
			if !synced() {
				t.Errorf("the informer of %s has not synced on a host that does not serve them", name)
			}
		}
	})
}

// watchOptionalKinds starts the informers of the optional kinds, waits and returns their factory.
func watchOptionalKinds(t *testing.T, host *olderHost) informers.SharedInformerFactory {
	client, err := kubernetes.NewForConfig(&rest.Config{Host: "http://host", Transport: host, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	factory := informers.NewSharedInformerFactory(client, 0)
	ShareOptionalKinds(factory)
	factory.StartWithContext(ctx)
	t.Cleanup(func() {
		cancel()
		factory.Shutdown()
	})
	time.Sleep(time.Second)
	return factory
}
