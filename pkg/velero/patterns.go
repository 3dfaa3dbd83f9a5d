// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"slices"
	"strings"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
)

// maxNamespaces is the largest number of namespaces that a Backup names.
const maxNamespaces = 5000

// isPattern reports whether Velero v1.18.3 takes an entry of a list of namespaces for a pattern
// (pkg/util/wildcard/expand.go).
func isPattern(namespace string) bool { return strings.ContainsAny(namespace, "*?[") }

// HasNamespacePatterns reports whether a Backup includes namespaces by patterns, other than "*".
func HasNamespacePatterns(backup *velerov1.BackupSpec) bool {
	return !slices.Contains(backup.IncludedNamespaces, "*") && slices.ContainsFunc(backup.IncludedNamespaces, isPattern)
}

// ResolveNamespaces returns a copy of a Backup that has the namespaces of the source, all of which are
// given, in place of the patterns that match them. If they match none, the Backup has no cluster-scoped
// objects that the filter does not name: Velero v1.18.3 would back up all of them, as if all namespaces
// were included (IncludeEverything of pkg/util/collections/includes_excludes.go).
func ResolveNamespaces(backup *velerov1.Backup, namespaces []string) *velerov1.Backup {
	backup = backup.DeepCopy()
	spec := &backup.Spec
	patterns := spec.IncludedNamespaces
	names := slices.DeleteFunc(slices.Clone(patterns), isPattern)
	for _, name := range namespaces {
		if matchesAny(patterns, name) && !matchesAny(spec.ExcludedNamespaces, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	switch {
	case len(names) > maxNamespaces:
	case len(names) > 0:
		spec.IncludedNamespaces, spec.ExcludedNamespaces = names, nil
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
