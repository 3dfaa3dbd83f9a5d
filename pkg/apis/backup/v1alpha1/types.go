// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
)

// VeleroNamespaceAnnotation on a cluster object names the namespace
// of that cluster's Velero. Absent: velero.
const VeleroNamespaceAnnotation = "backup.kurator.dev/velero-namespace"

// ConcurrentBackupsAnnotation on a cluster object is the number of
// Backups that its Velero runs at the same time, as set by --concurrent-backups of
// its server. While there are as many, no other one is created. From 1 to 100. Absent: 1.
const ConcurrentBackupsAnnotation = "backup.kurator.dev/concurrent-backups"

// ImportedAnnotation on an object that was imported from Kurator, or exported to it, is where that is, its resourceVersion
// there and a hash of what it was here then. Only the server sets it.
const ImportedAnnotation = backup.ImportedAnnotation

// +genclient
// +genclient:onlyVerbs=create,update,delete,deleteCollection,get,list,watch,patch,apply
// +kubebuilder:object:root=true
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// Migrate moves the resources of an application from one cluster to one or many
// others: Velero backs them up in the source cluster and restores them in each
// target cluster, and the status reports the progress in each cluster.
type Migrate struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object's metadata.
	// More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec defines what is migrated, from where, and to where. It is immutable but for suspend.
	Spec MigrateSpec `json:"spec"`

	// status is the state of the migration. Only the server writes it. A GET of the
	// object returns the last recorded status, a GET of the subresource status
	// reads the member clusters.
	// +optional
	Status MigrateStatus `json:"status,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// MigrateList is a list of Migrates.
type MigrateList struct {
	metav1.TypeMeta `json:",inline"`
	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items is the list of Migrates.
	Items []Migrate `json:"items"`
}

// MigrateSpec defines what is migrated, from where, and to where.
type MigrateSpec struct {
	// sourceCluster is the cluster that has the resources. It must resolve to exactly
	// one cluster: name it, or leave clusters empty if the fleet has only one.
	SourceCluster Destination `json:"sourceCluster"`

	// targetCluster has the clusters that the resources are migrated to. If clusters
	// is empty, these are all members of the fleet when the migration starts, except
	// the source.
	TargetCluster Destination `json:"targetCluster"`

	// policy defines which resources are migrated and how. If it is absent,
	// everything that Velero backs up by default is migrated.
	// +optional
	Policy *MigratePolicy `json:"policy,omitempty"`

	// progressDeadlineSeconds is the time in seconds without progress in a cluster
	// after which the condition Stalled is True with reason
	// ProgressDeadlineExceeded. The migration is not aborted, and progress clears
	// the condition. Time in Velero's queues does not count. Defaults to 600.
	// +optional
	// +default=600
	ProgressDeadlineSeconds *int32 `json:"progressDeadlineSeconds,omitempty"`

	// waitForWorkloads waits until the restored workloads are ready. Absent: a target has
	// ended when its Restore has.
	// +optional
	WaitForWorkloads *WaitForWorkloads `json:"waitForWorkloads,omitempty"`

	// suspend starts nothing new: no Backup, and no Restore. What Velero has begun goes on. A Migrate that is
	// created suspended is planned: status.preview has what it would move, and what would hinder it. It
	// is the only field of the spec that can be changed.
	// +optional
	Suspend *bool `json:"suspend,omitempty"`

	// requester is the authenticated user who created the Migrate. The server sets it,
	// and it is immutable. The migration is limited to the requester's permissions.
	// +optional
	Requester *Requester `json:"requester,omitempty"`
}

// WaitForWorkloads defines how long a migration waits for workloads.
type WaitForWorkloads struct {
	// timeoutSeconds is the time in seconds after the end of a Restore within which every
	// restored workload must be ready, as kstatus defines it, and every restored claim
	// bound. Otherwise the target ends PartiallyFailed.
	TimeoutSeconds int32 `json:"timeoutSeconds"`
}

// Requester is an authenticated user.
type Requester struct {
	// username is the name that is unique among all active users.
	// +optional
	Username string `json:"username,omitempty"`

	// uid distinguishes users that have the same name at different times, if the
	// authenticator provides it.
	// +optional
	UID string `json:"uid,omitempty"`

	// groups are the groups of the user.
	// +optional
	// +listType=atomic
	Groups []string `json:"groups,omitempty"`

	// extra has the additional attributes of the user, without credentials.
	// +optional
	Extra map[string][]string `json:"extra,omitempty"`
}

// Destination names clusters of a fleet.
type Destination struct {
	// fleet is the name of a Fleet (fleet.kurator.dev) in the Migrate's namespace, or of a cluster
	// set: that of the ClusterProfiles with this name in label multicluster.x-k8s.io/clusterset.
	Fleet string `json:"fleet"`

	// clusters are references to members of the fleet, by kind (AttachedCluster or
	// Cluster of cluster.kurator.dev, or ClusterProfile of multicluster.x-k8s.io; empty
	// means Cluster) and name. A cluster whose Velero is not in namespace velero needs the annotation
	// backup.kurator.dev/velero-namespace.
	// +optional
	// +listType=atomic
	Clusters []corev1.ObjectReference `json:"clusters,omitempty"`
}

// MigratePolicy defines which resources are migrated and how.
type MigratePolicy struct {
	// resourceFilter selects the resources that are migrated. Absent: everything.
	// +optional
	ResourceFilter *ResourceFilter `json:"resourceFilter,omitempty"`

	// orderedResources maps the name of a resource to the order in which its objects
	// are backed up: a comma-separated list of namespace/name, or of name for a
	// cluster-scoped resource.
	// +optional
	OrderedResources map[string]string `json:"orderedResources,omitempty"`

	// namespaceMapping maps a namespace of the source to its name in the targets.
	// Other namespaces keep their name.
	// +optional
	NamespaceMapping map[string]string `json:"namespaceMapping,omitempty"`

	// migrateStatus selects the resources whose status is also restored. Absent:
	// none.
	// +optional
	MigrateStatus *PreserveStatus `json:"migrateStatus,omitempty"`

	// preserveNodePorts keeps the node ports of Services. Absent: Velero's default,
	// which drops the ones that were assigned automatically.
	// +optional
	PreserveNodePorts *bool `json:"preserveNodePorts,omitempty"`

	// existingResourcePolicy is what happens to an object of a target that exists and
	// differs: none leaves it as it is, update changes it to the source's. Absent:
	// none.
	// +optional
	ExistingResourcePolicy ExistingResourcePolicy `json:"existingResourcePolicy,omitempty"`

	// storageLocation is the name of the BackupStorageLocation in the source that the
	// Backup is stored in. Absent: its default one. A target reads the Backup by its own
	// BackupStorageLocation of the same storage, whatever its name.
	// +optional
	StorageLocation string `json:"storageLocation,omitempty"`

	// volumes defines how the data of volumes is migrated. Absent: as the annotations
	// of the pods and Velero in the source define it.
	// +optional
	Volumes *VolumePolicy `json:"volumes,omitempty"`
}

// ExistingResourcePolicy is what a Restore does with an object that exists.
// +enum
type ExistingResourcePolicy string

const (
	// ExistingResourceNone leaves an existing object as it is.
	ExistingResourceNone ExistingResourcePolicy = "none"
	// ExistingResourceUpdate changes an existing object to that of the source.
	ExistingResourceUpdate ExistingResourcePolicy = "update"
)

// VolumePolicy defines how volumes are migrated.
type VolumePolicy struct {
	// data is how Velero moves the data: FileSystemBackup copies the files of all
	// volumes of running pods by Velero's node-agent, SnapshotDataMovement moves CSI
	// snapshots into the storage, None moves no data, and the claims get new, empty
	// volumes. Absent: as the annotations of the pods and Velero in the source define it.
	// +optional
	Data VolumeDataPolicy `json:"data,omitempty"`

	// storageClassMapping maps a StorageClass of the source to the one that its claims
	// get in the targets. Other claims keep theirs.
	// +optional
	StorageClassMapping map[string]string `json:"storageClassMapping,omitempty"`
}

// VolumeDataPolicy is a way to move the data of volumes.
// +enum
type VolumeDataPolicy string

const (
	// VolumeDataFileSystemBackup copies the files of the volumes of running pods.
	VolumeDataFileSystemBackup VolumeDataPolicy = "FileSystemBackup"
	// VolumeDataSnapshotDataMovement moves CSI snapshots of the volumes.
	VolumeDataSnapshotDataMovement VolumeDataPolicy = "SnapshotDataMovement"
	// VolumeDataNone moves no data: the claims arrive empty.
	VolumeDataNone VolumeDataPolicy = "None"
)

// ResourceFilter selects resources as a Velero Backup does. The old filters
// (includedResources, excludedResources, includeClusterResources) can't be combined
// with those for one scope.
type ResourceFilter struct {
	// includedNamespaces are the namespaces whose objects are selected. Empty: all.
	// +optional
	// +listType=atomic
	IncludedNamespaces []string `json:"includedNamespaces,omitempty"`

	// excludedNamespaces are the namespaces whose objects are not selected.
	// +optional
	// +listType=atomic
	ExcludedNamespaces []string `json:"excludedNamespaces,omitempty"`

	// includedResources are the selected resources, as in kubectl ("deployments",
	// "deployments.apps"). Empty: all.
	// +optional
	// +listType=atomic
	IncludedResources []string `json:"includedResources,omitempty"`

	// excludedResources are the resources that are not selected.
	// +optional
	// +listType=atomic
	ExcludedResources []string `json:"excludedResources,omitempty"`

	// includeClusterResources selects cluster-scoped resources: true all, false
	// none, absent those that the selected namespaced ones need.
	// +optional
	IncludeClusterResources *bool `json:"includeClusterResources,omitempty"`

	// includedClusterScopedResources are the selected cluster-scoped resources; "*"
	// is all of them. Empty: those that the selected namespaced ones need.
	// +optional
	// +listType=atomic
	IncludedClusterScopedResources []string `json:"includedClusterScopedResources,omitempty"`

	// excludedClusterScopedResources are the cluster-scoped resources that are not
	// selected; "*" is all of them.
	// +optional
	// +listType=atomic
	ExcludedClusterScopedResources []string `json:"excludedClusterScopedResources,omitempty"`

	// includedNamespaceScopedResources are the selected namespaced resources. Empty:
	// all.
	// +optional
	// +listType=atomic
	IncludedNamespaceScopedResources []string `json:"includedNamespaceScopedResources,omitempty"`

	// excludedNamespaceScopedResources are the namespaced resources that are not
	// selected; "*" is all of them.
	// +optional
	// +listType=atomic
	ExcludedNamespaceScopedResources []string `json:"excludedNamespaceScopedResources,omitempty"`

	// labelSelector selects objects by their labels. Absent: all. It can't be combined
	// with orLabelSelectors.
	// +optional
	LabelSelector *metav1.LabelSelector `json:"labelSelector,omitempty"`

	// orLabelSelectors selects objects that match at least one of them.
	// +optional
	// +listType=atomic
	OrLabelSelectors []*metav1.LabelSelector `json:"orLabelSelectors,omitempty"`
}

// PreserveStatus selects the resources whose status is also restored.
type PreserveStatus struct {
	// includedResources are the resources whose status is restored; "*" is all.
	// +optional
	// +listType=atomic
	IncludedResources []string `json:"includedResources,omitempty"`

	// excludedResources are the resources whose status is not restored.
	// +optional
	// +listType=atomic
	ExcludedResources []string `json:"excludedResources,omitempty"`
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
	// MigratePhaseCompleted means that all targets are Completed: every item of the
	// Backup is there as in the source, with the data of its volumes. Or there was nothing
	// to migrate; the condition ItemsFound is False then.
	MigratePhaseCompleted MigratePhase = "Completed"
	// MigratePhasePartiallyFailed means that the migration has ended, and not everything
	// arrived in all targets, or it is unknown whether it did.
	MigratePhasePartiallyFailed MigratePhase = "PartiallyFailed"
	// MigratePhaseFailed means that the Backup, or the Restore in every target,
	// failed.
	MigratePhaseFailed MigratePhase = "Failed"
	// MigratePhaseCanceled means that the migration was canceled before it had ended in all
	// targets, or in one of them. The other targets have what was restored there.
	MigratePhaseCanceled MigratePhase = "Canceled"
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
	// ConditionSuspended is True while spec.suspend is true, and False afterwards. It is absent
	// if it never was.
	ConditionSuspended = "Suspended"
	// ConditionStalled is True when a cluster makes no progress, or the migration has
	// failed (kstatus).
	ConditionStalled = "Stalled"
	// ConditionItemsFound is False when the filter matched nothing in the source.
	ConditionItemsFound = "ItemsFound"
	// ConditionItemsRestored is True when every item of the Backup is in every target as
	// it is in the source, and False when an item of an ended target is not. It is absent
	// before.
	ConditionItemsRestored = "ItemsRestored"
	// ConditionVolumesMoved is True when the data of every volume of the Backup is in
	// every target, and False when the data of one is missing in an ended target. It is
	// absent before.
	ConditionVolumesMoved = "VolumesMoved"
	// ConditionWorkloadsReady is True when every restored workload of every target is ready.
	// It is set if spec.waitForWorkloads is, once it is known.
	ConditionWorkloadsReady = "WorkloadsReady"
	// ConditionMembersReachable is False when a cluster of the migration is
	// unreachable.
	ConditionMembersReachable = "MembersReachable"
)

// MigrateStatus is the state of a migration.
type MigrateStatus struct {
	// observedGeneration is the generation of the spec that the status belongs to.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions are the latest observations of the migration's state: sourceReady,
	// Ready, Finished, Reconciling, Stalled, Suspended, ItemsFound, ItemsRestored,
	// VolumesMoved, WorkloadsReady, MembersReachable.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchMergeKey=type
	// +patchStrategy=merge
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type"`

	// phase is the phase of the migration: Pending, FailedValidation,
	// BackupInProgress, RestoreInProgress, Completed, PartiallyFailed, Failed or Canceled.
	// Completed, PartiallyFailed, Failed, FailedValidation and Canceled are terminal.
	// +optional
	Phase MigratePhase `json:"phase,omitempty"`

	// sourceClusterStatus is the state of the Backup in the source cluster. It is set
	// when the migration starts and the source is resolved.
	// +optional
	SourceClusterStatus *BackupDetails `json:"sourceClusterStatus,omitempty"`

	// targetClusterStatus is the state of the Restore in each target cluster. The
	// targets are resolved once, when the migration starts.
	// +optional
	// +listType=atomic
	TargetClusterStatus []RestoreDetails `json:"targetClusterStatus,omitempty"`

	// cancellation is when and by whom the migration was canceled. Absent if it was not.
	// +optional
	Cancellation *Cancellation `json:"cancellation,omitempty"`

	// preview is the plan that was made while the migration was suspended and had not started,
	// shortened. Absent if it was not.
	// +optional
	Preview *MigratePreviewStatus `json:"preview,omitempty"`

	// progress is the progress of the migration: of the Backup until it has ended, then of
	// all Restores. Absent before the Backup has started.
	// +optional
	Progress *MigrateProgress `json:"progress,omitempty"`

	// attempts are the attempts of a migration that was retried, the oldest first, at most 20. The
	// last one is the current one, whose state is the rest of the status.
	// +optional
	// +listType=atomic
	Attempts []MigrateAttempt `json:"attempts,omitempty"`
}

// Cancellation is a request to start nothing new for a migration. What Velero has begun goes on to its end.
type Cancellation struct {
	// time is when it was requested.
	Time metav1.Time `json:"time"`

	// username is the user who requested it.
	Username string `json:"username"`
}

// MigrateAttempt is an attempt of a migration.
type MigrateAttempt struct {
	// number is the number of the attempt, from 1. From the second one on, the names of the
	// Velero objects that it creates end with it.
	Number int32 `json:"number"`

	// startTime is when it was requested.
	StartTime metav1.Time `json:"startTime"`

	// username is the user who requested it.
	// +optional
	Username string `json:"username,omitempty"`

	// completionTime is when it ended. Absent, as the fields below, in the current attempt.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`

	// phase is the phase in which it ended.
	// +optional
	Phase MigratePhase `json:"phase,omitempty"`

	// message is the summary of its end, shortened.
	// +optional
	Message string `json:"message,omitempty"`

	// backupName is the name of its Velero Backup. Absent if none was created.
	// +optional
	BackupName string `json:"backupName,omitempty"`

	// targets are the targets that it worked on, at most 10, the ones that did not complete
	// first.
	// +optional
	// +listType=atomic
	Targets []AttemptTarget `json:"targets,omitempty"`

	// targetsOmitted is the number of further targets.
	// +optional
	TargetsOmitted int64 `json:"targetsOmitted,omitempty"`
}

// AttemptTarget is a target cluster at the end of an attempt.
type AttemptTarget struct {
	// clusterName is the name of the cluster.
	ClusterName string `json:"clusterName"`

	// clusterKind is the kind of the cluster: AttachedCluster, Cluster or
	// ClusterProfile.
	ClusterKind string `json:"clusterKind"`

	// phase is the phase in which it ended.
	Phase MigratePhase `json:"phase"`

	// reason is the reason of the phase.
	// +optional
	Reason string `json:"reason,omitempty"`

	// restoreName is the name of its Velero Restore. Absent if none was created.
	// +optional
	RestoreName string `json:"restoreName,omitempty"`
}

// MigrateProgress is how far a migration, or its part in a cluster, has come.
type MigrateProgress struct {
	// itemsDone is the number of items that Velero has processed, of itemsTotal.
	ItemsDone int64 `json:"itemsDone"`

	// itemsTotal is the number of items, as far as known.
	ItemsTotal int64 `json:"itemsTotal"`

	// bytesDone is the number of bytes of volume data that have been moved, of bytesTotal.
	BytesDone int64 `json:"bytesDone"`

	// bytesTotal is the number of bytes to move, as far as known.
	BytesTotal int64 `json:"bytesTotal"`

	// startTime is when Velero started.
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`

	// estimatedCompletionTime is when it would end if it went on as it did until its last
	// progress. Absent if that can't be known.
	// +optional
	EstimatedCompletionTime *metav1.Time `json:"estimatedCompletionTime,omitempty"`
}

// ClusterStatus is the state of the migration in one cluster.
type ClusterStatus struct {
	// clusterName is the name of the cluster.
	// +optional
	ClusterName string `json:"clusterName,omitempty"`

	// clusterKind is the kind of the cluster: AttachedCluster, Cluster or
	// ClusterProfile.
	// +optional
	ClusterKind string `json:"clusterKind,omitempty"`

	// veleroNamespace is the namespace of the Velero that is used in the cluster, by
	// the cluster's annotation when the first object was created there. Absent until
	// then.
	// +optional
	VeleroNamespace string `json:"veleroNamespace,omitempty"`

	// phase is the phase of the migration in this cluster, with the same values as
	// status.phase.
	// +optional
	Phase MigratePhase `json:"phase,omitempty"`

	// reason is why the cluster is in its phase, or what it waits for, as one word in
	// CamelCase.
	// +optional
	Reason string `json:"reason,omitempty"`

	// message is a human-readable explanation of the reason.
	// +optional
	Message string `json:"message,omitempty"`

	// lastTransitionTime is when the phase or reason last changed.
	// +optional
	LastTransitionTime *metav1.Time `json:"lastTransitionTime,omitempty"`

	// lastProgressTime is when progress in the cluster was last observed. Absent while
	// the cluster waits for another one, in a queue or for workloads, which is not lack of
	// progress.
	// +optional
	LastProgressTime *metav1.Time `json:"lastProgressTime,omitempty"`

	// volumeProgress is the progress of moving volume data. It is read only while
	// nothing else makes progress, and at the end.
	// +optional
	VolumeProgress *VolumeProgress `json:"volumeProgress,omitempty"`

	// progress is the progress of the Backup or Restore. Absent before it has started.
	// +optional
	Progress *MigrateProgress `json:"progress,omitempty"`

	// items counts the items of the Backup, in a target by what became of them. It is
	// read from Velero's lists in the storage when the Backup or Restore has ended.
	// Absent until then, and if the lists can't be read.
	// +optional
	Items *ItemCounts `json:"items,omitempty"`

	// volumes counts the volumes of the Backup whose data was moved: in the source into
	// the storage, in a target into its volumes. It is set together with items.
	// +optional
	Volumes *VolumeCounts `json:"volumes,omitempty"`

	// exceptions are the items that were not migrated as they are in the source, at most
	// 20 of them, the most severe ones first.
	// +optional
	// +listType=atomic
	Exceptions []ItemResult `json:"exceptions,omitempty"`

	// exceptionsOmitted is the number of further exceptions.
	// +optional
	ExceptionsOmitted int64 `json:"exceptionsOmitted,omitempty"`

	// workloads counts the restored workloads that are ready, if the migration waits for
	// them.
	// +optional
	Workloads *WorkloadCounts `json:"workloads,omitempty"`
}

// ItemCounts counts the items of a Backup and, in a target, those with each outcome.
// Namespaces and what every cluster has of its own, such as the ServiceAccount default
// of a namespace, don't count.
type ItemCounts struct {
	// total is the number of items in the Backup.
	Total int64 `json:"total"`

	// created is the number of items that were created.
	// +optional
	Created int64 `json:"created,omitempty"`

	// updated is the number of items that existed and were changed to those of the source.
	// +optional
	Updated int64 `json:"updated,omitempty"`

	// unchanged is the number of items that existed and are those of the source, or were restored
	// by an earlier attempt.
	// +optional
	Unchanged int64 `json:"unchanged,omitempty"`

	// kept is the number of items that existed, differ from those of the source, and were
	// left as they were.
	// +optional
	Kept int64 `json:"kept,omitempty"`

	// failed is the number of items that could not be restored.
	// +optional
	Failed int64 `json:"failed,omitempty"`

	// leftOut is the number of items that Velero does not restore by a rule of its own.
	// +optional
	LeftOut int64 `json:"leftOut,omitempty"`
}

// VolumeCounts counts the volumes of a Backup.
type VolumeCounts struct {
	// total is the number of volumes: bound claims, and other volumes of pods that are
	// backed up.
	Total int64 `json:"total"`

	// moved is the number of volumes whose data was moved.
	Moved int64 `json:"moved"`

	// bytes is the size of the moved data, as far as Velero reports it.
	Bytes int64 `json:"bytes"`
}

// WorkloadCounts counts the restored workloads and claims of a target.
type WorkloadCounts struct {
	// total is the number of Deployments, StatefulSets, DaemonSets, Jobs, Pods without a
	// controller and PersistentVolumeClaims that were restored.
	Total int64 `json:"total"`

	// ready is the number of those that are ready or bound.
	Ready int64 `json:"ready"`
}

// ItemOutcome is what became of an item.
// +enum
type ItemOutcome string

const (
	// ItemBackedUp means that the item is in the Backup.
	ItemBackedUp ItemOutcome = "BackedUp"
	// ItemCreated means that the item was created.
	ItemCreated ItemOutcome = "Created"
	// ItemUpdated means that the item existed and was changed to that of the source.
	ItemUpdated ItemOutcome = "Updated"
	// ItemUnchanged means that the item existed and is that of the source, or that an earlier
	// attempt restored it.
	ItemUnchanged ItemOutcome = "Unchanged"
	// VolumeMoved means that the data of a volume was moved.
	VolumeMoved ItemOutcome = "Moved"
	// ItemKept means that the item existed, differs from that of the source, and was left
	// as it was.
	ItemKept ItemOutcome = "Kept"
	// ItemFailed means that the item could not be restored.
	ItemFailed ItemOutcome = "Failed"
	// ItemLeftOut means that Velero did not back up or restore the item by a rule of its
	// own.
	ItemLeftOut ItemOutcome = "LeftOut"
	// ItemWithoutData means that the data of a volume was not moved.
	ItemWithoutData ItemOutcome = "WithoutData"
)

// ItemResult is what became of an item in a cluster.
type ItemResult struct {
	// resource is the kind of the item with its group, such as ConfigMap or
	// Deployment.apps, or a resource as the filter names it.
	Resource string `json:"resource"`

	// namespace is the namespace of the item in this cluster.
	// +optional
	Namespace string `json:"namespace,omitempty"`

	// name is the name of the item. Empty if the exception is about all objects of the
	// resource.
	// +optional
	Name string `json:"name,omitempty"`

	// outcome is what became of it: in exceptions Failed, WithoutData, Kept or LeftOut, in results
	// also BackedUp, Created, Updated or Unchanged.
	Outcome ItemOutcome `json:"outcome"`

	// message is a human-readable explanation of the outcome.
	// +optional
	Message string `json:"message,omitempty"`
}

// VolumeProgress is the progress of moving volume data, as the sum over all
// PodVolumeBackups or PodVolumeRestores and DataUploads or DataDownloads.
type VolumeProgress struct {
	// bytesDone is the number of bytes that have been moved.
	BytesDone int64 `json:"bytesDone"`

	// totalBytes is the number of bytes to move, as far as known.
	TotalBytes int64 `json:"totalBytes"`
}

// MigrateLogOptions are the parameters of migrates/log, which returns the log that Velero wrote of the
// Backup or a Restore. Without cluster and stage it is that of the Backup.
// +k8s:conversion-gen:explicit-from=net/url.Values
// +kubebuilder:object:root=true
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
type MigrateLogOptions struct {
	metav1.TypeMeta `json:",inline"`

	// cluster is the name of the cluster whose Velero wrote the log. Absent: the source,
	// or with stage restore the only target.
	// +optional
	Cluster string `json:"cluster,omitempty"`

	// stage is backup or restore. Absent: the one that the cluster is part of.
	// +optional
	Stage string `json:"stage,omitempty"`

	// follow waits for a log that Velero has not uploaded yet: it does so when the Backup
	// or Restore has ended.
	// +optional
	Follow bool `json:"follow,omitempty"`
}

// Stages of a migration.
const (
	// MigrateStageBackup is that of the Backup in the source.
	MigrateStageBackup = "backup"
	// MigrateStageRestore is that of the Restore in a target.
	MigrateStageRestore = "restore"
)

// MigrateCancelOptions is the body of a create of migrates/cancel.
// +kubebuilder:object:root=true
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
type MigrateCancelOptions struct {
	metav1.TypeMeta `json:",inline"`

	// preconditions must hold for the Migrate, otherwise it is not canceled. Absent: none.
	// +optional
	Preconditions *metav1.Preconditions `json:"preconditions,omitempty"`
}

// MigrateRetryOptions is the body of a create of migrates/retry.
// +kubebuilder:object:root=true
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
type MigrateRetryOptions struct {
	metav1.TypeMeta `json:",inline"`

	// preconditions must hold for the Migrate, otherwise it is not retried. Absent: none.
	// +optional
	Preconditions *metav1.Preconditions `json:"preconditions,omitempty"`

	// backup is the Backup to restore from: Existing is that of the last attempt, which must be
	// Completed, New is one that is created now. Absent: Existing.
	// +optional
	Backup RetryBackup `json:"backup,omitempty"`
}

// RetryBackup is the Backup that a new attempt restores from.
// +enum
type RetryBackup string

const (
	// RetryBackupExisting is that of the last attempt.
	RetryBackupExisting RetryBackup = "Existing"
	// RetryBackupNew is one that is created for the new attempt.
	RetryBackupNew RetryBackup = "New"
)

// MigrateResultsOptions are the parameters of migrates/results.
// +k8s:conversion-gen:explicit-from=net/url.Values
// +kubebuilder:object:root=true
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
type MigrateResultsOptions struct {
	metav1.TypeMeta `json:",inline"`

	// cluster is the name of the only cluster whose results are returned. Absent: all.
	// +optional
	Cluster string `json:"cluster,omitempty"`

	// outcome is the only outcome of which items and volumes are returned, such as Failed.
	// Absent: all.
	// +optional
	Outcome string `json:"outcome,omitempty"`

	// limit is the largest number of items and volumes that are returned. If there are more,
	// metadata.continue is set. Absent or 0: all.
	// +optional
	Limit int64 `json:"limit,omitempty"`

	// continue is the metadata.continue of the response after which to continue.
	// +optional
	Continue string `json:"continue,omitempty"`
}

// +kubebuilder:object:root=true
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// MigrateResults are what became of every item and volume of a Migrate in each of its clusters.
// GET of migrates/results reads it from the storage of the Backup, as Velero left it there.
type MigrateResults struct {
	metav1.TypeMeta `json:",inline"`
	// metadata has continue if there are more items or volumes.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// clusters has the source and then the targets, in the order of the status of the Migrate.
	Clusters []ClusterResults `json:"clusters"`
}

// ClusterResults are the results of the Backup in the source or of the Restore in a target.
type ClusterResults struct {
	// clusterName is the name of the cluster.
	ClusterName string `json:"clusterName"`

	// clusterKind is the kind of the cluster: AttachedCluster, Cluster or
	// ClusterProfile.
	ClusterKind string `json:"clusterKind"`

	// stage is backup or restore.
	Stage string `json:"stage"`

	// objectName is the name of the Velero Backup or Restore. Absent before there is one.
	// +optional
	ObjectName string `json:"objectName,omitempty"`

	// items are the items that count in the status of the cluster.
	// +optional
	Items []ItemResult `json:"items,omitempty"`

	// volumes are the volumes of the Backup.
	// +optional
	Volumes []VolumeResult `json:"volumes,omitempty"`

	// leftOut are, in the source, what the filter selects and the Backup does not have.
	// +optional
	LeftOut []ItemResult `json:"leftOut,omitempty"`

	// errors are the errors of Velero: its own, then those of cluster-scoped resources, then those of
	// each namespace; at most 1,000.
	// +optional
	Errors []string `json:"errors,omitempty"`

	// warnings are the warnings of Velero, as errors. Those about items that exist and differ
	// are left out: they are items with the outcome Kept.
	// +optional
	Warnings []string `json:"warnings,omitempty"`

	// unavailable is why results can't be read, or why they are incomplete. Absent if
	// they are complete.
	// +optional
	Unavailable string `json:"unavailable,omitempty"`
}

// VolumeResult is what became of a volume in a cluster.
type VolumeResult struct {
	// namespace is the namespace of the claim, or of the pod if there is no claim.
	// +optional
	Namespace string `json:"namespace,omitempty"`

	// claim is the name of the PersistentVolumeClaim. Absent if the volume has none.
	// +optional
	Claim string `json:"claim,omitempty"`

	// persistentVolume is the name of the PersistentVolume in the source, if Velero reports it.
	// +optional
	PersistentVolume string `json:"persistentVolume,omitempty"`

	// pod is the pod whose files were backed up. Absent if the data is moved in another way.
	// +optional
	Pod string `json:"pod,omitempty"`

	// volume is the name of the volume of the pod.
	// +optional
	Volume string `json:"volume,omitempty"`

	// method is how the data is moved: FileSystemBackup, SnapshotDataMovement or Snapshot.
	// Absent if it is not.
	// +optional
	Method string `json:"method,omitempty"`

	// bytes is the size of the moved data, as far as Velero reports it.
	Bytes int64 `json:"bytes"`

	// outcome is Moved or WithoutData.
	Outcome ItemOutcome `json:"outcome"`

	// message is why the data was not moved.
	// +optional
	Message string `json:"message,omitempty"`
}

// BackupDetails is the state of the Backup in the source cluster.
type BackupDetails struct {
	ClusterStatus `json:",inline"`

	// backupNameInCluster is the name of the Velero Backup.
	// +optional
	BackupNameInCluster string `json:"backupNameInCluster,omitempty"`

	// backupStatusInCluster is the complete status of the Velero Backup.
	// +optional
	BackupStatusInCluster *velerov1.BackupStatus `json:"backupStatusInCluster,omitempty"`

	// contents are the namespaces and kinds of the items of the completed Backup. The
	// Restores are limited to them, whatever is added to the Backup in the storage later.
	// Absent if they could not be read, or are more than 500 of either.
	// +optional
	Contents *BackupContents `json:"contents,omitempty"`
}

// BackupContents are the namespaces and kinds of the items of a Backup.
type BackupContents struct {
	// namespaces are the namespaces that have items, sorted.
	// +optional
	// +listType=atomic
	Namespaces []string `json:"namespaces,omitempty"`

	// kinds are the kinds of the items, each with its group, such as ConfigMap or
	// Deployment.apps, sorted.
	// +optional
	// +listType=atomic
	Kinds []string `json:"kinds,omitempty"`
}

// RestoreDetails is the state of the Restore in one target cluster.
type RestoreDetails struct {
	ClusterStatus `json:",inline"`

	// restoreNameInCluster is the name of the Velero Restore.
	// +optional
	RestoreNameInCluster string `json:"restoreNameInCluster,omitempty"`

	// restoreStatusInCluster is the complete status of the Velero Restore.
	// +optional
	RestoreStatusInCluster *velerov1.RestoreStatus `json:"restoreStatusInCluster,omitempty"`

	// backupNameInCluster is the name of the Velero Backup that was restored, if it is not that
	// of the source: the target completed in an earlier attempt.
	// +optional
	BackupNameInCluster string `json:"backupNameInCluster,omitempty"`

	// backupReason is the reason of that Backup, such as BackupCompleted or ItemsLeftOut.
	// +optional
	BackupReason string `json:"backupReason,omitempty"`

	// withoutPods is true if an earlier attempt has moved the data of all volumes: the Restore leaves
	// the pods out, with which Velero would write the data again.
	// +optional
	WithoutPods bool `json:"withoutPods,omitempty"`

	// storageProof is how it is known that the target finds in its storage what the source
	// stores. Absent before that is known, and if it is not.
	// +optional
	StorageProof *StorageProof `json:"storageProof,omitempty"`
}

// StorageProofType is how it is proven that two clusters share a storage.
type StorageProofType string

const (
	// StorageProofLocations means that the two BackupStorageLocations name the same storage.
	StorageProofLocations StorageProofType = "Locations"
	// StorageProofSyncedBackup means that the target's Velero has synced an earlier Backup of
	// the source from its storage, with the same times.
	StorageProofSyncedBackup StorageProofType = "SyncedBackup"
	// StorageProofOwnBackup means that there was no proof, so that the migration waited until the
	// target's Velero had synced its Backup.
	StorageProofOwnBackup StorageProofType = "OwnBackup"
)

// StorageProof is how it was proven that a target and the source share a storage.
type StorageProof struct {
	// type is Locations, SyncedBackup or OwnBackup. With the first two the Backup is handed over
	// to the target; with the last one the migration waited until Velero there had found it in
	// the storage, which it does once a minute.
	Type StorageProofType `json:"type"`

	// backupName is the name of the Backup that proves it. Absent with Locations.
	// +optional
	BackupName string `json:"backupName,omitempty"`
}
