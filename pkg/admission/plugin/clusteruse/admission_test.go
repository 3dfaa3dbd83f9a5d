// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package clusteruse

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
)

var jane = &user.DefaultInfo{Name: "jane", UID: "42", Groups: []string{"shop"}, Extra: map[string][]string{"scopes": {"all"}}}

// host is an authorizer that allows the listed requests ("verb resource.group/namespace/name") and
// records all requests and their users.
type host struct {
	allowed map[string]bool
	err     error

	mutex    sync.Mutex
	requests map[string]int
	users    []user.Info
}

func (h *host) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	what := fmt.Sprintf("%s %s.%s/%s/%s", a.GetVerb(), a.GetResource(), a.GetAPIGroup(), a.GetNamespace(), a.GetName())
	if h.requests == nil {
		h.requests = map[string]int{}
	}
	h.requests[what]++
	h.users = append(h.users, a.GetUser())
	if h.allowed[what] {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "", h.err
}

func destination(fleet string, names ...string) backup.Destination {
	d := backup.Destination{Fleet: fleet}
	for _, name := range names {
		d.Clusters = append(d.Clusters, corev1.ObjectReference{Kind: "AttachedCluster", Name: name})
	}
	return d
}

func create(h *host, source, target backup.Destination) error {
	m := &backup.Migrate{
		ObjectMeta: metav1.ObjectMeta{Name: "app", Namespace: "team"},
		Spec:       backup.MigrateSpec{SourceCluster: source, TargetCluster: target, Requester: &backup.Requester{Username: "jane"}},
	}
	return validate(h, attributes(m, nil, "", admission.Create))
}

func attributes(object, old runtime.Object, subresource string, operation admission.Operation) admission.Attributes {
	return admission.NewAttributesRecord(object, old, backup.SchemeGroupVersion.WithKind("Migrate"), "team", "app",
		backup.Resource("migrates").WithVersion("v1alpha1"), subresource, operation, nil, false, jane)
}

func validate(h *host, a admission.Attributes) error {
	p := New()
	p.SetUnconditionalAuthorizer(h)
	return p.Validate(context.Background(), a, nil)
}

func TestValidate(t *testing.T) {
	const (
		attached = "use attachedclusters.cluster.kurator.dev/team/"
		clusters = "use clusters.cluster.kurator.dev/team/"
		fleets   = "use fleets.fleet.kurator.dev/team/"
		required = `: they need verb "use" on resource "attachedclusters" in API group "cluster.kurator.dev" with that name and namespace; ` +
			`ask for a RoleBinding to ClusterRole migrate-cluster-user, or to a Role with that rule`
	)
	for _, tt := range []struct {
		name           string
		allowed        []string
		source, target backup.Destination
		want           string
	}{
		{"each by name", []string{attached + "a", attached + "b"}, destination("f", "a"), destination("f", "b"), ""},
		{"all of the kind", []string{attached}, destination("f", "a"), destination("f", "b", "c"), ""},
		{
			"not the target",
			[]string{attached + "a"},
			destination("f", "a"), destination("f", "b"),
			`migrates.backup.kurator.dev "app" is forbidden: user "jane" may not use AttachedCluster team/b` + required,
		},
		{
			"neither", nil, destination("f", "a"), destination("f", "b"),
			`migrates.backup.kurator.dev "app" is forbidden: user "jane" may not use AttachedCluster team/a` + required +
				"\n" + `user "jane" may not use AttachedCluster team/b` + required,
		},
		{"a fleet", []string{attached + "a", fleets + "f"}, destination("f", "a"), destination("f"), ""},
		{
			"the clusters of a fleet but not the fleet",
			[]string{attached, clusters},
			destination("f", "a"), destination("f"),
			`migrates.backup.kurator.dev "app" is forbidden: user "jane" may not use Fleet team/f: they need verb "use" on resource "fleets" in API group ` +
				`"fleet.kurator.dev" with that name and namespace; ask for a RoleBinding to ClusterRole migrate-cluster-user, or to a Role with that rule`,
		},
		{"two fleets, one of them", []string{fleets + "f"}, destination("f"), destination("g"), "x"},
		{"a fleet as both", []string{fleets + "f"}, destination("f"), destination("f"), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := &host{allowed: map[string]bool{}}
			for _, what := range tt.allowed {
				h.allowed[what] = true
			}
			err := create(h, tt.source, tt.target)
			switch {
			case tt.want == "":
				if err != nil {
					t.Errorf("refused: %v", err)
				}
			case !apierrors.IsForbidden(err):
				t.Errorf("error %v, want it forbidden", err)
			case tt.want != "x" && err.Error() != tt.want:
				t.Errorf("refused:\n%v, want\n%s", err, tt.want)
			}
			for _, u := range h.users {
				if d := cmp.Diff(user.Info(jane), u); d != "" {
					t.Errorf("authorized another user (-want +got):\n%s", d)
				}
			}
		})
	}
}

// TestValidateDefaultsTheKind uses clusters of both kinds; an empty kind means Cluster.
func TestValidateDefaultsTheKind(t *testing.T) {
	h := &host{}
	target := backup.Destination{Fleet: "f", Clusters: []corev1.ObjectReference{{Name: "b"}, {Kind: "Cluster", Name: "c"}}}
	if err := create(h, destination("f", "a"), target); !apierrors.IsForbidden(err) {
		t.Errorf("error %v, want it forbidden", err)
	}
	want := map[string]int{
		"use attachedclusters.cluster.kurator.dev/team/": 1, "use attachedclusters.cluster.kurator.dev/team/a": 1,
		"use clusters.cluster.kurator.dev/team/": 1, "use clusters.cluster.kurator.dev/team/b": 1, "use clusters.cluster.kurator.dev/team/c": 1,
	}
	if d := cmp.Diff(want, h.requests); d != "" {
		t.Error(d)
	}
}

func TestValidateFailsWhileTheHostIsUnreachable(t *testing.T) {
	err := create(&host{err: errors.New("connection refused")}, destination("f", "a"), destination("f", "b"))
	if !apierrors.IsInternalError(err) {
		t.Errorf("error %v, want an internal error, not a denial", err)
	}
}

// TestValidateOfUpdates suspends and resumes a Migrate, and changes something else of it.
func TestValidateOfUpdates(t *testing.T) {
	migrate := func(suspend *bool) *backup.Migrate {
		return &backup.Migrate{
			ObjectMeta: metav1.ObjectMeta{Name: "app", Namespace: "team"},
			Spec:       backup.MigrateSpec{SourceCluster: destination("f", "a"), TargetCluster: destination("f", "b"), Suspend: suspend},
		}
	}
	yes, no := true, false
	for name, tt := range map[string]struct {
		was, is *bool
		refused bool
	}{
		"resume": {&yes, &no, true}, "resume by removing it": {&yes, nil, true}, "suspend": {nil, &yes, true},
		"label": {&yes, &yes, false}, "nothing": {nil, &no, false},
	} {
		h := &host{}
		if err := validate(h, attributes(migrate(tt.is), migrate(tt.was), "", admission.Update)); apierrors.IsForbidden(err) != tt.refused {
			t.Errorf("%s: %v", name, err)
		}
		h = &host{allowed: map[string]bool{"use attachedclusters.cluster.kurator.dev/team/": true}}
		if err := validate(h, attributes(migrate(tt.is), migrate(tt.was), "", admission.Update)); err != nil {
			t.Errorf("%s, allowed: %v", name, err)
		}
	}
}

func TestValidateSkipsOtherRequests(t *testing.T) {
	m := &backup.Migrate{ObjectMeta: metav1.ObjectMeta{Name: "app", Namespace: "team"}}
	other := admission.NewAttributesRecord(m, nil, backup.SchemeGroupVersion.WithKind("Other"), "team", "app",
		backup.Resource("others").WithVersion("v1alpha1"), "", admission.Create, nil, false, jane)
	for name, a := range map[string]admission.Attributes{
		"delete":         attributes(nil, m, "", admission.Delete),
		"subresource":    attributes(m, nil, "status", admission.Create),
		"other resource": other,
	} {
		h := &host{}
		if err := validate(h, a); err != nil || len(h.requests) > 0 {
			t.Errorf("%s: error %v, requests %v", name, err, h.requests)
		}
	}
	if err := New().ValidateInitialization(); err == nil {
		t.Error("the plugin is valid without an authorizer")
	}
}
