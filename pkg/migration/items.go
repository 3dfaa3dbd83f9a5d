// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"slices"
	"strings"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// holdsNothing says whether a completed Backup is known to hold no items.
func holdsNothing(status *velerov1.BackupStatus) bool {
	return status != nil && status.Progress != nil && status.Progress.TotalItems == 0
}

// perhapsNamespacesAlone says whether all items of a completed Backup may be the
// namespaces themselves: Velero backs up every namespace that a filter of
// namespaces admits, even if nothing in it matches the rest of the filter
// (nsTracker in its item collector), unless namespaces are left out as a resource.
func perhapsNamespacesAlone(m *v1alpha1.Migrate, status *velerov1.BackupStatus) bool {
	if m.Spec.Policy == nil || m.Spec.Policy.ResourceFilter == nil || status == nil || status.Progress == nil {
		return false
	}
	f := m.Spec.Policy.ResourceFilter
	selects := f.LabelSelector != nil || len(f.OrLabelSelectors) > 0
	if !selects || len(f.IncludedNamespaces)+len(f.ExcludedNamespaces) == 0 || !admitsNamespaces(f) {
		return false
	}
	named := len(f.IncludedNamespaces) > 0 && !slices.ContainsFunc(f.IncludedNamespaces, func(n string) bool { return strings.Contains(n, "*") })
	return !named || status.Progress.TotalItems <= len(f.IncludedNamespaces)
}

// admitsNamespaces says whether a filter takes Namespaces as a resource.
func admitsNamespaces(f *v1alpha1.ResourceFilter) bool {
	names := func(resources []string) bool {
		return slices.ContainsFunc(resources, func(r string) bool {
			return slices.Contains([]string{"*", "namespaces", "namespace", "ns"}, r)
		})
	}
	switch {
	case f.IncludeClusterResources != nil && !*f.IncludeClusterResources,
		len(f.IncludedResources) > 0 && !names(f.IncludedResources),
		names(f.ExcludedResources),
		names(f.ExcludedClusterScopedResources):
		return false
	}
	return true
}
