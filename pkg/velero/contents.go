// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"slices"
	"strings"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// maxContents is the largest number of namespaces, and of kinds, to which a Restore is limited.
const maxContents = 500

// Contents returns the namespaces and kinds of the items, sorted; nil if they are more than maxContents.
// What is not a name of Kubernetes is omitted.
func (b *BackedUp) Contents() *v1alpha1.BackupContents {
	if max(len(b.Namespaces), len(b.Kinds)) > maxContents {
		return nil
	}
	isNoNamespace := func(name string) bool { return len(validation.IsDNS1123Label(name)) > 0 }
	isNoKind := func(name string) bool { return len(validation.IsDNS1123Subdomain(strings.ToLower(name))) > 0 }
	return &v1alpha1.BackupContents{
		Namespaces: slices.DeleteFunc(sets.List(b.Namespaces), isNoNamespace),
		Kinds:      slices.DeleteFunc(sets.List(b.Kinds), isNoKind),
	}
}

// noResource is the name of no resource: for Velero an empty list means everything.
const noResource = "nothing.backup.kurator.dev"

// limitTo limits a Restore to the contents of its Backup, in the namespaces that f selects.
func limitTo(restore *velerov1.RestoreSpec, contents *v1alpha1.BackupContents, f v1alpha1.ResourceFilter) {
	if contents == nil {
		return
	}
	namespaces := slices.DeleteFunc(slices.Clone(contents.Namespaces), func(n string) bool { return !IncludesNamespace(f, n) })
	switch {
	case len(namespaces) > 0:
		restore.IncludedNamespaces, restore.ExcludedNamespaces = namespaces, nil
		if restore.IncludeClusterResources == nil {
			restore.IncludeClusterResources = new(true)
		}
	case limitsNamespaces(f) && f.IncludeClusterResources == nil && len(f.IncludedClusterScopedResources) == 0:
		// Only what objects of these namespaces need was asked for.
		restore.IncludeClusterResources = new(false)
	}
	if restore.IncludedResources != nil {
		return // it has those that the filter lists
	}
	resources := sets.New[string]()
	for _, kind := range contents.Kinds {
		if kind != kindNamespace || !limitsNamespaces(f) {
			resources.Insert(resourceNames(kind)...)
		}
	}
	if resources.Delete(restore.ExcludedResources...); len(resources) == 0 {
		resources.Insert(noResource)
	}
	restore.IncludedResources = sets.List(resources)
}

// resourceNames returns the names by which a Restore includes the objects of a kind; none if Velero
// v1.18.3 refuses a Restore with them, or restores them in any case. A custom resource may have any
// plural, and Velero resolves names before it restores the definition, so its name is a pattern that
// matches all resources of its group.
func resourceNames(kind string) []string {
	resource := resourceOfKind(kind)
	name, group := resource.String(), resource.Group
	isBelow := func(builtin string) bool { return strings.HasSuffix(builtin, "."+group) }
	switch {
	case !IsRestored(schema.GroupResource{Group: group, Resource: resource.Name}), kind == "DataUpload.velero.io":
		return nil
	case !isCustom(name):
		return []string{name}
	case slices.ContainsFunc(builtinGroups, isBelow):
		return []string{name, resource.Singular + "." + group}
	}
	return []string{"*." + group}
}

// resourceOfKind returns the resource of a kind, by the usual plural.
func resourceOfKind(kind string) Resource {
	resource := resourceOf(Item{Kind: kind})
	name, _, _ := strings.Cut(kind, ".")
	return Resource{Group: resource.Group, Name: resource.Resource, Kind: name, Singular: strings.ToLower(name)}
}
