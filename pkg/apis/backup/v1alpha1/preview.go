// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +genclient
// +genclient:onlyVerbs=create
// +kubebuilder:object:root=true
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// MigratePreview is the plan of a migration that is not begun: what the spec of a Migrate would move, and what
// would hinder it. It is created to get its status, and is not stored.
type MigratePreview struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object's metadata. It needs no name.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is that of the Migrate. Its requester is the user who creates the preview.
	Spec MigrateSpec `json:"spec"`

	// status is the plan.
	// +optional
	Status MigratePreviewStatus `json:"status,omitempty"`
}

// MigratePreviewStatus is the plan of a migration, as it is now.
type MigratePreviewStatus struct {
	// verdict is Ready, ReadyWithWarnings or Blocked. Blocked means that a Migrate would wait
	// before it moves everything to every target.
	Verdict PreviewVerdict `json:"verdict"`

	// message is a human-readable explanation of the verdict.
	Message string `json:"message"`

	// time is when the plan was made.
	// +optional
	Time *metav1.Time `json:"time,omitempty"`

	// findings are what would hinder the migration, the most severe first.
	// +optional
	Findings []PreviewFinding `json:"findings,omitempty"`

	// source is what was read from the source. Absent if it can't be resolved.
	// +optional
	Source *SourcePreview `json:"source,omitempty"`

	// targets are what was read from the targets, in the order of the status of a Migrate.
	// +optional
	Targets []TargetPreview `json:"targets,omitempty"`
}

// PreviewVerdict sums the findings of a preview up.
type PreviewVerdict string

const (
	// PreviewReady means that there is nothing to warn of.
	PreviewReady PreviewVerdict = "Ready"
	// PreviewReadyWithWarnings means that something may not arrive as it is in the source, or is unknown.
	PreviewReadyWithWarnings PreviewVerdict = "ReadyWithWarnings"
	// PreviewBlocked means that a Migrate would wait before it moves everything to every target.
	PreviewBlocked PreviewVerdict = "Blocked"
)

// PreviewSeverity is how severe a finding is.
type PreviewSeverity string

const (
	// SeverityBlocking means that a Migrate waits until it is over.
	SeverityBlocking PreviewSeverity = "Blocking"
	// SeverityWarning means that something may not arrive as it is in the source, or is unknown.
	SeverityWarning PreviewSeverity = "Warning"
	// SeverityInformation means that there is nothing to do.
	SeverityInformation PreviewSeverity = "Information"
)

// PreviewFinding is something that would hinder a migration.
type PreviewFinding struct {
	// severity is Blocking, Warning or Information.
	Severity PreviewSeverity `json:"severity"`

	// clusterName is the name of the cluster in which it was found. Empty if it concerns no
	// single cluster.
	// +optional
	ClusterName string `json:"clusterName,omitempty"`

	// reason is one word in CamelCase, as in the status of a Migrate.
	Reason string `json:"reason"`

	// message is a human-readable explanation, with what to do.
	Message string `json:"message"`
}

// ClusterPreview is what was read from a cluster.
type ClusterPreview struct {
	// clusterName is the name of the cluster.
	ClusterName string `json:"clusterName"`

	// clusterKind is the kind of the cluster: AttachedCluster, Cluster or
	// ClusterProfile.
	ClusterKind string `json:"clusterKind"`

	// reachable is true if the cluster answered.
	Reachable bool `json:"reachable"`

	// kubernetesVersion is the version of its API server. Empty if it is unknown.
	// +optional
	KubernetesVersion string `json:"kubernetesVersion,omitempty"`

	// veleroNamespace is the namespace of its Velero.
	// +optional
	VeleroNamespace string `json:"veleroNamespace,omitempty"`

	// veleroVersion is the version of its Velero, which answered. Empty if it did not.
	// +optional
	VeleroVersion string `json:"veleroVersion,omitempty"`

	// nodeAgent is Velero's node-agent. Absent if it is not installed, or unknown.
	// +optional
	NodeAgent *NodeAgentPreview `json:"nodeAgent,omitempty"`

	// storageLocation is the BackupStorageLocation that would be used. Absent if there is none,
	// or it is unknown.
	// +optional
	StorageLocation *StorageLocationPreview `json:"storageLocation,omitempty"`
}

// NodeAgentPreview describes Velero's node-agent.
type NodeAgentPreview struct {
	// ready is the number of nodes on which it is ready, of desired.
	Ready int32 `json:"ready"`

	// desired is the number of nodes on which it should be.
	Desired int32 `json:"desired"`

	// loadConcurrency is the number of volumes whose data it moves at the same time on a node.
	LoadConcurrency int32 `json:"loadConcurrency"`
}

// StorageLocationPreview describes a BackupStorageLocation.
type StorageLocationPreview struct {
	// name is the name of the BackupStorageLocation.
	Name string `json:"name"`

	// storage describes the bucket and prefix.
	Storage string `json:"storage"`

	// phase is Velero's phase of it, such as Available.
	// +optional
	Phase string `json:"phase,omitempty"`

	// accessMode is ReadWrite or ReadOnly.
	AccessMode string `json:"accessMode"`

	// sharing is, in a target, whether it is the storage of the source: Same, Different, or
	// Unproven.
	// +optional
	Sharing string `json:"sharing,omitempty"`

	// proof is how it is known that it is the same. Absent if it is not.
	// +optional
	Proof *StorageProof `json:"proof,omitempty"`
}

// SourcePreview is what the source has that would be moved.
type SourcePreview struct {
	ClusterPreview `json:",inline"`

	// runningBackups is the number of Backups that its Velero runs or has queued.
	RunningBackups int64 `json:"runningBackups"`

	// waitingMigrates is the number of Migrates of the namespace that wait for their turn there.
	WaitingMigrates int64 `json:"waitingMigrates"`

	// itemsTotal is the number of items that the filter selects. As in the status of a Migrate, Namespaces
	// and what every cluster has of its own don't count, nor what Velero adds, such as the volumes of
	// claims.
	ItemsTotal int64 `json:"itemsTotal"`

	// resources counts the items by resource.
	// +optional
	Resources []ResourceCount `json:"resources,omitempty"`

	// volumes are the volumes of the selected claims. Absent if there are none.
	// +optional
	Volumes *VolumesPreview `json:"volumes,omitempty"`
}

// ResourceCount counts the items of a resource.
type ResourceCount struct {
	// resource is their kind with its group, such as ConfigMap or Deployment.apps.
	Resource string `json:"resource"`

	// count is their number.
	Count int64 `json:"count"`
}

// VolumesPreview describes the volumes that would be moved.
type VolumesPreview struct {
	// total is their number.
	Total int64 `json:"total"`

	// bytes is the sum of their capacities. The data may be less.
	Bytes int64 `json:"bytes"`

	// items are the first 100 of them.
	// +optional
	Items []VolumePreview `json:"items,omitempty"`
}

// VolumePreview describes a volume that would be moved.
type VolumePreview struct {
	// namespace is the namespace of the claim.
	Namespace string `json:"namespace"`

	// claim is the name of the PersistentVolumeClaim.
	Claim string `json:"claim"`

	// storageClass is its StorageClass in the source.
	// +optional
	StorageClass string `json:"storageClass,omitempty"`

	// bytes is its capacity.
	Bytes int64 `json:"bytes"`

	// method is how its data would be moved: FileSystemBackup, SnapshotDataMovement or None. Empty if that
	// depends on Velero's configuration.
	// +optional
	Method string `json:"method,omitempty"`
}

// TargetPreview is what a target has where the items would be created.
type TargetPreview struct {
	ClusterPreview `json:",inline"`

	// existing counts the items that the target has already. Absent if they are unknown.
	// +optional
	Existing *ExistingItems `json:"existing,omitempty"`
}

// ExistingItems counts the items that a target has already.
type ExistingItems struct {
	// same is the number of those that are as in the source.
	Same int64 `json:"same"`

	// different is the number of those that differ.
	Different int64 `json:"different"`

	// notCompared is the number of further ones.
	NotCompared int64 `json:"notCompared"`
}
