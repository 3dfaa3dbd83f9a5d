// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package backup

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// MigratePreview is the plan of a migration that is not begun: what the spec of a Migrate would move, and what
// would hinder it. It is created to get its status, and is not stored.
type MigratePreview struct {
	metav1.TypeMeta
	// Standard object's metadata. It needs no name.
	metav1.ObjectMeta

	// spec is that of the Migrate. Its requester is the user who creates the preview.
	Spec MigrateSpec

	// status is the plan.
	Status MigratePreviewStatus
}

// MigratePreviewStatus is the plan of a migration, as it is now.
type MigratePreviewStatus struct {
	// verdict is Ready, ReadyWithWarnings or Blocked. Blocked means that a Migrate would wait
	// before it moves everything to every target.
	Verdict PreviewVerdict

	// message is a human-readable explanation of the verdict.
	Message string

	// time is when the plan was made.
	Time *metav1.Time

	// findings are what would hinder the migration, the most severe first.
	Findings []PreviewFinding

	// source is what was read from the source. Absent if it can't be resolved.
	Source *SourcePreview

	// targets are what was read from the targets, in the order of the status of a Migrate.
	Targets []TargetPreview
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
	Severity PreviewSeverity

	// clusterName is the name of the cluster in which it was found. Empty if it concerns no
	// single cluster.
	ClusterName string

	// reason is one word in CamelCase, as in the status of a Migrate.
	Reason string

	// message is a human-readable explanation, with what to do.
	Message string
}

// ClusterPreview is what was read from a cluster.
type ClusterPreview struct {
	// clusterName is the name of the cluster.
	ClusterName string

	// clusterKind is the kind of the cluster: AttachedCluster, Cluster or
	// ClusterProfile.
	ClusterKind string

	// reachable is true if the cluster answered.
	Reachable bool

	// kubernetesVersion is the version of its API server. Empty if it is unknown.
	KubernetesVersion string

	// veleroNamespace is the namespace of its Velero.
	VeleroNamespace string

	// veleroVersion is the version of its Velero, which answered. Empty if it did not.
	VeleroVersion string

	// nodeAgent is Velero's node-agent. Absent if it is not installed, or unknown.
	NodeAgent *NodeAgentPreview

	// storageLocation is the BackupStorageLocation that would be used. Absent if there is none,
	// or it is unknown.
	StorageLocation *StorageLocationPreview
}

// NodeAgentPreview describes Velero's node-agent.
type NodeAgentPreview struct {
	// ready is the number of nodes on which it is ready, of desired.
	Ready int32

	// desired is the number of nodes on which it should be.
	Desired int32

	// loadConcurrency is the number of volumes whose data it moves at the same time on a node.
	LoadConcurrency int32
}

// StorageLocationPreview describes a BackupStorageLocation.
type StorageLocationPreview struct {
	// name is the name of the BackupStorageLocation.
	Name string

	// storage describes the bucket and prefix.
	Storage string

	// phase is Velero's phase of it, such as Available.
	Phase string

	// accessMode is ReadWrite or ReadOnly.
	AccessMode string

	// sharing is, in a target, whether it is the storage of the source: Same, Different, or
	// Unproven.
	Sharing string

	// proof is how it is known that it is the same. Absent if it is not.
	Proof *StorageProof
}

// SourcePreview is what the source has that would be moved.
type SourcePreview struct {
	ClusterPreview

	// runningBackups is the number of Backups that its Velero runs or has queued.
	RunningBackups int64

	// waitingMigrates is the number of Migrates of the namespace that wait for their turn there.
	WaitingMigrates int64

	// itemsTotal is the number of items that the filter selects. As in the status of a Migrate, Namespaces
	// and what every cluster has of its own don't count, nor what Velero adds, such as the volumes of
	// claims.
	ItemsTotal int64

	// resources counts the items by resource.
	Resources []ResourceCount

	// volumes are the volumes of the selected claims. Absent if there are none.
	Volumes *VolumesPreview
}

// ResourceCount counts the items of a resource.
type ResourceCount struct {
	// resource is their kind with its group, such as ConfigMap or Deployment.apps.
	Resource string

	// count is their number.
	Count int64
}

// VolumesPreview describes the volumes that would be moved.
type VolumesPreview struct {
	// total is their number.
	Total int64

	// bytes is the sum of their capacities. The data may be less.
	Bytes int64

	// items are the first 100 of them.
	Items []VolumePreview
}

// VolumePreview describes a volume that would be moved.
type VolumePreview struct {
	// namespace is the namespace of the claim.
	Namespace string

	// claim is the name of the PersistentVolumeClaim.
	Claim string

	// storageClass is its StorageClass in the source.
	StorageClass string

	// bytes is its capacity.
	Bytes int64

	// method is how its data would be moved: FileSystemBackup, SnapshotDataMovement or None. Empty if that
	// depends on Velero's configuration.
	Method string
}

// TargetPreview is what a target has where the items would be created.
type TargetPreview struct {
	ClusterPreview

	// existing counts the items that the target has already. Absent if they are unknown.
	Existing *ExistingItems
}

// ExistingItems counts the items that a target has already.
type ExistingItems struct {
	// same is the number of those that are as in the source.
	Same int64

	// different is the number of those that differ.
	Different int64

	// notCompared is the number of further ones.
	NotCompared int64
}
