// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"slices"
	"strings"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
)

// isPattern reports whether Velero v1.18.3 takes an entry of a list of namespaces for a pattern
// (pkg/util/wildcard/expand.go).
func isPattern(namespace string) bool { return strings.ContainsAny(namespace, "*?[") }

// HasNamespacePatterns reports whether a Backup includes namespaces by patterns, other than "*".
func HasNamespacePatterns(backup *velerov1.BackupSpec) bool {
	return !slices.Contains(backup.IncludedNamespaces, "*") && slices.ContainsFunc(backup.IncludedNamespaces, isPattern)
}

// WithNamespaces returns the Backup for a source that has these namespaces: a copy without the
// cluster-scoped objects that its filter does not name, if its patterns match none of them. With the old
// filters of resources Velero v1.18.3 would back up all of these, as if all namespaces were included
// (GlobalIncludesExcludes of pkg/util/collections/includes_excludes.go).
func WithNamespaces(backup *velerov1.Backup, namespaces []string) *velerov1.Backup {
	isIncluded := func(name string) bool {
		return matchesAny(backup.Spec.IncludedNamespaces, name) && !matchesAny(backup.Spec.ExcludedNamespaces, name)
	}
	if slices.ContainsFunc(namespaces, isIncluded) {
		return backup
	}
	backup = backup.DeepCopy()
	switch spec := &backup.Spec; {
	case usesScopedFilters(spec):
		if len(spec.IncludedClusterScopedResources) == 0 {
			spec.ExcludedClusterScopedResources = []string{"*"}
		}
	case spec.IncludeClusterResources == nil:
		spec.IncludeClusterResources = new(false)
	}
	return backup
}

func usesScopedFilters(s *velerov1.BackupSpec) bool {
	return len(s.IncludedClusterScopedResources)+len(s.ExcludedClusterScopedResources)+
		len(s.IncludedNamespaceScopedResources)+len(s.ExcludedNamespaceScopedResources) > 0
}
