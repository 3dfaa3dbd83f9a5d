// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"
)

func TestServices(t *testing.T) {
	cidr := &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: "kubernetes"}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"10.96.0.0/12", "fd00::/112"}}}
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubernetes"}, Spec: corev1.ServiceSpec{ClusterIPs: []string{"10.96.0.1"}}}
	forbidden := apierrors.NewForbidden(networkingv1.Resource("servicecidrs"), "", errors.New("no"))
	notServed := apierrors.NewNotFound(networkingv1.Resource("servicecidrs"), "")
	down := errors.New("connection refused")
	for name, tt := range map[string]struct {
		cidrs, services error
		want            []string
		missing         bool
	}{
		"both":                     {want: []string{"10.96.0.0/12", "fd00::/112", "10.96.0.1/32"}},
		"an older host":            {cidrs: notServed, want: []string{"10.96.0.1/32"}},
		"RBAC of an older release": {cidrs: forbidden, services: forbidden},
		"a host that is down":      {cidrs: down, services: down, missing: true},
		"one request fails":        {cidrs: down, missing: true},
	} {
		client := fake.NewClientset(cidr, service)
		fails := func(verb, resource string, err error) {
			if err != nil {
				client.PrependReactor(verb, resource, func(k8stesting.Action) (bool, runtime.Object, error) { return true, nil, err })
			}
		}
		fails("list", "servicecidrs", tt.cidrs)
		fails("get", "services", tt.services)
		s := NewServices(client)
		if _, err := s.Ranges(); err == nil {
			t.Errorf("%s: known before it is read", name)
		}
		s.read(context.Background())
		got, err := s.Ranges()
		var want []netip.Prefix
		for _, text := range tt.want {
			want = append(want, netip.MustParsePrefix(text))
		}
		if !slices.Equal(got, want) || (err != nil) != tt.missing {
			t.Errorf("%s: %v, %v; want %v", name, got, err, tt.want)
		}
	}
}

// TestServicesStayKnown stops the host after the first read.
func TestServicesStayKnown(t *testing.T) {
	client := fake.NewClientset(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubernetes"}, Spec: corev1.ServiceSpec{ClusterIPs: []string{"10.96.0.1"}}})
	s := NewServices(client)
	s.read(context.Background())
	client.PrependReactor("*", "*", func(k8stesting.Action) (bool, runtime.Object, error) { return true, nil, errors.New("down") })
	s.read(context.Background())
	if got, err := s.Ranges(); len(got) != 1 || err != nil {
		t.Errorf("%v, %v", got, err)
	}
}
