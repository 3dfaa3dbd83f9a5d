// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// Backup is the Backup that is made for m in its source cluster. The namespace
// is left to the member: it is where its Velero runs.
func Backup(m *v1alpha1.Migrate, sourceCluster, storageLocation string) *velerov1.Backup {
	backup := &velerov1.Backup{
		ObjectMeta: objectMeta(sourceCluster, m),
		Spec:       velerov1.BackupSpec{StorageLocation: storageLocation},
	}
	policy := m.Spec.Policy
	if policy == nil {
		return backup
	}
	backup.Spec.OrderedResources = policy.OrderedResources
	if f := policy.ResourceFilter; f != nil {
		backup.Spec.IncludedNamespaces = f.IncludedNamespaces
		backup.Spec.ExcludedNamespaces = f.ExcludedNamespaces
		backup.Spec.IncludedResources = f.IncludedResources
		backup.Spec.ExcludedResources = f.ExcludedResources
		backup.Spec.IncludeClusterResources = f.IncludeClusterResources
		backup.Spec.IncludedClusterScopedResources = f.IncludedClusterScopedResources
		backup.Spec.ExcludedClusterScopedResources = f.ExcludedClusterScopedResources
		backup.Spec.IncludedNamespaceScopedResources = f.IncludedNamespaceScopedResources
		backup.Spec.ExcludedNamespaceScopedResources = f.ExcludedNamespaceScopedResources
		backup.Spec.LabelSelector = f.LabelSelector
		backup.Spec.OrLabelSelectors = f.OrLabelSelectors
	}
	return backup.DeepCopy()
}

// Restore is the Restore that is made for m in a target cluster, of the Backup
// with the given name.
func Restore(m *v1alpha1.Migrate, targetCluster, backupName string) *velerov1.Restore {
	restore := &velerov1.Restore{
		ObjectMeta: objectMeta(targetCluster, m),
		Spec:       velerov1.RestoreSpec{BackupName: backupName},
	}
	policy := m.Spec.Policy
	if policy == nil {
		return restore
	}
	restore.Spec.NamespaceMapping = policy.NamespaceMapping
	restore.Spec.PreserveNodePorts = policy.PreserveNodePorts
	if s := policy.MigrateStatus; s != nil {
		restore.Spec.RestoreStatus = &velerov1.RestoreStatusSpec{
			IncludedResources: s.IncludedResources,
			ExcludedResources: s.ExcludedResources,
		}
	}
	return restore.DeepCopy()
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
