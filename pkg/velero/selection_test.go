// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero_test

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"
	velerodiscovery "github.com/vmware-tanzu/velero/pkg/discovery"
	"github.com/vmware-tanzu/velero/pkg/util/collections"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/discovery"
	discoveryfake "k8s.io/client-go/discovery/fake"
	clienttesting "k8s.io/client-go/testing"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// known are resources of which some may be taken for others.
var known = []velero.Resource{
	{Name: "configmaps", Kind: "ConfigMap", Singular: "configmap", ShortNames: []string{"cm"}, Namespaced: true},
	{Name: "secrets", Kind: "Secret", Singular: "secret", Namespaced: true},
	{Name: "events", Kind: "Event", Singular: "event", ShortNames: []string{"ev"}, Namespaced: true},
	{Name: "pods", Kind: "Pod", ShortNames: []string{"po"}, Namespaced: true},
	{Name: "serviceaccounts", Kind: "ServiceAccount", Singular: "serviceaccount", ShortNames: []string{"sa"}, Namespaced: true},
	{Name: "persistentvolumeclaims", Kind: "PersistentVolumeClaim", Singular: "persistentvolumeclaim", ShortNames: []string{"pvc"}, Namespaced: true},
	{Name: "persistentvolumes", Kind: "PersistentVolume", Singular: "persistentvolume", ShortNames: []string{"pv"}},
	{Name: "namespaces", Kind: "Namespace", Singular: "namespace", ShortNames: []string{"ns"}},
	{Group: "apps", Name: "deployments", Kind: "Deployment", Singular: "deployment", ShortNames: []string{"deploy"}, Namespaced: true},
	{Group: "apps.example.com", Name: "deployments", Kind: "Deployment", Singular: "deployment"},
	{Group: "events.k8s.io", Name: "events", Kind: "Event", Singular: "event", ShortNames: []string{"ev"}, Namespaced: true},
	{Group: "example.com", Name: "vaults", Kind: "Vault", Singular: "vault", ShortNames: []string{"secrets", "cm"}, Namespaced: true},
	{Group: "rbac.authorization.k8s.io", Name: "roles", Kind: "Role", Singular: "role", Namespaced: true},
	{Group: "rbac.authorization.k8s.io", Name: "clusterroles", Kind: "ClusterRole", Singular: "clusterrole"},
	{Group: "rbac.authorization.k8s.io", Name: "clusterrolebindings", Kind: "ClusterRoleBinding", Singular: "clusterrolebinding"},
	{Group: "scheduling.k8s.io", Name: "priorityclasses", Kind: "PriorityClass", Singular: "priorityclass", ShortNames: []string{"pc"}},
	{Group: "apiextensions.k8s.io", Name: "customresourcedefinitions", Kind: "CustomResourceDefinition", Singular: "customresourcedefinition", ShortNames: []string{"crd", "crds"}},
}

// fakeDiscovery is a cluster that has known resources, each in one version.
type fakeDiscovery struct{ *discoveryfake.FakeDiscovery }

func (d fakeDiscovery) ServerPreferredResources() ([]*metav1.APIResourceList, error) {
	return discovery.ServerPreferredResources(d)
}

func (d fakeDiscovery) GroupsAndMaybeResources() (*metav1.APIGroupList, map[schema.GroupVersion]*metav1.APIResourceList, map[schema.GroupVersion]error, error) {
	groups, err := d.ServerGroups()
	return groups, nil, nil, err
}

// helperFor is what Velero knows resources by.
func helperFor(resources []velero.Resource, logger logrus.FieldLogger) (velerodiscovery.Helper, error) {
	var lists []*metav1.APIResourceList
	for _, r := range resources {
		version := schema.GroupVersion{Group: r.Group, Version: "v1"}.String()
		i := slices.IndexFunc(lists, func(l *metav1.APIResourceList) bool { return l.GroupVersion == version })
		if i < 0 {
			i, lists = len(lists), append(lists, &metav1.APIResourceList{GroupVersion: version})
		}
		lists[i].APIResources = append(lists[i].APIResources, metav1.APIResource{
			Name: r.Name, SingularName: r.Singular, Kind: r.Kind, ShortNames: r.ShortNames, Namespaced: r.Namespaced,
			Verbs: metav1.Verbs{"list", "create", "get", "delete"},
		})
	}
	return velerodiscovery.NewHelper(fakeDiscovery{&discoveryfake.FakeDiscovery{Fake: &clienttesting.Fake{Resources: lists}}}, logger)
}

// FuzzSelects has Velero's own functions say what it takes of a cluster, of which one
// resource may be anything, by a filter that may be anything that Velero does not
// refuse: it is all selected. So is what comes with it.
func FuzzSelects(f *testing.F) {
	const scoped, sure, with, ofCluster, first = 1, 2, 4, 8, 16
	f.Add("", "secret?", "", "", "", uint8(0), "", "")
	f.Add("a", "roles.rbac pv", "", "", "", uint8(0), "", "")
	f.Add("", "", "secrets deployments.apps", "", "", uint8(0), "", "")
	f.Add("a b", "*", "events [a-]", "", "", uint8(sure), "", "")
	f.Add("a", "", "pods", "", "", uint8(sure|with), "", "")
	f.Add("a b kube-system", "", "", "", "", uint8(scoped), "", "")
	f.Add("*", "", "*", "", "nodes", uint8(scoped), "", "")
	f.Add("a", "pv deployments.apps.e", "events", "ns", "crd", uint8(scoped), "", "")
	f.Add("a", "foo.exa", "vaults.example.com", "*.k8s.io", "", uint8(scoped), "foos.example.com.au foo f vaults", "Vault")
	f.Add("k*", "Foo", "foos", "", "", uint8(ofCluster), "secrets.example.com secret foos", "Foo")
	f.Add("a", "cm", "", "*", "", uint8(scoped|ofCluster|first), "deployments.apps.a deployment", "Deployment")
	f.Fuzz(func(t *testing.T, namespaces, included, excluded, includedOfCluster, excludedOfCluster string, shape uint8, another, kind string) {
		logger := logrus.New()
		logger.SetOutput(io.Discard)
		resources := append(slices.Clone(known), anotherResource(another, kind, shape&ofCluster == 0)...)
		if shape&first != 0 {
			slices.Reverse(resources)
		}
		helper, err := helperFor(resources, logger)
		if err != nil {
			t.Fatal(err)
		}
		filter := v1alpha1.ResourceFilter{IncludedNamespaces: strings.Fields(namespaces)}
		if shape&scoped != 0 {
			filter.IncludedNamespaceScopedResources, filter.ExcludedNamespaceScopedResources = strings.Fields(included), strings.Fields(excluded)
			filter.IncludedClusterScopedResources, filter.ExcludedClusterScopedResources = strings.Fields(includedOfCluster), strings.Fields(excludedOfCluster)
		} else {
			filter.IncludedResources, filter.ExcludedResources = strings.Fields(included), strings.Fields(excluded)
			if shape&sure != 0 {
				filter.IncludeClusterResources = new(shape&with != 0)
			}
		}
		taken, ok := asVelero(helper, filter, logger)
		if !ok {
			t.Skip()
		}
		selected := map[string]bool{}
		for _, r := range velero.Selected(filter, resources) {
			selected[r.String()] = true
		}
		want := func(taken bool, name string) {
			if taken && !selected[name] {
				t.Errorf("%s is taken by %+v, and not selected", name, filter)
			}
		}
		for _, r := range resources {
			want(taken.ShouldInclude(r.String()), r.String())
			want(r.Namespaced && taken.ShouldInclude(r.String()), "namespaces")
		}
		for name, needs := range map[string]string{
			"persistentvolumes":                              "persistentvolumeclaims",
			"priorityclasses.scheduling.k8s.io":              "pods",
			"clusterroles.rbac.authorization.k8s.io":         "serviceaccounts",
			"clusterrolebindings.rbac.authorization.k8s.io":  "serviceaccounts",
			"customresourcedefinitions.apiextensions.k8s.io": "vaults.example.com",
		} {
			want(taken.ShouldInclude(needs) && !taken.ShouldExclude(name), name)
		}
	})
}

// anotherResource is one by its full name, singular and short names, if that can be
// the name of a resource which is not known.
func anotherResource(names, kind string, namespaced bool) []velero.Resource {
	fields := strings.Fields(names)
	if len(fields) < 2 || len(validation.IsDNS1035Label(strings.ToLower(kind))) > 0 {
		return nil
	}
	for _, short := range fields[1:] {
		if len(validation.IsDNS1035Label(short)) > 0 {
			return nil
		}
	}
	r := schema.ParseGroupResource(fields[0])
	if len(validation.IsDNS1035Label(r.Resource)) > 0 || len(validation.IsDNS1123Subdomain(r.Group)) > 0 ||
		slices.ContainsFunc(known, func(k velero.Resource) bool { return k.String() == r.String() }) {
		return nil
	}
	return []velero.Resource{{Group: r.Group, Name: r.Resource, Kind: kind, Singular: fields[1], ShortNames: fields[2:], Namespaced: namespaced}}
}

// asVelero is what Velero makes of a filter in pkg/backup/backup.go, if it takes it at
// all.
func asVelero(helper velerodiscovery.Helper, f v1alpha1.ResourceFilter, logger logrus.FieldLogger) (collections.IncludesExcludesInterface, bool) {
	spec := velero.Backup(&v1alpha1.Migrate{Spec: v1alpha1.MigrateSpec{Policy: &v1alpha1.MigratePolicy{ResourceFilter: &f}}}, "", "").Spec
	if len(collections.ValidateNamespaceIncludesExcludes(spec.IncludedNamespaces, nil))+
		len(collections.ValidateIncludesExcludes(spec.IncludedResources, spec.ExcludedResources))+
		len(collections.ValidateScopedIncludesExcludes(spec.IncludedNamespaceScopedResources, spec.ExcludedNamespaceScopedResources))+
		len(collections.ValidateScopedIncludesExcludes(spec.IncludedClusterScopedResources, spec.ExcludedClusterScopedResources)) > 0 {
		return nil, false
	}
	namespaces := collections.NewNamespaceIncludesExcludes().
		ActiveNamespaces([]string{"a", "b", "kube-system"}).Includes(spec.IncludedNamespaces...)
	if namespaces.ExpandIncludesExcludes(true) != nil {
		return nil, false
	}
	if collections.UseOldResourceFilters(spec) {
		return collections.GetGlobalResourceIncludesExcludes(helper, logger,
			spec.IncludedResources, spec.ExcludedResources, spec.IncludeClusterResources, *namespaces), true
	}
	return collections.GetScopeResourceIncludesExcludes(helper, logger,
		spec.IncludedNamespaceScopedResources, spec.ExcludedNamespaceScopedResources,
		spec.IncludedClusterScopedResources, spec.ExcludedClusterScopedResources, *namespaces), true
}
