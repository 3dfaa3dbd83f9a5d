// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package leftout

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/sets"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/member/internal/client"
	"kurator.dev/migrate-apiserver/pkg/member/internal/clienttest"
	"kurator.dev/migrate-apiserver/pkg/member/internal/membertest"
)

var started = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// newMember returns a member with a Backup that began at started, and a kind Oven that was defined some
// time before, with an object north in namespace app.
func newMember(t *testing.T, before time.Duration, excluded ...any) *membertest.APIServer {
	s := membertest.NewAPIServer(t)
	s.Put("backups", &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"name": "b"},
		"spec":     map[string]any{"excludedNamespaces": excluded},
		"status":   map[string]any{"startTimestamp": started.Format(time.RFC3339)},
	}})
	const crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
	s.Answers = map[string]string{
		crds: fmt.Sprintf(`{"items":[{"metadata":{"name":"old.example.com","creationTimestamp":"2020-01-01T00:00:00Z"}},{"metadata":{"name":"../secrets","creationTimestamp":%[1]q}},
			{"metadata":{"name":"schedules.velero.io","creationTimestamp":%[1]q}},{"metadata":{"name":"ovens.example.com","creationTimestamp":%[1]q}}]}`, started.Add(-before).Format(time.RFC3339)),
		crds + "/ovens.example.com": fmt.Sprintf(`{"metadata":{"name":"ovens.example.com","creationTimestamp":%q},"spec":{"group":"example.com","scope":"Namespaced",
			"names":{"plural":"ovens","singular":"oven","kind":"Oven"},"versions":[{"name":"v1alpha1"},{"name":"v1","served":true}]}}`, started.Add(-before).Format(time.RFC3339)),
		crds + "/schedules.velero.io": membertest.Broken, // Velero knows it, so it need not be read
		"/apis/example.com/v1/ovens":  `{"items":[{"metadata":{"name":"north","namespace":"app","labels":{"app":"bakery"}}}]}`,
	}
	return s
}

func TestRead(t *testing.T) {
	type filter = v1alpha1.ResourceFilter
	const young = "ovens.example.com /: it was defined 1m0s before the Backup began, and Velero did not know it yet: it discovers resources every five minutes; recreate the Migrate"
	selector := func(app string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
	}
	for name, tt := range map[string]struct {
		before   time.Duration
		filter   filter
		kinds    []string
		excluded []any
		want     []string
	}{
		"young kind":             {time.Minute, filter{}, nil, nil, []string{young}},
		"listed":                 {time.Minute, filter{IncludedResources: []string{"Oven"}}, nil, nil, []string{young}},
		"listed by a pattern":    {time.Minute, filter{IncludedNamespaceScopedResources: []string{"*.example.com"}}, nil, nil, []string{young}},
		"selected by a label":    {time.Minute, filter{LabelSelector: selector("bakery")}, nil, nil, []string{young}},
		"in the Backup":          {time.Minute, filter{}, []string{"Oven.example.com"}, nil, nil},
		"old enough":             {6 * time.Minute, filter{}, nil, nil, nil},
		"not listed":             {time.Minute, filter{IncludedResources: []string{"configmaps"}}, nil, nil, nil},
		"excluded":               {time.Minute, filter{ExcludedResources: []string{"ovens.example.com"}}, nil, nil, nil},
		"in another namespace":   {time.Minute, filter{IncludedNamespaces: []string{"shop"}}, nil, nil, nil},
		"not selected":           {time.Minute, filter{OrLabelSelectors: []*metav1.LabelSelector{selector("shop")}}, nil, nil, nil},
		"namespace with a label": {time.Hour, filter{}, nil, []any{"app"}, []string{"Namespace /app: it has the label velero.io/exclude-from-backup=true, so Velero backed up none of its objects"}},
		"excluded namespace":     {time.Hour, filter{ExcludedNamespaces: []string{"app"}}, nil, []any{"app"}, nil},
		"foreign namespace":      {time.Hour, filter{IncludedNamespaces: []string{"shop"}}, nil, []any{"app"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newMember(t, tt.before, tt.excluded...)
			var got []string
			found, err := Read(t.Context(), clienttest.New(s, client.Options{}), "b", tt.filter, sets.New(tt.kinds...))
			if err != nil {
				t.Error(err)
			}
			for _, x := range found.First[v1alpha1.ItemLeftOut] {
				got = append(got, fmt.Sprintf("%s %s/%s: %s", x.Kind, x.Namespace, x.Name, x.Message))
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestErrors checks that a lack of permission to read the source is no error, and others are.
func TestErrors(t *testing.T) {
	const crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
	for _, path := range []string{crds, crds + "/ovens.example.com", "/apis/example.com/v1/ovens"} {
		for answer, want := range map[string]bool{membertest.Forbidden: false, membertest.Broken: true} {
			s := newMember(t, time.Minute)
			s.Answers[path] = answer
			found, err := Read(t.Context(), clienttest.New(s, client.Options{}), "b", v1alpha1.ResourceFilter{}, nil)
			if (err != nil) != want || found.Total() > 0 {
				t.Errorf("%s is %s: found %+v, error %v", path, answer, found, err)
			}
		}
	}
	if _, err := Read(t.Context(), clienttest.New(newMember(t, time.Minute), client.Options{}), "none", v1alpha1.ResourceFilter{}, nil); err == nil {
		t.Error("a Backup that does not exist is no error")
	}
}
