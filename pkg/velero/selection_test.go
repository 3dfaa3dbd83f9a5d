// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// TestResolveNames resolves names in a cluster in which some are ambiguous.
func TestResolveNames(t *testing.T) {
	resources := []velero.Resource{
		{Name: "configmaps", Kind: "ConfigMap", Singular: "configmap", ShortNames: []string{"cm"}, Namespaced: true},
		{Name: "secrets", Kind: "Secret", Singular: "secret", Namespaced: true},
		{Name: "pods", Kind: "Pod", ShortNames: []string{"po"}, Namespaced: true},
		{Group: "apps", Name: "deployments", Kind: "Deployment", Singular: "deployment", ShortNames: []string{"deploy"}, Namespaced: true},
		{Group: "apps.example.com", Name: "deployments", Kind: "Deployment", Singular: "deployment"},
		{Group: "example.com", Name: "vaults", Kind: "Vault", Singular: "vault", ShortNames: []string{"secrets", "vt"}, Namespaced: true},
		{Group: "other.com", Name: "strongrooms", Kind: "Vault", Singular: "strongroom", Namespaced: true},
	}
	for _, tt := range []struct {
		name, names string
		want        string // empty if ResolveNames returns false
	}{
		{"a plural", "configmaps", "configmaps"},
		{"a singular", "configmap", "configmaps"},
		{"a kind where there is no singular", "Pod", "pods"},
		{"a short name", "cm", "configmaps"},
		{"several", "pods cm pod", "configmaps pods"},
		{"a group", "vaults.example.com", "vaults.example.com"},
		{"of any group", "deployments", "deployments.apps deployments.apps.example.com"},
		{"the beginning of a group", "deployments.apps", "deployments.apps deployments.apps.example.com"},
		{"a group that is the beginning of none", "deployments.apps.example.com", "deployments.apps.example.com"},
		{"a name that is a short name of another resource", "secrets", "secrets vaults.example.com"},
		{"a name that is a kind of another resource", "vault", "vaults.example.com strongrooms.other.com"},
		{"a short name whose resource's name is a kind elsewhere", "vt", "vaults.example.com"},
		{"none", "", ""},
		{"an unknown name", "gateways", ""},
		{"an unknown name among others", "configmaps gateways", ""},
		{"an unknown group", "configmaps.example.com", ""},
		{"a star", "*", ""},
		{"a star among names", "configmaps *", ""},
		{"a pattern", "config*", ""},
		{"one letter by a pattern", "secret?", ""},
		{"a choice of letters", "[s]ecrets", ""},
		{"a choice of words", "{secrets,configmaps}", ""},
		{"an escape", `\secrets`, ""},
		{"two names in one", "secrets,configmaps", ""},
		{"a group that is empty", "secrets.", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			named, ok := velero.ResolveNames(strings.Fields(tt.names), resources)
			if ok != (tt.want != "") {
				t.Errorf("resolved: %v", ok)
			}
			var got []string
			for _, r := range named {
				got = append(got, r.String())
			}
			if diff := cmp.Diff(strings.Fields(tt.want), got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestFilterProperties checks the properties of a filter on which a review depends.
func TestFilterProperties(t *testing.T) {
	type properties struct{ ListsResources, ExcludesClusterScoped, ListsNamespaces bool }
	for _, tt := range []struct {
		name   string
		filter v1alpha1.ResourceFilter
		want   properties
	}{
		{"nothing", v1alpha1.ResourceFilter{}, properties{}},
		{"a list", v1alpha1.ResourceFilter{IncludedResources: []string{"pods", "Deployment.apps"}}, properties{ListsResources: true}},
		{"a list with a custom resource", v1alpha1.ResourceFilter{IncludedResources: []string{"pods", "widgets.example.com"}}, properties{ListsResources: true}},
		{"a list with a custom resource without its group", v1alpha1.ResourceFilter{IncludedResources: []string{"pods", "widgets"}}, properties{}},
		{"a list with an exclusion", v1alpha1.ResourceFilter{IncludedResources: []string{"pods"}, ExcludedResources: []string{"p*"}}, properties{ListsResources: true}},
		{"a list with what its objects refer to", v1alpha1.ResourceFilter{IncludedResources: []string{"pvc"}, IncludeClusterResources: new(true)}, properties{}},
		{"a list of namespaced", v1alpha1.ResourceFilter{IncludedResources: []string{"pods"}, IncludeClusterResources: new(false)}, properties{ListsResources: true, ExcludesClusterScoped: true}},
		{"a pattern among names", v1alpha1.ResourceFilter{IncludedResources: []string{"pods", "d*"}}, properties{}},
		{"a list by scope", v1alpha1.ResourceFilter{IncludedNamespaceScopedResources: []string{"pods"}}, properties{}},
		{"an exclusion", v1alpha1.ResourceFilter{ExcludedResources: []string{"secrets"}}, properties{}},
		{"some cluster-scoped excluded", v1alpha1.ResourceFilter{ExcludedClusterScopedResources: []string{"nodes"}}, properties{}},
		{"all cluster-scoped excluded", v1alpha1.ResourceFilter{ExcludedClusterScopedResources: []string{"*"}}, properties{ExcludesClusterScoped: true}},
		{"namespaces", v1alpha1.ResourceFilter{IncludedNamespaces: []string{"a", "b"}}, properties{ListsNamespaces: true}},
		{"a namespace by a pattern", v1alpha1.ResourceFilter{IncludedNamespaces: []string{"a", "b?"}}, properties{}},
		{"all namespaces", v1alpha1.ResourceFilter{IncludedNamespaces: []string{"*"}}, properties{}},
		{"all namespaces but one", v1alpha1.ResourceFilter{ExcludedNamespaces: []string{"a"}}, properties{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := properties{velero.ListsResources(tt.filter), velero.ExcludesClusterScoped(tt.filter), velero.ListsNamespaces(tt.filter)}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestListedNames(t *testing.T) {
	got := velero.ListedNames(v1alpha1.ResourceFilter{
		IncludedResources: []string{"pods", "*"}, ExcludedResources: []string{"sec?ets", "Deployment.apps"},
		IncludedClusterScopedResources: []string{"c"}, ExcludedClusterScopedResources: []string{"d"},
		IncludedNamespaceScopedResources: []string{"e"}, ExcludedNamespaceScopedResources: []string{"f"},
	})
	if diff := cmp.Diff([]string{"pods", "Deployment.apps", "c", "d", "e", "f"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
