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
	// Verbs are those that are needed on every resource that Select says.
	Verbs []string
	// Namespaces are where; none means in all.
	Namespaces []string

	// Target says that it is about a target.
	Target bool

	filter v1alpha1.ResourceFilter
	// status are the resources whose status is written too; nil if none is.
	status *v1alpha1.ResourceFilter
}

// HostIdentity names the identity by which the requester can't be reviewed in a member:
// Kubernetes gives names that begin with system: to ServiceAccounts, nodes and its own
// parts, in each cluster to others. It is empty if there is none. Everybody is in
// system:authenticated, in any cluster.
func (r Review) HostIdentity() string {
	const prefix, everybody = "system:", "system:authenticated"
	if strings.HasPrefix(r.Requester.Username, prefix) {
		return "user " + r.Requester.Username
	}
	for _, group := range r.Requester.Groups {
		if strings.HasPrefix(group, prefix) && group != everybody {
			return "group " + group
		}
	}
	return ""
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
		if policy := m.Spec.Policy; policy != nil && policy.MigrateStatus != nil {
			r.status = &v1alpha1.ResourceFilter{
				IncludedResources: policy.MigrateStatus.IncludedResources, ExcludedResources: policy.MigrateStatus.ExcludedResources,
			}
		}
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

// WritesStatus says whether the status of objects is written, too.
func (r Review) WritesStatus() bool { return r.status != nil }

// SelectStatus is those of the selected resources whose status is written.
func (r Review) SelectStatus(selected []velero.Resource) []velero.Resource {
	if r.status == nil {
		return nil
	}
	return velero.Selected(*r.status, selected)
}
