// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"slices"
	"strings"

	"github.com/gobwas/glob"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// Resource is a resource as the discovery of a cluster describes it.
type Resource struct {
	Group, Name, Kind, Singular string
	ShortNames                  []string
	Namespaced                  bool
}

func (r Resource) String() string {
	return schema.GroupResource{Group: r.Group, Resource: r.Name}.String()
}

// Is reports whether r and other are the same resource.
func (r Resource) Is(other Resource) bool { return r.String() == other.String() }

// Everything returns what stands for all resources, namespaced or not, in the rules and
// reviews of Kubernetes.
func Everything() Resource { return Resource{Group: "*", Name: "*", Namespaced: true} }

// Namespaces is the full name of the resource of namespaces.
const Namespaces = "namespaces"

// ListsResources reports whether a filter takes only resources that it lists by name:
// in includedResources, and nowhere by a pattern. The lists by scope are none of those,
// because Velero takes everything where it finds no entry of the right scope in one, nor
// is a list with includeClusterResources, which takes what the listed objects refer to.
func ListsResources(f v1alpha1.ResourceFilter) bool {
	takesRelated := f.IncludeClusterResources != nil && *f.IncludeClusterResources
	return areNames(f.IncludedResources) && !takesRelated
}

// ExcludesClusterScoped reports whether neither a Backup nor a Restore with this filter
// takes cluster-scoped objects, other than the namespaces of what it takes.
func ExcludesClusterScoped(f v1alpha1.ResourceFilter) bool {
	return f.IncludeClusterResources != nil && !*f.IncludeClusterResources || slices.Contains(f.ExcludedClusterScopedResources, "*")
}

// NamesNamespaces reports whether a filter names the namespaces that it takes, by no
// pattern as pkg/util/wildcard/expand.go of v1.18.3 knows them.
func NamesNamespaces(f v1alpha1.ResourceFilter) bool {
	return len(f.IncludedNamespaces) > 0 &&
		!slices.ContainsFunc(f.IncludedNamespaces, func(n string) bool { return strings.ContainsAny(n, "*?[") })
}

// TakesNamespace reports whether m takes objects of a namespace of the source, as Velero
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

// Named returns the resources of a cluster to which Velero may resolve names: every one
// that a name may stand for, of which Velero takes one. It returns false if a name is a
// pattern, or stands for none of the resources.
func Named(names []string, resources []Resource) ([]Resource, bool) {
	if !areNames(names) {
		return nil, false
	}
	named := sets.New[string]()
	for _, name := range names {
		meant := meanings(name, resources)
		if len(meant) == 0 {
			return nil, false
		}
		for _, r := range meant {
			named.Insert(r.String())
		}
	}
	return slices.DeleteFunc(slices.Clone(resources), func(r Resource) bool { return !named.Has(r.String()) }), true
}

// areNames reports whether there are names, each of letters, digits, "-" and "." only:
// Velero compares anything else as a pattern.
func areNames(names []string) bool {
	return len(names) > 0 && !slices.ContainsFunc(names, func(name string) bool {
		return len(validation.IsDNS1123Subdomain(strings.ToLower(name))) > 0
	})
}

// meanings returns the resources to which Velero may resolve a name. As kubectl does
// (third_party/kubernetes/pkg/kubectl/cmd/util of v1.18.3), it expands short names, which
// may be another resource's name too; then, as the RESTMapper of client-go does, it takes
// a plural, a singular or a kind, in any group that begins with the one of the name.
func meanings(name string, resources []Resource) []Resource {
	name, group, _ := strings.Cut(name, ".")
	expanded := sets.New(strings.ToLower(name))
	for _, r := range resources {
		if slices.Contains(r.ShortNames, name) {
			expanded.Insert(strings.ToLower(r.Name))
		}
	}
	return slices.DeleteFunc(slices.Clone(resources), func(r Resource) bool {
		return !strings.HasPrefix(r.Group, group) ||
			!expanded.HasAny(strings.ToLower(r.Name), strings.ToLower(r.Singular), strings.ToLower(r.Kind))
	})
}
