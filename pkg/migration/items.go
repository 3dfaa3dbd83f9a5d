// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"slices"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// hasNoItems reports whether a completed Backup is known to have no items.
func hasNoItems(status *velerov1.BackupStatus) bool {
	return status != nil && status.Progress != nil && status.Progress.TotalItems == 0
}

// maybeOnlyNamespaces reports whether the items of a completed Backup may be only the namespaces
// themselves: Velero backs up every namespace that a filter of namespaces selects, even if
// nothing in it matches the rest of the filter (nsTracker in its item collector), unless the
// filter excludes namespaces as a resource.
func maybeOnlyNamespaces(m *v1alpha1.Migrate, status *velerov1.BackupStatus) bool {
	if m.Spec.Policy == nil || m.Spec.Policy.ResourceFilter == nil || status == nil || status.Progress == nil {
		return false
	}
	f := m.Spec.Policy.ResourceFilter
	one, or := velero.Selectors(*f)
	if one == nil && len(or) == 0 || len(f.IncludedNamespaces)+len(f.ExcludedNamespaces) == 0 || !selectsNamespaces(f) {
		return false
	}
	return !velero.ListsNamespaces(*f) || status.Progress.TotalItems <= len(f.IncludedNamespaces)
}

// selectsNamespaces reports whether f selects the resource namespaces.
func selectsNamespaces(f *v1alpha1.ResourceFilter) bool {
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
