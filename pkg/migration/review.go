// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// Review is what who created a Migrate must be allowed to do in a member by
// themselves: to read what is selected in the source, or to create it in a target.
type Review struct {
	// Requester is who created the Migrate.
	Requester v1alpha1.Requester
	// Verbs are those that are needed on every resource that Selects says.
	Verbs []string
	// Namespaces are where; none means in all.
	Namespaces []string

	filter v1alpha1.ResourceFilter
	target bool
}

// Resource is a resource as a member's discovery tells of it.
type Resource struct {
	Group, Name, Kind, Singular string
	ShortNames                  []string
	Namespaced                  bool
}

// ReviewOf is the review for a party of m.
func ReviewOf(m *v1alpha1.Migrate, p Party) Review {
	var filter v1alpha1.ResourceFilter
	var mapping map[string]string
	if policy := m.Spec.Policy; policy != nil {
		mapping = policy.NamespaceMapping
		if policy.ResourceFilter != nil {
			filter = *policy.ResourceFilter
		}
	}
	r := Review{Verbs: []string{"get", "list"}, filter: filter, target: !p.Source}
	if m.Spec.Requester != nil {
		r.Requester = *m.Spec.Requester
	}
	if !p.Source {
		r.Verbs = []string{"create"}
	}
	if !namesNamespaces(filter) {
		return r
	}
	for _, namespace := range filter.IncludedNamespaces {
		if to, mapped := mapping[namespace]; mapped && !p.Source {
			namespace = to
		}
		r.Namespaces = append(r.Namespaces, namespace)
	}
	return r
}

// Selects says whether the filter takes a resource: by Velero's rules, as far as
// they do not depend on the objects.
func (r Review) Selects(resource Resource) bool {
	f := r.filter
	in := func(names []string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return name == "*" || resource.isCalled(name) })
	}
	if r.target && !velero.IsRestored(schema.GroupResource{Group: resource.Group, Resource: resource.Name}) {
		return false
	}
	if in(f.ExcludedResources) || len(f.IncludedResources) > 0 && !in(f.IncludedResources) {
		return false
	}
	if resource.Namespaced {
		return !in(f.ExcludedNamespaceScopedResources) &&
			(len(f.IncludedNamespaceScopedResources) == 0 || in(f.IncludedNamespaceScopedResources))
	}
	switch {
	case in(f.ExcludedClusterScopedResources):
		return false
	case in(f.IncludedClusterScopedResources):
		return true
	case f.IncludeClusterResources != nil:
		return *f.IncludeClusterResources
	default:
		// What namespaced objects need comes along, and all where all namespaces are
		// taken.
		return len(f.IncludedClusterScopedResources) == 0 && !namesNamespaces(f)
	}
}

// namesNamespaces says whether a filter names the namespaces that it takes.
func namesNamespaces(f v1alpha1.ResourceFilter) bool {
	return len(f.IncludedNamespaces) > 0 &&
		!slices.ContainsFunc(f.IncludedNamespaces, func(n string) bool { return strings.Contains(n, "*") })
}

// isCalled says whether a name of a filter, in any of the ways that Velero and
// kubectl take, is the resource's.
func (r Resource) isCalled(name string) bool {
	name = strings.ToLower(name)
	names := append([]string{r.Name, r.Singular, strings.ToLower(r.Kind)}, r.ShortNames...)
	if bare, group, qualified := strings.Cut(name, "."); qualified {
		return strings.EqualFold(group, r.Group) && slices.Contains(names, bare)
	}
	return slices.Contains(names, name)
}
