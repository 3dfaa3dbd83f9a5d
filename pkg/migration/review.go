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

// Review is what the requester of a Migrate must be allowed to do in a member by
// themselves: to read what the filter selects in the source, or to create it in a target.
//
// It depends on the Migrate and on the discovery of the member, never on the Backup: what
// the Backup holds, and what Velero lists of it in the storage, is the source's word, and a
// source that lists less than it holds would have less reviewed than is restored. Where
// resources are not listed by name, all are reviewed of the namespaces and scopes that a
// Restore is bounded to, so such a review covers whatever the Backup may hold.
type Review struct {
	// Requester is the user who created the Migrate.
	Requester v1alpha1.Requester
	// Verbs are needed on every resource that Select returns.
	Verbs []string
	// Namespaces are where they are needed; in all if it is empty.
	Namespaces []string

	// Target is whether the member is a target.
	Target bool

	filter v1alpha1.ResourceFilter
	// status is which resources have their status written, too; nil if none has.
	status *v1alpha1.PreserveStatus
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

// ReviewOf returns the review for a cluster of m.
func ReviewOf(m *v1alpha1.Migrate, c ClusterPlan) Review {
	var filter v1alpha1.ResourceFilter
	var mapping map[string]string
	if policy := m.Spec.Policy; policy != nil {
		mapping = policy.NamespaceMapping
		if policy.ResourceFilter != nil {
			filter = *policy.ResourceFilter
		}
	}
	r := Review{Verbs: []string{"get", "list"}, Target: !c.Source, filter: filter}
	if m.Spec.Requester != nil {
		r.Requester = *m.Spec.Requester
	}
	if !c.Source {
		r.Verbs = []string{"create"}
		if policy := m.Spec.Policy; policy != nil && policy.MigrateStatus != nil {
			r.status = policy.MigrateStatus
		}
	}
	if !velero.ListsNamespaces(filter) {
		return r
	}
	for _, namespace := range filter.IncludedNamespaces {
		if to, mapped := mapping[namespace]; mapped && !c.Source {
			namespace = to
		}
		r.Namespaces = append(r.Namespaces, namespace)
	}
	return r
}

// NeedsDiscovery reports whether Select depends on the resources of the member.
func (r Review) NeedsDiscovery() bool { return velero.ListsResources(r.filter) }

// Select returns what the verbs are needed on: of the member's resources, of all those
// which velero.IsBackedUp, the ones that the filter lists; or velero.AllResources where it does not
// list resources that the member has, but names namespaces and excludes cluster-scoped
// objects. It returns false if the verbs are needed on all of the cluster instead.
func (r Review) Select(resources []velero.Resource) ([]velero.Resource, bool) {
	if r.NeedsDiscovery() {
		if named, ok := velero.ResolveNames(r.filter.IncludedResources, resources); ok {
			return slices.DeleteFunc(withNamespaces(named), r.isNeverRestored), true
		}
	}
	if len(r.Namespaces) == 0 || !velero.ExcludesClusterScoped(r.filter) {
		return nil, false
	}
	return withNamespaces([]velero.Resource{velero.AllResources()}), true
}

// withNamespaces adds the resource of namespaces to resources that are in some: the
// namespace of an object is backed up with it, and created for what is restored.
func withNamespaces(resources []velero.Resource) []velero.Resource {
	namespaces := velero.Resource{Name: velero.Namespaces}
	isNamespaced := func(r velero.Resource) bool { return r.Namespaced }
	if slices.ContainsFunc(resources, isNamespaced) && !slices.ContainsFunc(resources, namespaces.Is) {
		return append(resources, namespaces)
	}
	return resources
}

func (r Review) isNeverRestored(resource velero.Resource) bool {
	return r.Target && !velero.IsRestored(schema.GroupResource{Group: resource.Group, Resource: resource.Name})
}

// WritesStatus reports whether the status of objects is written, too.
func (r Review) WritesStatus() bool { return r.status != nil }

// SelectStatus returns those of the selected resources whose status is written: the ones
// that the policy lists by name, or all of them.
func (r Review) SelectStatus(selected, resources []velero.Resource) []velero.Resource {
	if r.status == nil {
		return nil
	}
	written, ok := velero.ResolveNames(r.status.IncludedResources, resources)
	if !ok || slices.ContainsFunc(selected, velero.AllResources().Is) {
		return selected
	}
	return slices.DeleteFunc(slices.Clone(selected), func(r velero.Resource) bool { return !slices.ContainsFunc(written, r.Is) })
}
