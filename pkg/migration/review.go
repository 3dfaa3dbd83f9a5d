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

// Review describes the permissions that the requester of a Migrate needs in a member: to read
// what the filter selects in the source, or to create it in a target.
//
// It depends on the Migrate and on the discovery of the member, never on the Backup. The source
// determines what the Backup holds and what Velero lists of it in the storage: if it listed
// less, less would be reviewed than is restored. If the filter does not list resources by
// name, the review covers all resources in the namespaces and scopes to which the Restore is
// limited, and thus whatever the Backup may hold.
type Review struct {
	// Requester is the user who created the Migrate.
	Requester v1alpha1.Requester
	// Verbs are the verbs that are needed on every resource that Select returns.
	Verbs []string
	// Namespaces are the namespaces in which they are needed; empty means all.
	Namespaces []string

	// Target is true if the member is a target.
	Target bool

	filter v1alpha1.ResourceFilter
	// status selects the resources whose status is restored too; nil if there are none.
	status *v1alpha1.PreserveStatus
}

// HostIdentity returns the user or group of the requester that has no meaning in a member, or an
// empty string if there is none: names with the prefix system: belong to ServiceAccounts, nodes
// and components of one cluster, and to others in another cluster. The group
// system:authenticated is excepted, because every user is in it in every cluster.
func (r Review) HostIdentity() string {
	const prefix, allUsers = "system:", "system:authenticated"
	if strings.HasPrefix(r.Requester.Username, prefix) {
		return "user " + r.Requester.Username
	}
	for _, group := range r.Requester.Groups {
		if strings.HasPrefix(group, prefix) && group != allUsers {
			return "group " + group
		}
	}
	return ""
}

// NewReview returns the review of m for cluster c.
func NewReview(m *v1alpha1.Migrate, c ClusterPlan) Review {
	var filter v1alpha1.ResourceFilter
	var mapping map[string]string
	if policy := m.Spec.Policy; policy != nil {
		mapping = policy.NamespaceMapping
		if policy.ResourceFilter != nil {
			filter = *policy.ResourceFilter
		}
	}
	r := Review{Verbs: readVerbs(), Target: !c.Source, filter: filter}
	if m.Spec.Requester != nil {
		r.Requester = *m.Spec.Requester
	}
	if !c.Source {
		r.Verbs = []string{"create"}
		if policy := m.Spec.Policy; policy != nil {
			r.status = policy.MigrateStatus
			if policy.ExistingResourcePolicy == v1alpha1.ExistingResourceUpdate {
				r.Verbs = append(r.Verbs, "patch")
			}
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

// ToRead returns the review for reading what r is about.
func (r Review) ToRead() Review {
	r.Verbs, r.status = readVerbs(), nil
	return r
}

func readVerbs() []string { return []string{"get", "list"} }

// NeedsDiscovery reports whether Select depends on the resources of the member.
func (r Review) NeedsDiscovery() bool { return velero.ListsResources(r.filter) }

// Select returns the resources on which the verbs are needed. resources are those of the member
// for which velero.IsBackedUp is true. If the filter lists resources that the member has,
// Select returns these; if it does not, but lists namespaces and excludes cluster-scoped
// objects, it returns velero.AllResources. It returns false if the verbs are needed on the
// whole cluster.
func (r Review) Select(resources []velero.Resource) ([]velero.Resource, bool) {
	if r.NeedsDiscovery() {
		if named, ok := velero.ResolveNames(r.filter.IncludedResources, resources); ok {
			selected := withNamespaces(r.withRelated(named, resources))
			return slices.DeleteFunc(selected, r.isNeverRestored), true
		}
	}
	if len(r.Namespaces) == 0 || !velero.ExcludesClusterScoped(r.filter) {
		return nil, false
	}
	return withNamespaces([]velero.Resource{velero.AllResources()}), true
}

// withRelated adds those of resources that Velero migrates with the selected ones.
func (r Review) withRelated(selected, resources []velero.Resource) []velero.Resource {
	related := velero.RelatedResources(r.filter)
	for _, resource := range resources {
		isRelated := slices.Contains(related, schema.GroupResource{Group: resource.Group, Resource: resource.Name})
		if isRelated && !slices.ContainsFunc(selected, resource.Is) {
			selected = append(selected, resource)
		}
	}
	return selected
}

// withNamespaces adds the resource namespaces if one of resources is namespaced: Velero backs
// up the namespace of an object with it, and creates it for a restored object.
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

// WritesStatus reports whether the status of objects is restored too.
func (r Review) WritesStatus() bool { return r.status != nil }

// SelectStatus returns those of the selected resources whose status is restored: the ones that
// the policy lists by name, or all of them.
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
