// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package backup

import (
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// Migrate moves the resources of an application from one cluster to one or many
// others: Velero backs them up in the source cluster and restores them in each
// target cluster, and the status reports the progress in each cluster.
type Migrate struct {
	metav1.TypeMeta
	// Standard object's metadata.
	// More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata
	metav1.ObjectMeta

	// spec defines what is migrated, from where, and to where. It is immutable.
	Spec MigrateSpec

	// status is the state of the migration. Only the server writes it. A GET of the
	// object returns the last recorded status, a GET of the subresource status
	// reads the member clusters.
	Status MigrateStatus
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// MigrateList is a list of Migrates.
type MigrateList struct {
	metav1.TypeMeta
	// Standard list metadata.
	metav1.ListMeta
	// items is the list of Migrates.
	Items []Migrate
}

// MigrateSpec defines what is migrated, from where, and to where.
type MigrateSpec struct {
	// sourceCluster is the cluster that has the resources. It must resolve to exactly
	// one cluster: name it, or leave clusters empty if the fleet has only one.
	SourceCluster Destination

	// targetCluster has the clusters that the resources are migrated to. If clusters
	// is empty, these are all members of the fleet when the migration starts, except
	// the source.
	TargetCluster Destination

	// policy defines which resources are migrated and how. If it is absent,
	// everything that Velero backs up by default is migrated.
	Policy *MigratePolicy

	// progressDeadlineSeconds is the time in seconds without progress in a cluster
	// after which the condition Stalled is True with reason
	// ProgressDeadlineExceeded. The migration is not aborted, and progress clears
	// the condition. Time in Velero's queues does not count. Defaults to 600.
	ProgressDeadlineSeconds *int32

	// requester is the authenticated user who created the Migrate. The server sets it,
	// and it is immutable.
	Requester *Requester
}

// Requester is an authenticated user.
type Requester struct {
	// username is the name that is unique among all active users.
	Username string
	// uid distinguishes users that have the same name at different times.
	UID string
	// groups are the groups of the user.
	Groups []string
	// extra has the additional attributes of the user, without credentials.
	Extra map[string][]string
}

// Destination names clusters of a fleet.
type Destination struct {
	// fleet is the name of a Fleet (fleet.kurator.dev) in the Migrate's namespace.
	Fleet string

	// clusters are references to members of the fleet, by kind (AttachedCluster or
	// Cluster of cluster.kurator.dev; empty means Cluster) and name.
	Clusters []corev1.ObjectReference
}

// MigratePolicy defines which resources are migrated and how.
type MigratePolicy struct {
	// resourceFilter selects the resources that are migrated. Absent: everything.
	ResourceFilter *ResourceFilter

	// orderedResources maps the name of a resource to the order in which its objects
	// are backed up: a comma-separated list of namespace/name, or of name for a
	// cluster-scoped resource.
	OrderedResources map[string]string

	// namespaceMapping maps a namespace of the source to its name in the targets.
	// Other namespaces keep their name.
	NamespaceMapping map[string]string

	// migrateStatus selects the resources whose status is also restored. Absent:
	// none.
	MigrateStatus *PreserveStatus

	// preserveNodePorts keeps the node ports of Services. Absent: Velero's default,
	// which drops the ones that were assigned automatically.
	PreserveNodePorts *bool

	// existingResourcePolicy is what happens to an object of a target that exists and
	// differs: none leaves it as it is, update changes it to the source's. Absent:
	// none.
	ExistingResourcePolicy ExistingResourcePolicy

	// volumes defines how the data of volumes is migrated. Absent: as the annotations
	// of the pods and Velero in the source define it.
	Volumes *VolumePolicy
}

// ExistingResourcePolicy is what a Restore does with an object that exists.
type ExistingResourcePolicy string

const (
	// ExistingResourceNone leaves an existing object as it is.
	ExistingResourceNone ExistingResourcePolicy = "none"
	// ExistingResourceUpdate changes an existing object to that of the source.
	ExistingResourceUpdate ExistingResourcePolicy = "update"
)

// VolumePolicy defines how the data of volumes is migrated.
type VolumePolicy struct {
	// data is how Velero moves the data: FileSystemBackup copies the files of all
	// volumes of running pods by Velero's node-agent, SnapshotDataMovement moves CSI
	// snapshots into the storage. Absent: as the annotations of the pods and Velero in
	// the source define it.
	Data VolumeDataPolicy
}

// VolumeDataPolicy is a way to move the data of volumes.
type VolumeDataPolicy string

const (
	// VolumeDataFileSystemBackup copies the files of the volumes of running pods.
	VolumeDataFileSystemBackup VolumeDataPolicy = "FileSystemBackup"
	// VolumeDataSnapshotDataMovement moves CSI snapshots of the volumes.
	VolumeDataSnapshotDataMovement VolumeDataPolicy = "SnapshotDataMovement"
)

// ResourceFilter selects resources as a Velero Backup does. The old filters
// (includedResources, excludedResources, includeClusterResources) can't be combined
// with those for one scope.
type ResourceFilter struct {
	// includedNamespaces are the namespaces whose objects are selected. Empty: all.
	IncludedNamespaces []string

	// excludedNamespaces are the namespaces whose objects are not selected.
	ExcludedNamespaces []string

	// includedResources are the selected resources, as in kubectl ("deployments",
	// "deployments.apps"). Empty: all.
	IncludedResources []string

	// excludedResources are the resources that are not selected.
	ExcludedResources []string

	// includeClusterResources selects cluster-scoped resources: true all, false
	// none, absent those that the selected namespaced ones need.
	IncludeClusterResources *bool

	// includedClusterScopedResources are the selected cluster-scoped resources; "*"
	// is all of them. Empty: those that the selected namespaced ones need.
	IncludedClusterScopedResources []string

	// excludedClusterScopedResources are the cluster-scoped resources that are not
	// selected; "*" is all of them.
	ExcludedClusterScopedResources []string

	// includedNamespaceScopedResources are the selected namespaced resources. Empty:
	// all.
	IncludedNamespaceScopedResources []string

	// excludedNamespaceScopedResources are the namespaced resources that are not
	// selected; "*" is all of them.
	ExcludedNamespaceScopedResources []string

	// labelSelector selects objects by their labels. Absent: all. It can't be combined
	// with orLabelSelectors.
	LabelSelector *metav1.LabelSelector

	// orLabelSelectors selects objects that match at least one of them.
	OrLabelSelectors []*metav1.LabelSelector
}

// PreserveStatus selects the resources whose status is also restored.
type PreserveStatus struct {
	// includedResources are the resources whose status is restored; "*" is all.
	IncludedResources []string

	// excludedResources are the resources whose status is not restored.
	ExcludedResources []string
}

// MigratePhase is the phase of a migration, or of one of its clusters.
type MigratePhase string

const (
	// MigratePhasePending means that nothing has started; the reason is what it waits
	// for.
	MigratePhasePending MigratePhase = "Pending"
	// MigratePhaseFailedValidation means that Velero rejected the Backup.
	MigratePhaseFailedValidation MigratePhase = "FailedValidation"
	// MigratePhaseBackupInProgress means that the Backup in the source is created and
	// not complete.
	MigratePhaseBackupInProgress MigratePhase = "BackupInProgress"
	// MigratePhaseRestoreInProgress means that the Backup is complete and at least one
	// target is not.
	MigratePhaseRestoreInProgress MigratePhase = "RestoreInProgress"
	// MigratePhaseCompleted means that all targets are Completed, or that there was
	// nothing to migrate; the condition ItemsFound is False then.
	MigratePhaseCompleted MigratePhase = "Completed"
	// MigratePhasePartiallyFailed means that the migration has ended, and not everything
	// was restored in all targets.
	MigratePhasePartiallyFailed MigratePhase = "PartiallyFailed"
	// MigratePhaseFailed means that the Backup, or the Restore in every target,
	// failed.
	MigratePhaseFailed MigratePhase = "Failed"
)

// Types of the conditions in a Migrate's status.
const (
	// ConditionSourceReady is True when the Backup in the source is Completed.
	ConditionSourceReady = "sourceReady"
	// ConditionReady is True when the migration is Completed.
	ConditionReady = "Ready"
	// ConditionFinished is True when the migration has ended, successfully or not; its
	// reason is the phase.
	ConditionFinished = "Finished"
	// ConditionReconciling is True while the migration is in progress and not stalled
	// (kstatus).
	ConditionReconciling = "Reconciling"
	// ConditionStalled is True when a cluster makes no progress, or the migration has
	// failed (kstatus).
	ConditionStalled = "Stalled"
	// ConditionItemsFound is False when the filter matched nothing in the source.
	ConditionItemsFound = "ItemsFound"
	// ConditionMembersReachable is False when a cluster of the migration is
	// unreachable.
	ConditionMembersReachable = "MembersReachable"
)

// MigrateStatus is the state of a migration.
type MigrateStatus struct {
	// observedGeneration is the generation of the spec that the status belongs to.
	ObservedGeneration int64

	// conditions are the latest observations of the migration's state: sourceReady,
	// Ready, Finished, Reconciling, Stalled, ItemsFound, MembersReachable.
	Conditions []metav1.Condition

	// phase is the phase of the migration: Pending, FailedValidation,
	// BackupInProgress, RestoreInProgress, Completed, PartiallyFailed or Failed.
	// Completed, PartiallyFailed, Failed and FailedValidation are terminal.
	Phase MigratePhase

	// sourceClusterStatus is the state of the Backup in the source cluster. It is set
	// when the migration starts and the source is resolved.
	SourceClusterStatus *BackupDetails

	// targetClusterStatus is the state of the Restore in each target cluster. The
	// targets are resolved once, when the migration starts.
	TargetClusterStatus []RestoreDetails
}

// ClusterStatus is the state of the migration in one cluster.
type ClusterStatus struct {
	// clusterName is the name of the cluster.
	ClusterName string

	// clusterKind is the kind of the cluster: AttachedCluster or Cluster.
	ClusterKind string

	// veleroNamespace is the namespace of the Velero that is used in the cluster, by
	// the cluster's annotation when the first object was created there. Absent until
	// then.
	VeleroNamespace string

	// phase is the phase of the migration in this cluster, with the same values as
	// status.phase.
	Phase MigratePhase

	// reason is why the cluster is in its phase, or what it waits for, as one word in
	// CamelCase.
	Reason string

	// message is a human-readable explanation of the reason.
	Message string

	// lastTransitionTime is when the phase or reason last changed.
	LastTransitionTime *metav1.Time

	// lastProgressTime is when progress in the cluster was last observed; nil while the
	// cluster waits for another one or in a queue.
	LastProgressTime *metav1.Time

	// VolumeProgress is the progress of moving volume data.
	VolumeProgress *VolumeProgress
}

// VolumeProgress is the progress of moving volume data.
type VolumeProgress struct {
	// BytesDone is the number of bytes that have been moved.
	BytesDone int64
	// TotalBytes is the number of bytes to move, as far as known.
	TotalBytes int64
}

// BackupDetails is the state of the Backup in the source cluster.
type BackupDetails struct {
	ClusterStatus

	// backupNameInCluster is the name of the Velero Backup.
	BackupNameInCluster string

	// backupStatusInCluster is the complete status of the Velero Backup.
	BackupStatusInCluster *velerov1.BackupStatus
}

// RestoreDetails is the state of the Restore in one target cluster.
type RestoreDetails struct {
	ClusterStatus

	// restoreNameInCluster is the name of the Velero Restore.
	RestoreNameInCluster string

	// restoreStatusInCluster is the complete status of the Velero Restore.
	RestoreStatusInCluster *velerov1.RestoreStatus
}
