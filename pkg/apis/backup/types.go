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

	// spec defines what is migrated, from where, and to where. It is immutable but for suspend.
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

	// waitForWorkloads waits until the restored workloads are ready. Absent: a target has
	// ended when its Restore has.
	WaitForWorkloads *WaitForWorkloads

	// suspend starts nothing new: no Backup, and no Restore. What Velero has begun goes on. A Migrate that is
	// created suspended is planned: status.preview has what it would move, and what would hinder it. It
	// is the only field of the spec that can be changed.
	Suspend *bool

	// requester is the authenticated user who created the Migrate. The server sets it,
	// and it is immutable.
	Requester *Requester
}

// WaitForWorkloads defines how long a migration waits for workloads.
type WaitForWorkloads struct {
	// timeoutSeconds is the time in seconds after the end of a Restore within which every
	// restored workload must be ready, as kstatus defines it, and every restored claim
	// bound. Otherwise the target ends PartiallyFailed.
	TimeoutSeconds int32
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
	// fleet is the name of a Fleet (fleet.kurator.dev) in the Migrate's namespace, or of a cluster
	// set: that of the ClusterProfiles with this name in label multicluster.x-k8s.io/clusterset.
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

	// StorageLocation is the name of the BackupStorageLocation in the source; empty means
	// its default one.
	StorageLocation string

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

// VolumePolicy defines how volumes are migrated.
type VolumePolicy struct {
	// data is how Velero moves the data: FileSystemBackup copies the files of all
	// volumes of running pods by Velero's node-agent, SnapshotDataMovement moves CSI
	// snapshots into the storage. Absent: as the annotations of the pods and Velero in
	// the source define it.
	Data VolumeDataPolicy

	// storageClassMapping maps a StorageClass of the source to the one that its claims
	// get in the targets. Other claims keep theirs.
	StorageClassMapping map[string]string
}

// VolumeDataPolicy is a way to move the data of volumes.
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
	ObservedGeneration int64

	// conditions are the latest observations of the migration's state: sourceReady,
	// Ready, Finished, Reconciling, Stalled, Suspended, ItemsFound, ItemsRestored,
	// VolumesMoved, WorkloadsReady, MembersReachable.
	Conditions []metav1.Condition

	// phase is the phase of the migration: Pending, FailedValidation,
	// BackupInProgress, RestoreInProgress, Completed, PartiallyFailed, Failed or Canceled.
	// Completed, PartiallyFailed, Failed, FailedValidation and Canceled are terminal.
	Phase MigratePhase

	// sourceClusterStatus is the state of the Backup in the source cluster. It is set
	// when the migration starts and the source is resolved.
	SourceClusterStatus *BackupDetails

	// targetClusterStatus is the state of the Restore in each target cluster. The
	// targets are resolved once, when the migration starts.
	TargetClusterStatus []RestoreDetails

	// cancellation is when and by whom the migration was canceled. Absent if it was not.
	Cancellation *Cancellation

	// preview is the plan that was made while the migration was suspended and had not started,
	// shortened. Absent if it was not.
	Preview *MigratePreviewStatus

	// progress is the progress of the migration: of the Backup until it has ended, then of
	// all Restores. Absent before the Backup has started.
	Progress *MigrateProgress

	// attempts are the attempts of a migration that was retried, the oldest first, at most 20. The
	// last one is the current one, whose state is the rest of the status.
	Attempts []MigrateAttempt
}

// Cancellation is a request to start nothing new for a migration. What Velero has begun goes on to its end.
type Cancellation struct {
	// time is when it was requested.
	Time metav1.Time

	// username is the user who requested it.
	Username string
}

// MigrateAttempt is an attempt of a migration.
type MigrateAttempt struct {
	// number is the number of the attempt, from 1. From the second one on, the names of the
	// Velero objects that it creates end with it.
	Number int32

	// startTime is when it was requested.
	StartTime metav1.Time

	// username is the user who requested it.
	Username string

	// completionTime is when it ended. Absent, as the fields below, in the current attempt.
	CompletionTime *metav1.Time

	// phase is the phase in which it ended.
	Phase MigratePhase

	// message is the summary of its end, shortened.
	Message string

	// backupName is the name of its Velero Backup. Absent if none was created.
	BackupName string

	// targets are the targets that it worked on, at most 10, the ones that did not complete
	// first.
	Targets []AttemptTarget

	// targetsOmitted is the number of further targets.
	TargetsOmitted int64
}

// AttemptTarget is a target cluster at the end of an attempt.
type AttemptTarget struct {
	// clusterName is the name of the cluster.
	ClusterName string

	// clusterKind is the kind of the cluster: AttachedCluster, Cluster or
	// ClusterProfile.
	ClusterKind string

	// phase is the phase in which it ended.
	Phase MigratePhase

	// reason is the reason of the phase.
	Reason string

	// restoreName is the name of its Velero Restore. Absent if none was created.
	RestoreName string
}

// MigrateProgress is how far a migration, or its part in a cluster, has come.
type MigrateProgress struct {
	// itemsDone is the number of items that Velero has processed, of itemsTotal.
	ItemsDone int64

	// itemsTotal is the number of items, as far as known.
	ItemsTotal int64

	// bytesDone is the number of bytes of volume data that have been moved, of bytesTotal.
	BytesDone int64

	// bytesTotal is the number of bytes to move, as far as known.
	BytesTotal int64

	// startTime is when Velero started.
	StartTime *metav1.Time

	// estimatedCompletionTime is when it would end if it went on as it did until its last
	// progress. Absent if that can't be known.
	EstimatedCompletionTime *metav1.Time
}

// ClusterStatus is the state of the migration in one cluster.
type ClusterStatus struct {
	// clusterName is the name of the cluster.
	ClusterName string

	// clusterKind is the kind of the cluster: AttachedCluster, Cluster or
	// ClusterProfile.
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

	// progress is the progress of the Backup or Restore. Absent before it has started.
	Progress *MigrateProgress

	// items counts the items of the Backup, in a target by what became of them. It is
	// read from Velero's lists in the storage when the Backup or Restore has ended.
	// Absent until then, and if the lists can't be read.
	Items *ItemCounts

	// volumes counts the volumes of the Backup whose data was moved: in the source into
	// the storage, in a target into its volumes. It is set together with items.
	Volumes *VolumeCounts

	// exceptions are the items that were not migrated as they are in the source, at most
	// 20 of them, the most severe ones first.
	Exceptions []ItemResult

	// exceptionsOmitted is the number of further exceptions.
	ExceptionsOmitted int64

	// workloads counts the restored workloads that are ready, if the migration waits for
	// them.
	Workloads *WorkloadCounts
}

// ItemCounts counts the items of a Backup and, in a target, those with each outcome.
// Namespaces and what every cluster has of its own, such as the ServiceAccount default
// of a namespace, don't count.
type ItemCounts struct {
	// total is the number of items in the Backup.
	Total int64

	// created is the number of items that were created.
	Created int64

	// updated is the number of items that existed and were changed to those of the source.
	Updated int64

	// unchanged is the number of items that existed and are those of the source, or were restored
	// by an earlier attempt.
	Unchanged int64

	// kept is the number of items that existed, differ from those of the source, and were
	// left as they were.
	Kept int64

	// failed is the number of items that could not be restored.
	Failed int64

	// leftOut is the number of items that Velero does not restore by a rule of its own.
	LeftOut int64
}

// VolumeCounts counts the volumes of a Backup.
type VolumeCounts struct {
	// total is the number of volumes: bound claims, and other volumes of pods that are
	// backed up.
	Total int64

	// moved is the number of volumes whose data was moved.
	Moved int64

	// bytes is the size of the moved data, as far as Velero reports it.
	Bytes int64
}

// WorkloadCounts counts the restored workloads and claims of a target.
type WorkloadCounts struct {
	// total is the number of Deployments, StatefulSets, DaemonSets, Jobs, Pods without a
	// controller and PersistentVolumeClaims that were restored.
	Total int64

	// ready is the number of those that are ready or bound.
	Ready int64
}

// ItemOutcome is what became of an item.
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
	Resource string

	// namespace is the namespace of the item in this cluster.
	Namespace string

	// name is the name of the item. Empty if the exception is about all objects of the
	// resource.
	Name string

	// outcome is what became of it: in exceptions Failed, WithoutData, Kept or LeftOut, in results
	// also BackedUp, Created, Updated or Unchanged.
	Outcome ItemOutcome

	// message is a human-readable explanation of the outcome.
	Message string
}

// VolumeProgress is the progress of moving volume data.
type VolumeProgress struct {
	// BytesDone is the number of bytes that have been moved.
	BytesDone int64
	// TotalBytes is the number of bytes to move, as far as known.
	TotalBytes int64
}

// MigrateLogOptions are the parameters of migrates/log.
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
type MigrateLogOptions struct {
	metav1.TypeMeta
	// Cluster is the name of the cluster whose Velero wrote the log.
	Cluster string
	// Stage is whether it is the log of the Backup or of the Restore.
	Stage string
	// Follow waits for the log.
	Follow bool
}

// MigrateCancelOptions is the body of a create of migrates/cancel.
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
type MigrateCancelOptions struct {
	metav1.TypeMeta

	// preconditions must hold for the Migrate, otherwise it is not canceled. Absent: none.
	Preconditions *metav1.Preconditions
}

// MigrateRetryOptions is the body of a create of migrates/retry.
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
type MigrateRetryOptions struct {
	metav1.TypeMeta

	// preconditions must hold for the Migrate, otherwise it is not retried. Absent: none.
	Preconditions *metav1.Preconditions

	// backup is the Backup to restore from: Existing is that of the last attempt, which must be
	// Completed, New is one that is created now. Absent: Existing.
	Backup RetryBackup
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
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
type MigrateResultsOptions struct {
	metav1.TypeMeta
	// Cluster is the name of the only cluster whose results are returned.
	Cluster string
	// Outcome is the only outcome that items and volumes are returned of.
	Outcome string
	// Limit is the largest number of items and volumes.
	Limit int64
	// Continue is where to continue.
	Continue string
}

// BackupDetails is the state of the Backup in the source cluster.
type BackupDetails struct {
	ClusterStatus

	// backupNameInCluster is the name of the Velero Backup.
	BackupNameInCluster string

	// backupStatusInCluster is the complete status of the Velero Backup.
	BackupStatusInCluster *velerov1.BackupStatus
	// contents are the namespaces and kinds of the items of the completed Backup.
	Contents *BackupContents
}

// BackupContents are the namespaces and kinds of the items of a Backup.
type BackupContents struct {
	// namespaces are the namespaces that have items, sorted.
	Namespaces []string
	// kinds are the kinds of the items, each with its group, sorted.
	Kinds []string
}

// RestoreDetails is the state of the Restore in one target cluster.
type RestoreDetails struct {
	ClusterStatus

	// restoreNameInCluster is the name of the Velero Restore.
	RestoreNameInCluster string

	// restoreStatusInCluster is the complete status of the Velero Restore.
	RestoreStatusInCluster *velerov1.RestoreStatus

	// backupNameInCluster is the name of the Velero Backup that was restored, if it is not that
	// of the source: the target completed in an earlier attempt.
	BackupNameInCluster string

	// backupReason is the reason of that Backup, such as BackupCompleted or ItemsLeftOut.
	BackupReason string

	// withoutPods is true if an earlier attempt has moved the data of all volumes: the Restore leaves
	// the pods out, with which Velero would write the data again.
	WithoutPods bool

	// storageProof is how it is known that the target finds in its storage what the source
	// stores. Absent before that is known, and if it is not.
	StorageProof *StorageProof
}

// StorageProofType is how it is proven that two clusters share a storage.
type StorageProofType string

// StorageProof is how it was proven that a target and the source share a storage.
type StorageProof struct {
	// type is Locations, SyncedBackup or OwnBackup. With the first two the Backup is handed over
	// to the target; with the last one the migration waited until Velero there had found it in
	// the storage, which it does once a minute.
	Type StorageProofType

	// backupName is the name of the Backup that proves it. Absent with Locations.
	BackupName string
}
