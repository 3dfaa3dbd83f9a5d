// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"errors"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kurator.dev/migrate-apiserver/pkg/member/internal/limits"
	"kurator.dev/migrate-apiserver/pkg/member/internal/membertest"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

var podsResource = schema.GroupVersionResource{Version: "v1", Resource: "pods"}

// newCollectionClient returns a Client of a server with the given answers.
func newCollectionClient(t *testing.T, answers map[string]string) (*Client, *membertest.APIServer) {
	server := membertest.NewAPIServer(t)
	server.Answers = answers
	velero := migration.Velero{Cluster: migration.Cluster{Kind: "AttachedCluster", Name: "member1"}, Namespace: "velero"}
	o := Options{}
	o.Addresses.AllowLocal = true
	return New("default", velero, host(server.Kubeconfig()), o.WithDefaults(), limits.NewReading().Quota()), server
}

func TestPathsAreMadeOfNamesOnly(t *testing.T) {
	c, server := newCollectionClient(t, nil)
	pods := Collection{Resource: podsResource}
	for name, objects := range map[string]Collection{
		"an empty namespace":             pods.In(""),
		"a namespace that leads up":      pods.In(".."),
		"a namespace with a path":        pods.In("a/secrets"),
		"a group with a path":            {Resource: schema.GroupVersionResource{Group: "a/b", Version: "v1", Resource: "pods"}},
		"a group that leads up":          {Resource: schema.GroupVersionResource{Group: "..", Version: "v1", Resource: "pods"}},
		"a version that leads up":        {Resource: schema.GroupVersionResource{Version: "..", Resource: "pods"}},
		"a resource with a path":         {Resource: schema.GroupVersionResource{Version: "v1", Resource: "pods/x"}},
		"a resource with a query":        {Resource: schema.GroupVersionResource{Version: "v1", Resource: "pods?watch=1"}},
		"no resource, which lists kinds": {Resource: schema.GroupVersionResource{Version: "v1"}},
	} {
		if err := ListInto(t.Context(), c, objects, metav1.ListOptions{}, &struct{}{}); !errors.Is(err, ErrInvalidName) {
			t.Errorf("list with %s: %v, want ErrInvalidName", name, err)
		}
		if _, err := Get(t.Context(), c, objects, "a"); !errors.Is(err, ErrInvalidName) {
			t.Errorf("get with %s: %v, want ErrInvalidName", name, err)
		}
	}
	for _, name := range []string{"", "..", "a/b", "../secrets/a", "a?b", "a%2Fb"} {
		if _, err := Get(t.Context(), c, pods.In("a"), name); !errors.Is(err, ErrInvalidName) {
			t.Errorf("get %q: %v, want ErrInvalidName", name, err)
		}
	}
	if asked := server.Requests(); len(asked) != 0 {
		t.Errorf("the member was asked: %v", asked)
	}
}

func TestEachReadsABoundedNumberOfPages(t *testing.T) {
	page := func(next string) string {
		return `{"metadata":{"continue":"` + next + `"},"items":[{"metadata":{"name":"a"}},{"metadata":{"name":"b"}}]}`
	}
	refused := errors.New("refused")
	for name, test := range map[string]struct {
		next string
		f    error
		want error
		seen int
	}{
		"one page":        {seen: 2},
		"an endless list": {next: "more", want: TooManyError{6}, seen: 6},
		"f refuses":       {f: refused, want: refused, seen: 1},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := newCollectionClient(t, map[string]string{"/api/v1/namespaces/shop/pods": page(test.next)})
			seen := 0
			err := Each(t.Context(), c, Collection{Resource: podsResource}.In("shop"), metav1.ListOptions{Limit: 2}, 3,
				func(pod *metav1.PartialObjectMetadata) error {
					seen++
					return test.f
				})
			if !errors.Is(err, test.want) || seen != test.seen {
				t.Errorf("saw %d objects, %v; want %d, %v", seen, err, test.seen, test.want)
			}
		})
	}
}
