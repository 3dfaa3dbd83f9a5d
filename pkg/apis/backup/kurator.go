// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package backup

import (
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// Backup is Kurator's kind of that name: Velero backs up resources in clusters of a
// fleet. It is stored for Kurator's controller, which drives it; this server does not.
// The fields are those of Kurator's definition of September 2025.
type Backup struct {
	metav1.TypeMeta
	// Standard object's metadata.
	metav1.ObjectMeta

	// spec defines what is backed up, and where.
	Spec BackupSpec

	// status is written by Kurator's controller.
	Status BackupStatus
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// BackupList is a list of Backups.
type BackupList struct {
	metav1.TypeMeta
	// Standard list metadata.
	metav1.ListMeta
	// items is the list of Backups.
	Items []Backup
}

// BackupSpec defines what is backed up, and where.
type BackupSpec struct {
	// schedule is a cron expression. Absent: one backup.
	Schedule string

	// destination has the clusters that are backed up.
	Destination Destination

	// policy defines which resources are backed up and how.
	Policy *BackupPolicy
}

// BackupPolicy defines which resources are backed up and how.
type BackupPolicy struct {
	// resourceFilter selects the resources that are backed up. Absent: everything.
	ResourceFilter *ResourceFilter

	// ttl is a duration, such as 720h, after which Velero deletes the backup.
	TTL string

	// orderedResources maps the name of a resource to the order in which its objects
	// are backed up.
	OrderedResources map[string]string
}

// BackupStatus is the state of a Backup, as Kurator's controller writes it.
type BackupStatus struct {
	// conditions are the conditions of the Backup.
	Conditions []Condition

	// phase is the phase of the Backup.
	Phase string

	// backupDetails has the state of the Velero Backup in each cluster.
	Details []ClusterBackup
}

// ClusterBackup is the state of the Velero Backup in one cluster.
type ClusterBackup struct {
	// clusterName is the name of the cluster.
	ClusterName string

	// clusterKind is the kind of the cluster.
	ClusterKind string

	// backupNameInCluster is the name of the Velero Backup.
	BackupNameInCluster string

	// backupStatusInCluster is the complete status of the Velero Backup.
	BackupStatusInCluster *velerov1.BackupStatus
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// Restore is Kurator's kind of that name: Velero restores a Backup in clusters of a
// fleet. It is stored for Kurator's controller, which drives it; this server does not.
// The fields are those of Kurator's definition of September 2025.
type Restore struct {
	metav1.TypeMeta
	// Standard object's metadata.
	metav1.ObjectMeta

	// spec defines what is restored, and where.
	Spec RestoreSpec

	// status is written by Kurator's controller.
	Status RestoreStatus
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// RestoreList is a list of Restores.
type RestoreList struct {
	metav1.TypeMeta
	// Standard list metadata.
	metav1.ListMeta
	// items is the list of Restores.
	Items []Restore
}

// RestoreSpec defines what is restored, and where.
type RestoreSpec struct {
	// backupName is the name of the Backup that is restored.
	BackupName string

	// destination has the clusters in which it is restored. Absent: those of the Backup.
	Destination *Destination

	// policy defines which resources are restored and how.
	Policy *RestorePolicy
}

// RestorePolicy defines which resources are restored and how.
type RestorePolicy struct {
	// resourceFilter selects the resources that are restored. Absent: everything.
	ResourceFilter *ResourceFilter

	// namespaceMapping maps a namespace of the Backup to its name in the clusters.
	NamespaceMapping map[string]string

	// preserveStatus selects the resources whose status is also restored.
	PreserveStatus *PreserveStatus

	// preserveNodePorts keeps the node ports of Services.
	PreserveNodePorts *bool
}

// RestoreStatus is the state of a Restore, as Kurator's controller writes it.
type RestoreStatus struct {
	// conditions are the conditions of the Restore.
	Conditions []Condition

	// phase is the phase of the Restore.
	Phase string

	// restoreDetails has the state of the Velero Restore in each cluster.
	Details []ClusterRestore
}

// ClusterRestore is the state of the Velero Restore in one cluster.
type ClusterRestore struct {
	// clusterName is the name of the cluster.
	ClusterName string

	// clusterKind is the kind of the cluster.
	ClusterKind string

	// restoreNameInCluster is the name of the Velero Restore.
	RestoreNameInCluster string

	// restoreStatusInCluster is the complete status of the Velero Restore.
	RestoreStatusInCluster *velerov1.RestoreStatus
}

// Condition is a condition of Kurator's kinds, which is that of Cluster API v1beta1.
type Condition struct {
	// type is the type of the condition.
	Type string

	// status is True, False or Unknown.
	Status string

	// severity is Error, Warning or Info, or empty if status is True.
	Severity string

	// lastTransitionTime is the last time when the status changed.
	LastTransitionTime metav1.Time

	// reason is the reason of the last transition in CamelCase.
	Reason string

	// message describes the last transition.
	Message string
}
