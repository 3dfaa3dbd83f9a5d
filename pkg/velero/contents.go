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
const maxContents = 200

// Contents returns the namespaces and kinds of the items. What is not a name of Kubernetes is omitted,
// and all of them if they are more than maxContents.
func (b *BackedUp) Contents() *v1alpha1.BackupContents {
	isNamespace := func(name string) bool { return len(validation.IsDNS1123Label(name)) == 0 }
	isKind := func(name string) bool { return len(validation.IsDNS1123Subdomain(strings.ToLower(name))) == 0 }
	return &v1alpha1.BackupContents{Namespaces: few(b.Namespaces, isNamespace), Kinds: few(b.Kinds, isKind)}
}

// few returns those of names that are valid, sorted, unless there are more than maxContents.
func few(names sets.Set[string], isValid func(string) bool) []string {
	if len(names) > maxContents {
		return nil
	}
	invalid := func(name string) bool { return !isValid(name) }
	return slices.DeleteFunc(sets.List(names), invalid)
}

// limitTo limits a Restore to those contents of its Backup that the filter of the Migrate selects. A list
// that would be empty, which for Velero means everything, is left as it is.
func limitTo(restore *velerov1.RestoreSpec, contents *v1alpha1.BackupContents, f v1alpha1.ResourceFilter) {
	if contents == nil {
		return
	}
	isLimited := limitsNamespaces(f)
	namespaces := slices.DeleteFunc(slices.Clone(contents.Namespaces), func(n string) bool { return !IncludesNamespace(f, n) })
	if len(namespaces) > 0 {
		restore.IncludedNamespaces, restore.ExcludedNamespaces = namespaces, nil
		if restore.IncludeClusterResources == nil {
			restore.IncludeClusterResources = new(true)
		}
	}
	if restore.IncludedResources != nil {
		return // it has those that the filter lists
	}
	resources := sets.New[string]()
	for _, kind := range contents.Kinds {
		if (kind != kindNamespace || !isLimited) && selectsKind(f, kind) {
			resources.Insert(resourceName(kind))
		}
	}
	resources.Delete(restore.ExcludedResources...)
	if len(resources) > 0 {
		restore.IncludedResources = sets.List(resources)
	}
}

// comeAlong are the kinds of objects that Velero backs up because others need them, also if the
// filter does not select them.
var comeAlong = []string{
	kindNamespace, kindVolume, "CustomResourceDefinition.apiextensions.k8s.io",
	"ClusterRole.rbac.authorization.k8s.io", "ClusterRoleBinding.rbac.authorization.k8s.io",
	"VolumeSnapshot.snapshot.storage.k8s.io", "VolumeSnapshotContent.snapshot.storage.k8s.io", "VolumeSnapshotClass.snapshot.storage.k8s.io",
}

// selectsKind reports whether f may select objects of a kind, and Velero restores them: it rejects a
// Restore that includes others.
func selectsKind(f v1alpha1.ResourceFilter, kind string) bool {
	r := resourceOfKind(kind)
	namespaced := r
	namespaced.Namespaced = true
	isSelected := slices.Contains(comeAlong, kind) || IncludesResource(f, r) || IncludesResource(f, namespaced)
	return isSelected && IsRestored(schema.GroupResource{Group: r.Group, Resource: r.Name})
}

// resourceName returns the name by which a Restore includes the objects of a kind. A custom resource may
// have any plural, and Velero resolves names before it restores the definition, so the name is a
// pattern that matches all resources of its group.
func resourceName(kind string) string {
	name := resourceOfKind(kind).String()
	if isCustom(name) {
		_, group, _ := strings.Cut(kind, ".")
		return "*." + group
	}
	return name
}

// resourceOfKind returns the resource of a kind, by the usual plural.
func resourceOfKind(kind string) Resource {
	resource := resourceOf(Item{Kind: kind})
	name, _, _ := strings.Cut(kind, ".")
	return Resource{Group: resource.Group, Name: resource.Resource, Kind: name, Singular: strings.ToLower(name)}
}
