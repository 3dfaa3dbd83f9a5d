// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"slices"
	"strings"

	"github.com/gobwas/glob"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// Resource describes a resource as the discovery of a cluster lists it.
type Resource struct {
	Group, Name, Kind, Singular string
	// Version is the version that the cluster prefers; empty if it is not known.
	Version    string
	ShortNames []string
	Namespaced bool
}

// ItemKind returns the kind with its group, as that of an Item.
func (r Resource) ItemKind() string {
	return schema.GroupKind{Group: r.Group, Kind: r.Kind}.String()
}

// GroupVersionResource returns the resource in the version that the cluster prefers.
func (r Resource) GroupVersionResource() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: r.Group, Version: r.Version, Resource: r.Name}
}

func (r Resource) String() string {
	return schema.GroupResource{Group: r.Group, Resource: r.Name}.String()
}

// Is reports whether r and other are the same resource.
func (r Resource) Is(other Resource) bool { return r.String() == other.String() }

// AllResources returns the wildcard for all resources, namespaced or not, in RBAC rules and
// access reviews.
func AllResources() Resource { return Resource{Group: "*", Name: "*", Namespaced: true} }

const (
	// Namespaces is the full name of the resource of Namespaces.
	Namespaces = "namespaces"
	// PersistentVolumes is the full name of the resource of PersistentVolumes.
	PersistentVolumes = "persistentvolumes"
)

// ListsResources reports whether f selects only resources that it lists by name in
// includedResources, without patterns, and custom resources with their group: a target whose
// Velero can't resolve a name would restore none of its objects. The lists by scope don't
// count, because Velero selects everything if it finds no entry of the right scope in one. A
// list with includeClusterResources doesn't count either: it also selects what the objects
// refer to.
func ListsResources(f v1alpha1.ResourceFilter) bool {
	selectsRelated := f.IncludeClusterResources != nil && *f.IncludeClusterResources
	isUnqualified := func(name string) bool { return isCustom(name) && !strings.Contains(name, ".") }
	return areNames(f.IncludedResources) && !slices.ContainsFunc(f.IncludedResources, isUnqualified) && !selectsRelated
}

// ExcludesClusterScoped reports whether a Backup or Restore with filter f has no cluster-scoped
// objects besides the namespaces of its objects.
func ExcludesClusterScoped(f v1alpha1.ResourceFilter) bool {
	return f.IncludeClusterResources != nil && !*f.IncludeClusterResources || slices.Contains(f.ExcludedClusterScopedResources, "*")
}

// Selectors returns the selectors of f without those that select everything. Velero makes a
// selector of "" of an empty one, which no list request accepts.
func Selectors(f v1alpha1.ResourceFilter) (*metav1.LabelSelector, []*metav1.LabelSelector) {
	isEmpty := func(s *metav1.LabelSelector) bool {
		return s != nil && len(s.MatchLabels)+len(s.MatchExpressions) == 0
	}
	one, or := f.LabelSelector, f.OrLabelSelectors
	if isEmpty(one) {
		one = nil
	}
	if slices.ContainsFunc(or, isEmpty) {
		or = nil
	}
	return one, or
}

// IncludesLabels reports whether the selectors of f match an object with these labels.
func IncludesLabels(f v1alpha1.ResourceFilter, set labels.Set) bool {
	one, or := Selectors(f)
	matches := func(s *metav1.LabelSelector) bool {
		selector, err := metav1.LabelSelectorAsSelector(s)
		return err == nil && selector.Matches(set)
	}
	return (one == nil || matches(one)) && (len(or) == 0 || slices.ContainsFunc(or, matches))
}

// RelatedResources returns the resources without which Velero can't restore those that f lists:
// the volume of a claim with its CSI snapshots, and the definition of a custom resource. It is
// empty if f does not list resources by name or excludes cluster-scoped ones. What else an
// object refers to, such as the ClusterRole of a RoleBinding, f must list.
func RelatedResources(f v1alpha1.ResourceFilter) []schema.GroupResource {
	if !ListsResources(f) || ExcludesClusterScoped(f) {
		return nil
	}
	var related []schema.GroupResource
	if slices.ContainsFunc(f.IncludedResources, isClaim) {
		related = append(slices.Clone(snapshotResources), schema.GroupResource{Resource: PersistentVolumes})
	}
	if slices.ContainsFunc(f.IncludedResources, isCustom) {
		related = append(related, schema.GroupResource{Group: "apiextensions.k8s.io", Resource: "customresourcedefinitions"})
	}
	return related
}

// BackedUpResources returns the list of resources of a Backup with filter f. If f lists some in
// some namespaces, Velero v1.18.3 excludes all other cluster-scoped resources, also those that
// the objects refer to (GlobalIncludesExcludes of pkg/util/collections); of one that is listed
// too it backs up only these. Snapshots that it makes itself it always backs up.
func BackedUpResources(f v1alpha1.ResourceFilter) []string {
	if !limitsNamespaces(f) {
		return f.IncludedResources
	}
	isSnapshot := func(r schema.GroupResource) bool { return slices.Contains(snapshotResources, r) }
	return withResources(f.IncludedResources, slices.DeleteFunc(RelatedResources(f), isSnapshot))
}

// RestoredResources returns the resources to which a Restore with filter f is limited, or nil if
// it is not, because f does not list its resources by name. Velero resolves names before it
// restores the definitions of custom resources, so these are also there as patterns of their
// full names.
func RestoredResources(f v1alpha1.ResourceFilter) []string {
	if !ListsResources(f) {
		return nil
	}
	restored := withResources(f.IncludedResources, RelatedResources(f))
	for _, name := range f.IncludedResources {
		if isCustom(name) {
			kind, group, _ := strings.Cut(name, ".")
			plural, singular := meta.UnsafeGuessKindToResource(schema.GroupVersionKind{Kind: kind})
			restored = append(restored, singular.Resource+"."+group+"*", plural.Resource+"."+group+"*")
		}
	}
	return restored
}

func withResources(names []string, added []schema.GroupResource) []string {
	all := slices.Clone(names)
	for _, r := range added {
		all = append(all, r.String())
	}
	return all
}

// limitsNamespaces reports whether f does not select all namespaces.
func limitsNamespaces(f v1alpha1.ResourceFilter) bool {
	isWildcard := func(namespace string) bool { return namespace == "*" }
	return len(f.ExcludedNamespaces) > 0 || len(f.IncludedNamespaces) > 0 && !slices.ContainsFunc(f.IncludedNamespaces, isWildcard)
}

// ListsNamespaces reports whether f lists the namespaces that it selects by name, without patterns.
func ListsNamespaces(f v1alpha1.ResourceFilter) bool {
	return len(f.IncludedNamespaces) > 0 &&
		!slices.ContainsFunc(f.IncludedNamespaces, isPattern)
}

// SelectsNamespace reports whether m selects objects of a namespace of the source.
func SelectsNamespace(m *v1alpha1.Migrate, namespace string) bool {
	return m.Spec.Policy == nil || m.Spec.Policy.ResourceFilter == nil || IncludesNamespace(*m.Spec.Policy.ResourceFilter, namespace)
}

// IncludesNamespace reports whether f selects objects of a namespace. It matches the lists as
// pkg/util/collections of Velero v1.18.3 does.
func IncludesNamespace(f v1alpha1.ResourceFilter, namespace string) bool {
	return (len(f.IncludedNamespaces) == 0 || matchesAny(f.IncludedNamespaces, namespace)) && !matchesAny(f.ExcludedNamespaces, namespace)
}

// IncludesResource reports whether f selects objects of a resource, by a name or a pattern.
func IncludesResource(f v1alpha1.ResourceFilter, r Resource) bool {
	included, excluded := f.IncludedNamespaceScopedResources, f.ExcludedNamespaceScopedResources
	if !r.Namespaced {
		included, excluded = f.IncludedClusterScopedResources, f.ExcludedClusterScopedResources
		if ExcludesClusterScoped(f) || len(included) == 0 && f.IncludeClusterResources == nil && limitsNamespaces(f) {
			return false
		}
	}
	return (len(f.IncludedResources) == 0 || listsResource(f.IncludedResources, r)) && !listsResource(f.ExcludedResources, r) &&
		(len(included) == 0 || listsResource(included, r)) && !listsResource(excluded, r)
}

// listsResource reports whether names have a resource, by a name or a pattern.
func listsResource(names []string, r Resource) bool {
	return matchesAny(names, r.String()) || slices.ContainsFunc(names, func(name string) bool { return len(resolveName(name, []Resource{r})) > 0 })
}

// matchesAny reports whether a name matches one of patterns.
func matchesAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		g, err := glob.Compile(pattern)
		return err == nil && g.Match(name)
	})
}

// ResolveNames returns the resources of a cluster to which Velero may resolve names. If a name
// is ambiguous, Velero selects one of its resources and ResolveNames returns all of them. It
// returns false if a name is a pattern or resolves to none of resources.
func ResolveNames(names []string, resources []Resource) ([]Resource, bool) {
	if !areNames(names) {
		return nil, false
	}
	resolved := sets.New[string]()
	for _, name := range names {
		candidates := resolveName(name, resources)
		if len(candidates) == 0 {
			return nil, false
		}
		for _, r := range candidates {
			resolved.Insert(r.String())
		}
	}
	return slices.DeleteFunc(slices.Clone(resources), func(r Resource) bool { return !resolved.Has(r.String()) }), true
}

// ListedNames returns the entries of all lists of resources in f that are names, not patterns.
func ListedNames(f v1alpha1.ResourceFilter) []string {
	listed := slices.Concat(f.IncludedResources, f.ExcludedResources,
		f.IncludedClusterScopedResources, f.ExcludedClusterScopedResources,
		f.IncludedNamespaceScopedResources, f.ExcludedNamespaceScopedResources)
	return slices.DeleteFunc(listed, func(name string) bool { return !areNames([]string{name}) })
}

// UnknownNames returns those of names that are the name of none of resources.
func UnknownNames(names []string, resources []Resource) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return len(resolveName(name, resources)) > 0 })
}

// areNames reports whether names is not empty and each has only letters, digits, "-" and ".":
// Velero treats anything else as a pattern.
func areNames(names []string) bool {
	return len(names) > 0 && !slices.ContainsFunc(names, func(name string) bool {
		return len(validation.IsDNS1123Subdomain(strings.ToLower(name))) > 0
	})
}

// resolveName returns the resources to which Velero may resolve name. Like kubectl
// (third_party/kubernetes/pkg/kubectl/cmd/util of v1.18.3) it expands short names, which may be
// the name of another resource too. Then, like the RESTMapper of client-go, it matches plurals,
// singulars and kinds in every group of which the group in name is a prefix.
func resolveName(name string, resources []Resource) []Resource {
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
