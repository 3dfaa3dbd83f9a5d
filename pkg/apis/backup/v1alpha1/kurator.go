// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// Backup is Kurator's kind of that name: Velero backs up resources in clusters of a
// fleet. It is stored for Kurator's controller, which drives it; this server does not.
// The fields are those of Kurator's definition of September 2025.
type Backup struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec defines what is backed up, and where.
	// +optional
	Spec BackupSpec `json:"spec,omitempty"`

	// status is written by Kurator's controller.
	// +optional
	Status BackupStatus `json:"status,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// BackupList is a list of Backups.
type BackupList struct {
	metav1.TypeMeta `json:",inline"`
	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items is the list of Backups.
	Items []Backup `json:"items"`
}

// BackupSpec defines what is backed up, and where.
type BackupSpec struct {
	// schedule is a cron expression. Absent: one backup.
	// +optional
	Schedule string `json:"schedule,omitempty"`

	// destination has the clusters that are backed up.
	Destination Destination `json:"destination"`

	// policy defines which resources are backed up and how.
	// +optional
	Policy *BackupPolicy `json:"policy,omitempty"`
}

// BackupPolicy defines which resources are backed up and how.
type BackupPolicy struct {
	// resourceFilter selects the resources that are backed up. Absent: everything.
	// +optional
	ResourceFilter *ResourceFilter `json:"resourceFilter,omitempty"`

	// ttl is a duration, such as 720h, after which Velero deletes the backup.
	// +optional
	TTL string `json:"ttl,omitempty"`

	// orderedResources maps the name of a resource to the order in which its objects
	// are backed up.
	// +optional
	OrderedResources map[string]string `json:"orderedResources,omitempty"`
}

// BackupStatus is the state of a Backup, as Kurator's controller writes it.
type BackupStatus struct {
	// conditions are the conditions of the Backup.
	// +optional
	// +listType=atomic
	Conditions []Condition `json:"conditions,omitempty"`

	// phase is the phase of the Backup.
	// +optional
	Phase string `json:"phase,omitempty"`

	// backupDetails has the state of the Velero Backup in each cluster.
	// +optional
	// +listType=atomic
	Details []ClusterBackup `json:"backupDetails,omitempty"`
}

// ClusterBackup is the state of the Velero Backup in one cluster.
type ClusterBackup struct {
	// clusterName is the name of the cluster.
	// +optional
	ClusterName string `json:"clusterName,omitempty"`

	// clusterKind is the kind of the cluster.
	// +optional
	ClusterKind string `json:"clusterKind,omitempty"`

	// backupNameInCluster is the name of the Velero Backup.
	// +optional
	BackupNameInCluster string `json:"backupNameInCluster,omitempty"`

	// backupStatusInCluster is the complete status of the Velero Backup.
	// +optional
	BackupStatusInCluster *velerov1.BackupStatus `json:"backupStatusInCluster,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// Restore is Kurator's kind of that name: Velero restores a Backup in clusters of a
// fleet. It is stored for Kurator's controller, which drives it; this server does not.
// The fields are those of Kurator's definition of September 2025.
type Restore struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec defines what is restored, and where.
	// +optional
	Spec RestoreSpec `json:"spec,omitempty"`

	// status is written by Kurator's controller.
	// +optional
	Status RestoreStatus `json:"status,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// RestoreList is a list of Restores.
type RestoreList struct {
	metav1.TypeMeta `json:",inline"`
	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items is the list of Restores.
	Items []Restore `json:"items"`
}

// RestoreSpec defines what is restored, and where.
type RestoreSpec struct {
	// backupName is the name of the Backup that is restored.
	BackupName string `json:"backupName"`

	// destination has the clusters in which it is restored. Absent: those of the Backup.
	// +optional
	Destination *Destination `json:"destination,omitempty"`

	// policy defines which resources are restored and how.
	// +optional
	Policy *RestorePolicy `json:"policy,omitempty"`
}

// RestorePolicy defines which resources are restored and how.
type RestorePolicy struct {
	// resourceFilter selects the resources that are restored. Absent: everything.
	// +optional
	ResourceFilter *ResourceFilter `json:"resourceFilter,omitempty"`

	// namespaceMapping maps a namespace of the Backup to its name in the clusters.
	// +optional
	NamespaceMapping map[string]string `json:"namespaceMapping,omitempty"`

	// preserveStatus selects the resources whose status is also restored.
	// +optional
	PreserveStatus *PreserveStatus `json:"preserveStatus,omitempty"`

	// preserveNodePorts keeps the node ports of Services.
	// +optional
	PreserveNodePorts *bool `json:"preserveNodePorts,omitempty"`
}

// RestoreStatus is the state of a Restore, as Kurator's controller writes it.
type RestoreStatus struct {
	// conditions are the conditions of the Restore.
	// +optional
	// +listType=atomic
	Conditions []Condition `json:"conditions,omitempty"`

	// phase is the phase of the Restore.
	// +optional
	Phase string `json:"phase,omitempty"`

	// restoreDetails has the state of the Velero Restore in each cluster.
	// +optional
	// +listType=atomic
	Details []ClusterRestore `json:"restoreDetails,omitempty"`
}

// ClusterRestore is the state of the Velero Restore in one cluster.
type ClusterRestore struct {
	// clusterName is the name of the cluster.
	// +optional
	ClusterName string `json:"clusterName,omitempty"`

	// clusterKind is the kind of the cluster.
	// +optional
	ClusterKind string `json:"clusterKind,omitempty"`

	// restoreNameInCluster is the name of the Velero Restore.
	// +optional
	RestoreNameInCluster string `json:"restoreNameInCluster,omitempty"`

	// restoreStatusInCluster is the complete status of the Velero Restore.
	// +optional
	RestoreStatusInCluster *velerov1.RestoreStatus `json:"restoreStatusInCluster,omitempty"`
}

// Condition is a condition of Kurator's kinds, which is that of Cluster API v1beta1.
type Condition struct {
	// type is the type of the condition.
	Type string `json:"type"`

	// status is True, False or Unknown.
	Status string `json:"status"`

	// severity is Error, Warning or Info, or empty if status is True.
	// +optional
	Severity string `json:"severity,omitempty"`

	// lastTransitionTime is the last time when the status changed.
	LastTransitionTime metav1.Time `json:"lastTransitionTime"`

	// reason is the reason of the last transition in CamelCase.
	// +optional
	Reason string `json:"reason,omitempty"`

	// message describes the last transition.
	// +optional
	Message string `json:"message,omitempty"`
}
