// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// Review is what who created a Migrate must be allowed to do in a member by
// themselves: to read what is selected in the source, or to create it in a target.
type Review struct {
	// Requester is who created the Migrate.
	Requester v1alpha1.Requester
	// Verbs are those that are needed on every resource that Select says.
	Verbs []string
	// Namespaces are where; none means in all.
	Namespaces []string

	// Target says that it is about a target.
	Target bool

	filter v1alpha1.ResourceFilter
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
	r := Review{Verbs: []string{"get", "list"}, Target: !p.Source, filter: filter}
	if m.Spec.Requester != nil {
		r.Requester = *m.Spec.Requester
	}
	if !p.Source {
		r.Verbs = []string{"create"}
	}
	if !velero.NamesNamespaces(filter) {
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

// Select is what is asked about of the resources that a member has, of all those which
// velero.IsTaken: of the source what may be read there, of a target what may be
// created there.
func (r Review) Select(resources []velero.Resource) []velero.Resource {
	selected := velero.Selected(r.filter, resources)
	if !r.Target {
		return selected
	}
	return slices.DeleteFunc(selected, func(r velero.Resource) bool {
		return !velero.IsRestored(schema.GroupResource{Group: r.Group, Resource: r.Name})
	})
}
