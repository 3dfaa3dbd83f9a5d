// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"slices"
	"strings"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// hasNoItems reports whether a completed Backup is known to have no items.
func hasNoItems(status *velerov1.BackupStatus) bool {
	return status != nil && status.Progress != nil && status.Progress.TotalItems == 0
}

// hasOnlyNamespaces reports whether a completed Backup holds nothing that the filter asked for: by its
// lists it has no items besides Namespaces and what every cluster has of its own. Velero backs up
// every namespace that a filter selects, even if nothing in it matches the rest of the filter.
func hasOnlyNamespaces(m *v1alpha1.Migrate, source *v1alpha1.BackupDetails) bool {
	return source.Items != nil && source.Items.Total == 0 && !asksForNamespaces(m)
}

// asksForNamespaces reports whether the filter selects Namespaces by themselves.
func asksForNamespaces(m *v1alpha1.Migrate) bool {
	if m.Spec.Policy == nil || m.Spec.Policy.ResourceFilter == nil {
		return false
	}
	f := m.Spec.Policy.ResourceFilter
	return slices.ContainsFunc(slices.Concat(f.IncludedResources, f.IncludedClusterScopedResources), func(name string) bool {
		return slices.Contains([]string{"namespaces", "namespace", "ns"}, strings.ToLower(name))
	})
}
