// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"slices"
	"strings"

	"github.com/gobwas/glob"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// Resource is a resource as a cluster's discovery tells of it.
type Resource struct {
	Group, Name, Kind, Singular string
	ShortNames                  []string
	Namespaced                  bool
}

func (r Resource) String() string {
	return schema.GroupResource{Group: r.Group, Resource: r.Name}.String()
}

// Namespaces is the full name of the resource of namespaces.
const Namespaces = "namespaces"

// related are the cluster-scoped resources of which Velero takes what an object of
// another resource refers to, as pkg/backup/actions and pkg/util/actionhelpers of
// v1.18.3 do. The CustomResourceDefinitions of what is taken are related too.
var related = map[string]string{
	"persistentvolumes":                              "persistentvolumeclaims",
	"priorityclasses.scheduling.k8s.io":              "pods",
	"clusterroles.rbac.authorization.k8s.io":         "serviceaccounts",
	"clusterrolebindings.rbac.authorization.k8s.io":  "serviceaccounts",
	"volumesnapshotclasses.snapshot.storage.k8s.io":  "volumesnapshots.snapshot.storage.k8s.io",
	"volumesnapshotcontents.snapshot.storage.k8s.io": "volumesnapshots.snapshot.storage.k8s.io",
}

const definitions = "customresourcedefinitions.apiextensions.k8s.io"

// Selected are the resources of a cluster, of all those which IsTaken, that a filter
// has Velero take: each one that it takes, by pkg/util/collections/includes_excludes.go
// of v1.18.3, and more where the names alone can't tell. So what is included is all
// that a name may stand for, and what is excluded only what surely is: by a pattern, or
// by its full name.
func Selected(f v1alpha1.ResourceFilter, resources []Resource) []Resource {
	s := newSelection(f, resources)
	var taken, others []Resource
	for _, r := range resources {
		if s.takes(r) {
			taken = append(taken, r)
		} else {
			others = append(others, r)
		}
	}
	others = slices.DeleteFunc(others, func(r Resource) bool { return r.Namespaced || !s.comesWith(r, taken) })
	return append(taken, others...)
}

// NamesNamespaces says whether a filter names the namespaces that it takes, by no
// pattern as pkg/util/wildcard/expand.go of v1.18.3 knows them.
func NamesNamespaces(f v1alpha1.ResourceFilter) bool {
	return len(f.IncludedNamespaces) > 0 &&
		!slices.ContainsFunc(f.IncludedNamespaces, func(n string) bool { return strings.ContainsAny(n, "*?[") })
}

// TakesNamespace says whether m takes objects of a namespace of the source, as Velero
// v1.18.3 compares namespaces with the lists (pkg/util/collections).
func TakesNamespace(m *v1alpha1.Migrate, namespace string) bool {
	if m.Spec.Policy == nil || m.Spec.Policy.ResourceFilter == nil {
		return true
	}
	matches := func(pattern string) bool {
		g, err := glob.Compile(pattern)
		return err == nil && g.Match(namespace)
	}
	f := m.Spec.Policy.ResourceFilter
	return (len(f.IncludedNamespaces) == 0 || slices.ContainsFunc(f.IncludedNamespaces, matches)) &&
		!slices.ContainsFunc(f.ExcludedNamespaces, matches)
}

// selection is a filter in a cluster that has certain resources.
type selection struct {
	resources []Resource
	// scoped says that there is a pair of lists for each scope, not one for both.
	scoped            bool
	namespaced        lists
	clusterScoped     lists
	withClusterScoped *bool
	// allNamespaces says that the filter may take every namespace. Velero compares
	// those that are named with those that there are, and of these kube-system can't
	// be deleted.
	allNamespaces bool
}

// lists are the pair for one scope.
type lists struct {
	included, excluded []entry
	// mayBeEmpty says that Velero may find no entry among the included: there is none,
	// or it drops each as a resource of the other scope.
	mayBeEmpty bool
}

func newSelection(f v1alpha1.ResourceFilter, resources []Resource) *selection {
	s := &selection{
		resources:         resources,
		scoped:            f.IncludeClusterResources == nil && len(f.IncludedResources)+len(f.ExcludedResources) == 0,
		withClusterScoped: f.IncludeClusterResources,
		allNamespaces:     !NamesNamespaces(f) || slices.Contains(f.IncludedNamespaces, metav1.NamespaceSystem),
	}
	if s.scoped {
		s.namespaced = s.listsOf(f.IncludedNamespaceScopedResources, f.ExcludedNamespaceScopedResources)
		s.clusterScoped = s.listsOf(f.IncludedClusterScopedResources, f.ExcludedClusterScopedResources)
		s.namespaced.mayBeEmpty = s.mayAllBe(s.namespaced.included, false)
		s.clusterScoped.mayBeEmpty = s.mayAllBe(s.clusterScoped.included, true)
		return s
	}
	both := s.listsOf(f.IncludedResources, f.ExcludedResources)
	both.mayBeEmpty = len(both.included) == 0
	s.namespaced, s.clusterScoped = both, both
	return s
}

func (s *selection) listsOf(included, excluded []string) lists {
	return lists{included: s.entries(included), excluded: s.entries(excluded)}
}

// takes says whether Velero may take a resource by itself.
func (s *selection) takes(r Resource) bool {
	if s.mayBeOfScope(r, true) && s.namespaced.includes(r) && !s.excludes(s.namespaced, r) {
		return true
	}
	return s.mayBeOfScope(r, false) && s.takesOfCluster(r) && !s.excludes(s.clusterScoped, r)
}

func (s *selection) takesOfCluster(r Resource) bool {
	switch {
	case s.scoped:
		return r.String() == Namespaces || s.clusterScoped.names(r) || s.allNamespaces && s.clusterScoped.mayBeEmpty
	case s.withClusterScoped != nil && !*s.withClusterScoped:
		return false
	case s.withClusterScoped == nil && !s.allNamespaces && r.String() != Namespaces:
		return false
	}
	return s.clusterScoped.includes(r)
}

// comesWith says whether objects of a cluster-scoped resource may be taken for those
// of the ones that are taken. A namespace is created for what is restored into it.
func (s *selection) comesWith(r Resource, taken []Resource) bool {
	needs := func(other Resource) bool { return other.String() == related[r.String()] }
	switch r.String() {
	case Namespaces:
		return slices.ContainsFunc(taken, func(other Resource) bool { return other.Namespaced })
	case definitions:
		needs = func(other Resource) bool { return strings.Contains(other.Group, ".") }
	}
	switch {
	case !slices.ContainsFunc(taken, needs), s.excludes(s.clusterScoped, r):
		return false
	case s.scoped:
		return true
	case s.withClusterScoped == nil:
		return s.clusterScoped.includes(r)
	}
	return *s.withClusterScoped
}

// includes says whether the list takes a resource: by a name, or as it takes all.
func (l lists) includes(r Resource) bool { return l.mayBeEmpty || l.names(r) }

func (l lists) names(r Resource) bool {
	return slices.ContainsFunc(l.included, func(e entry) bool { return e.fits(r) || e.mayMean(r) })
}

// excludes says whether a resource is surely excluded. An entry that is no glob
// switches off the whole list in Velero.
func (s *selection) excludes(l lists, r Resource) bool {
	if slices.ContainsFunc(l.excluded, func(e entry) bool { return e.pattern == nil }) {
		return false
	}
	return slices.ContainsFunc(l.excluded, func(e entry) bool {
		return e.fits(r) && (e.text != r.String() || len(s.mistakenFor(r)) == 0)
	})
}

// mayBeOfScope says whether Velero may take a resource for one of a scope: it looks
// that up by the full name, which may lead it to another resource.
func (s *selection) mayBeOfScope(r Resource, namespaced bool) bool {
	return r.Namespaced == namespaced ||
		slices.ContainsFunc(s.mistakenFor(r), func(other Resource) bool { return other.Namespaced == namespaced })
}

// mistakenFor are the other resources to which Velero may resolve the full name of
// one: what has it as a short name comes first, then what is in the core group, then
// what is in any group that begins with the name's.
func (s *selection) mistakenFor(r Resource) []Resource {
	name := s.entry(r.String())
	var others []Resource
	for _, other := range s.resources {
		may := name.mayMean(other)
		if r.Group == "" {
			may = slices.Contains(other.ShortNames, r.Name)
		}
		if may && other.String() != r.String() {
			others = append(others, other)
		}
	}
	return others
}

// mayAllBe says whether all entries may be dropped as resources of a scope.
func (s *selection) mayAllBe(entries []entry, namespaced bool) bool {
	return !slices.ContainsFunc(entries, func(e entry) bool {
		return !slices.ContainsFunc(s.resources, func(r Resource) bool { return r.Namespaced == namespaced && e.mayMean(r) })
	})
}

// entry is one of a list: a name, which Velero resolves as kubectl does, or else a
// glob that full names are compared with.
type entry struct {
	text    string
	pattern glob.Glob
	// names are those that it may stand for, in any group that begins with group.
	names []string
	group string
}

func (s *selection) entries(texts []string) []entry {
	var entries []entry
	for _, text := range texts {
		entries = append(entries, s.entry(text))
	}
	return entries
}

// entry expands short names, as third_party/kubernetes/pkg/kubectl/cmd/util of Velero
// v1.18.3 does: to a name, which may be another resource's too.
func (s *selection) entry(text string) entry {
	name, group, _ := strings.Cut(text, ".")
	e := entry{text: text, names: []string{name}, group: group}
	for _, r := range s.resources {
		if slices.Contains(r.ShortNames, name) {
			e.names = append(e.names, r.Name)
		}
	}
	if pattern, err := glob.Compile(text); err == nil {
		e.pattern = pattern
	}
	return e
}

func (e entry) fits(r Resource) bool { return e.pattern != nil && e.pattern.Match(r.String()) }

// mayMean says whether Velero may resolve the entry to a resource, as the RESTMapper
// of client-go does: by plural, singular, or kind where there is no singular.
func (e entry) mayMean(r Resource) bool {
	return strings.HasPrefix(r.Group, e.group) && slices.ContainsFunc(e.names, func(name string) bool {
		return strings.EqualFold(name, r.Name) || strings.EqualFold(name, r.Singular) || strings.EqualFold(name, r.Kind)
	})
}
