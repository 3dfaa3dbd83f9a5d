// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

func TestNewReview(t *testing.T) {
	for _, tt := range []struct {
		name    string
		filter  *v1alpha1.ResourceFilter
		mapping map[string]string
		// source and target are the reviewed namespaces.
		source, target string
	}{
		{"everything", nil, nil, "", ""},
		{"everything, mapped", nil, map[string]string{"a": "z"}, "", ""},
		{"namespaces", &v1alpha1.ResourceFilter{IncludedNamespaces: []string{"a", "b"}}, nil, "a b", "a b"},
		{"mapped namespaces", &v1alpha1.ResourceFilter{IncludedNamespaces: []string{"a", "b"}}, map[string]string{"a": "z", "c": "y"}, "a b", "z b"},
		{"a wildcard", &v1alpha1.ResourceFilter{IncludedNamespaces: []string{"*"}}, nil, "", ""},
		{"a pattern", &v1alpha1.ResourceFilter{IncludedNamespaces: []string{"a", "b-*"}}, nil, "", ""},
		{"a pattern for one character", &v1alpha1.ResourceFilter{IncludedNamespaces: []string{"a?"}}, nil, "", ""},
		{"excluded namespaces", &v1alpha1.ResourceFilter{ExcludedNamespaces: []string{"a"}}, nil, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newFixture(t, m2).m
			m.Spec.Requester = &v1alpha1.Requester{Username: "jane", Groups: []string{"shop"}}
			m.Spec.Policy = &v1alpha1.MigratePolicy{ResourceFilter: tt.filter, NamespaceMapping: tt.mapping}
			source, target := NewReview(m, ClusterPlan{Source: true}), NewReview(m, ClusterPlan{})
			got := []string{strings.Join(source.Verbs, " "), strings.Join(source.Namespaces, " "), strings.Join(target.Verbs, " "), strings.Join(target.Namespaces, " ")}
			if diff := cmp.Diff([]string{"get list", tt.source, "create", tt.target}, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			for _, r := range []Review{source, target} {
				if diff := cmp.Diff(v1alpha1.Requester{Username: "jane", Groups: []string{"shop"}}, r.Requester); diff != "" {
					t.Errorf("requester (-want +got):\n%s", diff)
				}
			}
		})
	}
	m := newFixture(t, m2).m
	m.Spec.Policy = &v1alpha1.MigratePolicy{ExistingResourcePolicy: "update"}
	if got := NewReview(m, ClusterPlan{}).Verbs; !slices.Equal(got, []string{"create", "patch"}) {
		t.Errorf("to change existing objects, verbs %q are needed", got)
	}
	if got := NewReview(newFixture(t, m2).m, ClusterPlan{}); got.Requester.Username != "" {
		t.Errorf("without a recorded requester the review is about %s", got.Requester.Username)
	}
}

var resources = map[string]velero.Resource{
	"configmaps":  {Name: "configmaps", Kind: "ConfigMap", Singular: "configmap", ShortNames: []string{"cm"}, Namespaced: true},
	"secrets":     {Name: "secrets", Kind: "Secret", Singular: "secret", Namespaced: true},
	"deployments": {Group: "apps", Name: "deployments", Kind: "Deployment", Singular: "deployment", ShortNames: []string{"deploy"}, Namespaced: true},
	"other":       {Group: "example.com", Name: "deployments", Kind: "Deployment", Singular: "deployment", Namespaced: true},
	"roles":       {Group: "rbac.authorization.k8s.io", Name: "roles", Kind: "Role", Singular: "role", Namespaced: true},
	"events":      {Name: "events", Kind: "Event", Singular: "event", ShortNames: []string{"ev"}, Namespaced: true},
	"claims":      {Name: "persistentvolumeclaims", Kind: "PersistentVolumeClaim", Singular: "persistentvolumeclaim", ShortNames: []string{"pvc"}, Namespaced: true},
	"volumes":     {Name: "persistentvolumes", Kind: "PersistentVolume", Singular: "persistentvolume", ShortNames: []string{"pv"}},
	"definitions": {Group: "apiextensions.k8s.io", Name: "customresourcedefinitions", Kind: "CustomResourceDefinition", Singular: "customresourcedefinition", ShortNames: []string{"crd", "crds"}},
	"namespaces":  {Name: "namespaces", Kind: "Namespace", Singular: "namespace", ShortNames: []string{"ns"}},
	"nodes":       {Name: "nodes", Kind: "Node", Singular: "node", ShortNames: []string{"no"}},
}

func TestSelect(t *testing.T) {
	const (
		everything   = "*.* namespaces"
		wholeCluster = "the whole cluster"
	)
	in := []string{"a"}
	for _, tt := range []struct {
		name   string
		filter v1alpha1.ResourceFilter
		// want are the reviewed resources in the source; in a target it is these without
		// events and nodes.
		want string
	}{
		{"everything", v1alpha1.ResourceFilter{}, wholeCluster},
		{"a namespace", v1alpha1.ResourceFilter{IncludedNamespaces: in}, wholeCluster},
		{"a namespace and the cluster", v1alpha1.ResourceFilter{IncludedNamespaces: in, IncludeClusterResources: new(true)}, wholeCluster},
		{"a namespace without the cluster", v1alpha1.ResourceFilter{IncludedNamespaces: in, IncludeClusterResources: new(false)}, everything},
		{"a namespace by a pattern", v1alpha1.ResourceFilter{IncludedNamespaces: []string{"a-?"}, IncludeClusterResources: new(false)}, wholeCluster},
		{"all namespaces without the cluster", v1alpha1.ResourceFilter{IncludeClusterResources: new(false)}, wholeCluster},

		{"by name", v1alpha1.ResourceFilter{IncludedResources: []string{"secrets"}}, "namespaces secrets"},
		{"by name, of any group", v1alpha1.ResourceFilter{IncludedResources: []string{"deployments"}}, "deployments.apps deployments.example.com namespaces"},
		{"by group", v1alpha1.ResourceFilter{IncludedResources: []string{"deployments.apps"}}, "deployments.apps namespaces"},
		{"by the beginning of a group", v1alpha1.ResourceFilter{IncludedResources: []string{"roles.rbac"}}, "namespaces roles.rbac.authorization.k8s.io"},
		{"short names with a group", v1alpha1.ResourceFilter{IncludedResources: []string{"cm", "Deploy.apps", "Secret", "pv"}}, wholeCluster},
		{"short names", v1alpha1.ResourceFilter{IncludedResources: []string{"cm", "deploy", "Secret", "pv"}}, "configmaps deployments.apps deployments.example.com namespaces persistentvolumes secrets"},
		{"of the cluster", v1alpha1.ResourceFilter{IncludedResources: []string{"nodes", "pv"}}, "nodes persistentvolumes"},
		{"namespaces", v1alpha1.ResourceFilter{IncludedResources: []string{"ns", "cm"}}, "configmaps namespaces"},
		{"a resource that is never restored", v1alpha1.ResourceFilter{IncludedResources: []string{"nodes"}}, "nodes"},
		{"of the cluster in a namespace", v1alpha1.ResourceFilter{IncludedNamespaces: in, IncludedResources: []string{"pv", "cm"}}, "configmaps namespaces persistentvolumes"},
		{"by name, with an excluded one", v1alpha1.ResourceFilter{IncludedResources: []string{"cm", "secrets"}, ExcludedResources: []string{"secret"}}, "configmaps namespaces secrets"},

		{"a claim, with its volume", v1alpha1.ResourceFilter{IncludedNamespaces: in, IncludedResources: []string{"pvc"}}, "namespaces persistentvolumeclaims persistentvolumes"},
		{"a claim, without the cluster", v1alpha1.ResourceFilter{IncludedNamespaces: in, IncludedResources: []string{"pvc"}, IncludeClusterResources: new(false)}, "namespaces persistentvolumeclaims"},
		{"a custom resource, with its definition", v1alpha1.ResourceFilter{IncludedResources: []string{"deployments.example"}}, "customresourcedefinitions.apiextensions.k8s.io deployments.example.com namespaces"},

		{"a name that is unknown", v1alpha1.ResourceFilter{IncludedNamespaces: in, IncludedResources: []string{"cm", "pods"}}, wholeCluster},
		{"a name that is unknown, without the cluster", v1alpha1.ResourceFilter{IncludedNamespaces: in, IncludedResources: []string{"cm", "pods"}, IncludeClusterResources: new(false)}, everything},
		{"a name in another group", v1alpha1.ResourceFilter{IncludedResources: []string{"deployments.extensions"}}, wholeCluster},
		{"by a pattern", v1alpha1.ResourceFilter{IncludedNamespaces: in, IncludedResources: []string{"secret?"}, IncludeClusterResources: new(false)}, everything},
		{"a wildcard", v1alpha1.ResourceFilter{IncludedResources: []string{"*"}}, wholeCluster},
		{"what a claim needs of the cluster", v1alpha1.ResourceFilter{IncludedNamespaces: in, IncludedResources: []string{"pvc"}, IncludeClusterResources: new(true)}, wholeCluster},
		{"all but one", v1alpha1.ResourceFilter{IncludedNamespaces: in, ExcludedResources: []string{"secrets"}}, wholeCluster},
		{"all but one, without the cluster", v1alpha1.ResourceFilter{IncludedNamespaces: in, ExcludedResources: []string{"secrets"}, IncludeClusterResources: new(false)}, everything},

		{"scoped", v1alpha1.ResourceFilter{IncludedNamespaces: in, IncludedNamespaceScopedResources: []string{"cm"}}, wholeCluster},
		{"scoped, without the cluster", v1alpha1.ResourceFilter{IncludedNamespaces: in, IncludedNamespaceScopedResources: []string{"cm"}, ExcludedClusterScopedResources: []string{"*"}}, everything},
		{"scoped, in the list of the other scope", v1alpha1.ResourceFilter{IncludedNamespaces: in, IncludedNamespaceScopedResources: []string{"nodes"}, ExcludedClusterScopedResources: []string{"*"}}, everything},
		{"scoped, but some of the cluster", v1alpha1.ResourceFilter{IncludedNamespaces: in, ExcludedClusterScopedResources: []string{"nodes"}}, wholeCluster},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newFixture(t, m2).m
			m.Spec.Policy = &v1alpha1.MigratePolicy{ResourceFilter: &tt.filter}
			for _, source := range []bool{true, false} {
				want := strings.Fields(tt.want)
				if !source {
					want = slices.DeleteFunc(want, func(name string) bool { return name == "events" || name == "nodes" })
				}
				got := strings.Fields(wholeCluster)
				if selected, less := NewReview(m, ClusterPlan{Source: source}).Select(slices.Collect(maps.Values(resources))); less {
					got = namesOf(selected)
				}
				if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("in the source: %v (-want +got):\n%s", source, diff)
				}
			}
		})
	}
}

func TestSelectStatus(t *testing.T) {
	list := v1alpha1.ResourceFilter{IncludedResources: []string{"cm", "deployments.apps"}}
	namespace := v1alpha1.ResourceFilter{IncludedNamespaces: []string{"a"}, IncludeClusterResources: new(false)}
	for _, tt := range []struct {
		name   string
		filter v1alpha1.ResourceFilter
		status *v1alpha1.PreserveStatus
		want   string
	}{
		{"none", list, nil, ""},
		{"by name", list, &v1alpha1.PreserveStatus{IncludedResources: []string{"deploy", "secrets"}}, "deployments.apps"},
		{"by a pattern", list, &v1alpha1.PreserveStatus{IncludedResources: []string{"deploy*"}}, "configmaps deployments.apps namespaces"},
		{"all", list, &v1alpha1.PreserveStatus{}, "configmaps deployments.apps namespaces"},
		{"all but one", list, &v1alpha1.PreserveStatus{ExcludedResources: []string{"configmaps"}}, "configmaps deployments.apps namespaces"},
		{"by name, of everything", namespace, &v1alpha1.PreserveStatus{IncludedResources: []string{"deployments.apps"}}, "*.* namespaces"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newFixture(t, m2).m
			m.Spec.Policy = &v1alpha1.MigratePolicy{ResourceFilter: &tt.filter, MigrateStatus: tt.status}
			all := slices.Collect(maps.Values(resources))
			r := NewReview(m, ClusterPlan{})
			selected, _ := r.Select(all)
			if diff := cmp.Diff(strings.Fields(tt.want), namesOf(r.SelectStatus(selected, all)), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if r.WritesStatus() != (tt.status != nil) {
				t.Errorf("writes status: %v", r.WritesStatus())
			}
		})
	}
}

// namesOf returns the full names of resources, in order.
func namesOf(resources []velero.Resource) []string {
	var names []string
	for _, r := range resources {
		names = append(names, r.String())
	}
	slices.Sort(names)
	return names
}
