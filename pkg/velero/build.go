// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"slices"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// NewBackup returns the Backup of m for its source cluster. Its namespace is not set: package
// member sets the one in which the cluster's Velero runs.
func NewBackup(m *v1alpha1.Migrate, sourceCluster, storageLocation string) *velerov1.Backup {
	backup := &velerov1.Backup{
		ObjectMeta: objectMeta(sourceCluster, m),
		Spec:       velerov1.BackupSpec{StorageLocation: storageLocation},
	}
	policy := m.Spec.Policy
	if policy == nil {
		return backup
	}
	backup.Spec.OrderedResources = policy.OrderedResources
	if policy.Volumes != nil {
		applyVolumes(&backup.Spec, policy.Volumes.Data)
	}
	if f := policy.ResourceFilter; f != nil {
		backup.Spec.IncludedNamespaces = f.IncludedNamespaces
		backup.Spec.ExcludedNamespaces = f.ExcludedNamespaces
		backup.Spec.IncludedResources = BackedUpResources(*f)
		backup.Spec.ExcludedResources = f.ExcludedResources
		backup.Spec.IncludeClusterResources = f.IncludeClusterResources
		backup.Spec.IncludedClusterScopedResources = f.IncludedClusterScopedResources
		backup.Spec.ExcludedClusterScopedResources = f.ExcludedClusterScopedResources
		backup.Spec.IncludedNamespaceScopedResources = f.IncludedNamespaceScopedResources
		backup.Spec.ExcludedNamespaceScopedResources = f.ExcludedNamespaceScopedResources
		backup.Spec.LabelSelector, backup.Spec.OrLabelSelectors = Selectors(*f)
	}
	return backup.DeepCopy()
}

// NewRestore returns the Restore of m for a target, from the Backup of the source.
// As far as a Restore can express it, it restores nothing that m's filter does not select, or that the
// Backup did not have at its end; nil contents are unknown. The source determines what the storage
// holds under that name, and it is not trusted.
func NewRestore(m *v1alpha1.Migrate, target *v1alpha1.RestoreDetails, source *v1alpha1.BackupDetails) *velerov1.Restore {
	restore := &velerov1.Restore{
		ObjectMeta: objectMeta(target.ClusterName, m),
		Spec:       velerov1.RestoreSpec{BackupName: source.BackupNameInCluster},
	}
	policy := m.Spec.Policy
	if policy == nil {
		policy = &v1alpha1.MigratePolicy{}
	}
	restore.Spec.NamespaceMapping = policy.NamespaceMapping
	restore.Spec.PreserveNodePorts = policy.PreserveNodePorts
	restore.Spec.ExistingResourcePolicy = velerov1.PolicyType(policy.ExistingResourcePolicy)
	if modifiers := NewResourceModifiers(m, target.ClusterName); modifiers != nil {
		restore.Spec.ResourceModifier = &corev1.TypedLocalObjectReference{Kind: "ConfigMap", Name: modifiers.Name}
	}
	if f := policy.ResourceFilter; f != nil {
		applyFilter(&restore.Spec, f)
	}
	if MovesNoVolumeData(m) { // the PersistentVolumes lead to the disks of the source
		exclude(&restore.Spec, PersistentVolumes)
	}
	if target.WithoutPods && !selectsOnly(restore.Spec.IncludedResources, podNames) {
		exclude(&restore.Spec, podNames...)
	}
	limitTo(&restore.Spec, source.Contents, ptr.Deref(policy.ResourceFilter, v1alpha1.ResourceFilter{}))
	if s := policy.MigrateStatus; s != nil {
		restore.Spec.RestoreStatus = &velerov1.RestoreStatusSpec{
			IncludedResources: s.IncludedResources,
			ExcludedResources: s.ExcludedResources,
		}
	}
	return restore.DeepCopy()
}

// applyFilter limits a Restore to what f selects, as far as a Restore can express that. It does
// not set a selector, because Velero also backs up objects that the selected ones need (the
// volume of a claim, the role of a service account) and that may not have the label.
func applyFilter(restore *velerov1.RestoreSpec, f *v1alpha1.ResourceFilter) {
	restore.IncludedResources = RestoredResources(*f)
	restore.IncludedNamespaces, restore.ExcludedNamespaces = f.IncludedNamespaces, f.ExcludedNamespaces
	restore.ExcludedResources = f.ExcludedResources
	if limitsNamespaces(*f) && restore.IncludedResources == nil {
		// A Backup also has the Namespaces outside of its list that match its selector. Those
		// of restored objects Velero creates without restoring them.
		restore.ExcludedResources = append(slices.Clone(f.ExcludedResources), Namespaces)
	}
	restore.IncludeClusterResources = f.IncludeClusterResources
	switch {
	case slices.Contains(f.ExcludedClusterScopedResources, "*"):
		restore.IncludeClusterResources = new(false)
	case f.IncludeClusterResources == nil && len(f.IncludedNamespaces)+len(f.ExcludedNamespaces) > 0:
		// If it is unset, a Backup has the cluster-scoped objects that the namespaced ones
		// need, but a Restore of some namespaces skips all of them.
		restore.IncludeClusterResources = new(true)
	}
}

// podNames are the names by which a filter may list the pods, the full one first.
var podNames = []string{"pods", "pod", "po"}

// selectsOnly reports whether a list of resources has no others than those of some names. An empty list has all.
func selectsOnly(resources, names []string) bool {
	isOther := func(resource string) bool { return !slices.Contains(names, resource) }
	return len(resources) > 0 && !slices.ContainsFunc(resources, isOther)
}

// exclude excludes a resource, which a filter may list by several names, the full one first.
func exclude(restore *velerov1.RestoreSpec, names ...string) {
	isNamed := func(resource string) bool { return slices.Contains(names, resource) }
	restore.IncludedResources = slices.DeleteFunc(slices.Clone(restore.IncludedResources), isNamed)
	if !slices.ContainsFunc(restore.ExcludedResources, isNamed) {
		restore.ExcludedResources = append(slices.Clone(restore.ExcludedResources), names[0])
	}
}

func objectMeta(cluster string, m *v1alpha1.Migrate) metav1.ObjectMeta {
	annotations := map[string]string{MigrateAnnotation: m.Namespace + "/" + m.Name}
	if r := m.Spec.Requester; r != nil {
		annotations[RequesterAnnotation] = r.Username
	}
	return metav1.ObjectMeta{
		Name:        ObjectName(cluster, m),
		Labels:      map[string]string{MigrateUIDLabel: string(m.UID)},
		Annotations: annotations,
	}
}
