// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// This file lists the reasons of a Migrate: of its conditions, of the status of each of its
// clusters, and of its Events. A reason is part of the API: its value never changes.
//
// The conditions Finished, Reconciling and Stalled may have the phase of the Migrate as
// their reason, such as Pending or Failed. A cluster whose Velero object exists has a reason
// composed of the object's kind and of Velero's phase, such as BackupInProgress; those of
// Velero 1.18 are listed below.

// Reasons of a Migrate's conditions.
const (
	// ReasonAccepted means that the Migrate was created and no cluster was checked yet.
	ReasonAccepted = "Accepted"
	// ReasonProgressing means that no cluster is past its progress deadline.
	ReasonProgressing = "Progressing"
	// ReasonProgressDeadlineExceeded means that a cluster made no progress for longer than
	// spec.progressDeadlineSeconds; the migration goes on when it does.
	ReasonProgressDeadlineExceeded = "ProgressDeadlineExceeded"
	// ReasonAllReachable means that every cluster that is still needed answers.
	ReasonAllReachable = "AllReachable"
	// ReasonItemsFound means that the Backup holds items.
	ReasonItemsFound = "ItemsFound"
	// ReasonNothingMatched means that the filter matched nothing in the source, so nothing
	// was migrated.
	ReasonNothingMatched = "NothingMatched"
	// ReasonAllItemsRestored means that every item of the Backup is in every target as it is
	// in the source, apart from what the policy allows.
	ReasonAllItemsRestored = "AllItemsRestored"
	// ReasonAllVolumesMoved means that the data of every volume of the Backup is in every
	// target.
	ReasonAllVolumesMoved = "AllVolumesMoved"
	// ReasonAllWorkloadsReady means that every restored workload of every target is ready.
	ReasonAllWorkloadsReady = "AllWorkloadsReady"
	// ReasonImported means that Kurator ran the migration, and that its outcome was imported.
	ReasonImported = "ImportedFromKurator"
	// ReasonNoVolumes means that the Backup has no volumes.
	ReasonNoVolumes = "NoVolumes"
)

// Reasons for which the clusters of a Migrate aren't resolved.
const (
	// ReasonHostUnreachable means that reading the fleets and clusters of the host failed;
	// it is retried.
	ReasonHostUnreachable = "HostUnreachable"
	// ReasonFleetNotFound means that a Fleet in the spec does not exist.
	ReasonFleetNotFound = "FleetNotFound"
	// ReasonSourceAmbiguous means that the spec names no source cluster and its fleet does
	// not have exactly one member.
	ReasonSourceAmbiguous = "SourceAmbiguous"
	// ReasonSourceIsTarget means that the source is also named as a target.
	ReasonSourceIsTarget = "SourceIsTarget"
	// ReasonNoTargets means that the target fleet has no member besides the source.
	ReasonNoTargets = "NoTargets"
	// ReasonTooManyTargets means that the target fleet has more members than a Migrate may
	// have targets.
	ReasonTooManyTargets = "TooManyTargets"
)

// Reasons for which a cluster can't be used.
const (
	// ReasonBeingDeleted means that the Migrate is being deleted, so nothing more is started.
	ReasonBeingDeleted = "BeingDeleted"
	// ReasonClusterNotInFleet means that the cluster is not a member of the fleet.
	ReasonClusterNotInFleet = "ClusterNotInFleet"
	// ReasonClusterNotFound means that the cluster does not exist on the host.
	ReasonClusterNotFound = "ClusterNotFound"
	// ReasonClusterNotReady means that the cluster's own status says that it is not ready.
	ReasonClusterNotReady = "ClusterNotReady"
	// ReasonClusterNotAuthorized means that the requester may not use the cluster.
	ReasonClusterNotAuthorized = "ClusterNotAuthorized"
	// ReasonAccessReviewFailed means that checking the requester's access failed; it is
	// retried.
	ReasonAccessReviewFailed = "AccessReviewFailed"
	// ReasonSuspended means that spec.suspend is true, so that nothing new is started.
	ReasonSuspended = "Suspended"
	// ReasonCanceling means that the migration is canceled, and it is not certain yet that nothing
	// was created in the cluster just before.
	ReasonCanceling = "Canceling"
	// ReasonCanceled means that the migration was canceled before it had begun in the cluster.
	ReasonCanceled = "Canceled"
	// ReasonResumed means that spec.suspend is no longer true.
	ReasonResumed = "Resumed"
	// ReasonConnecting means that the cluster was not read yet.
	ReasonConnecting = "Connecting"
	// ReasonMemberUnreachable means that the cluster does not answer; it is retried.
	ReasonMemberUnreachable = "MemberUnreachable"
	// ReasonKubeconfigNotAccepted means that the cluster's kubeconfig is invalid or has
	// something that is not allowed, such as a command to execute.
	ReasonKubeconfigNotAccepted = "KubeconfigNotAccepted"
	// ReasonMemberAddressNotAllowed means that the cluster's API server has an address that
	// the administrator of the host does not allow.
	ReasonMemberAddressNotAllowed = "MemberAddressNotAllowed"
	// ReasonMemberLimitExceeded means that the cluster sent more than is accepted from one.
	ReasonMemberLimitExceeded = "MemberLimitExceeded"
	// ReasonUnexpectedObject means that an object in the cluster has this Migrate's label
	// but was not created by it: remove the label or the object.
	ReasonUnexpectedObject = "UnexpectedObject"
)

// Reasons for which the storage of a cluster's Velero can't be used.
const (
	// ReasonStorageNotConfigured means that Velero has no default BackupStorageLocation.
	ReasonStorageNotConfigured = "StorageNotConfigured"
	// ReasonStorageUnavailable means that the BackupStorageLocation is not Available.
	ReasonStorageUnavailable = "StorageUnavailable"
	// ReasonStorageReadOnly means that the BackupStorageLocation of the source is read-only.
	ReasonStorageReadOnly = "StorageReadOnly"
	// ReasonStorageNotShared means that the target has no BackupStorageLocation for the
	// storage of the source.
	ReasonStorageNotShared = "StorageNotShared"
)

// Reasons of the source cluster.
const (
	// ReasonNoTargetReady means that no target can take the Backup yet, so it is not created.
	ReasonNoTargetReady = "NoTargetReady"
	// ReasonWaitingInQueue means that Velero in the source runs other Backups, so the Backup
	// is not created yet. This time does not count against the progress deadline.
	ReasonWaitingInQueue = "WaitingInQueue"
	// ReasonQueueBlocked means that the Backup is not created yet, and nothing that Velero in the
	// source runs has made progress for as long as the progress deadline.
	ReasonQueueBlocked = "QueueBlocked"
	// ReasonInvalidAnnotation means that an annotation of the cluster is not valid.
	ReasonInvalidAnnotation = "InvalidAnnotation"
	// ReasonBackupStarting means that the Backup is being created.
	ReasonBackupStarting = "BackupStarting"
	// ReasonBackupCreateFailed means that creating the Backup failed; it is retried.
	ReasonBackupCreateFailed = "BackupCreateFailed"
	// ReasonBackupNew means that Velero has not started to process the Backup.
	ReasonBackupNew = "BackupNew"
	// ReasonBackupQueued means that the Backup is in Velero's queue.
	ReasonBackupQueued = "BackupQueued"
	// ReasonBackupReadyToStart means that the Backup has left Velero's queue.
	ReasonBackupReadyToStart = "BackupReadyToStart"
	// ReasonBackupInProgress means that Velero is processing the Backup.
	ReasonBackupInProgress = "BackupInProgress"
	// ReasonBackupWaitingForPluginOperations means that the Backup waits for data operations,
	// such as the upload of a volume.
	ReasonBackupWaitingForPluginOperations = "BackupWaitingForPluginOperations"
	// ReasonBackupWaitingForPluginOperationsPartiallyFailed means the same of a Backup that
	// already has errors.
	ReasonBackupWaitingForPluginOperationsPartiallyFailed = "BackupWaitingForPluginOperationsPartiallyFailed"
	// ReasonBackupFinalizing means that Velero is finalizing the Backup.
	ReasonBackupFinalizing = "BackupFinalizing"
	// ReasonBackupFinalizingPartiallyFailed means the same of a Backup that has errors.
	ReasonBackupFinalizingPartiallyFailed = "BackupFinalizingPartiallyFailed"
	// ReasonBackupCompleted means that the Backup is complete.
	ReasonBackupCompleted = "BackupCompleted"
	// ReasonBackupPartiallyFailed means that the Backup has errors, so nothing is restored.
	ReasonBackupPartiallyFailed = "BackupPartiallyFailed"
	// ReasonBackupFailed means that the Backup failed; in a target, that nothing was restored
	// because the Backup did not complete.
	ReasonBackupFailed = "BackupFailed"
	// ReasonBackupFailedValidation means that Velero rejected the Backup as invalid.
	ReasonBackupFailedValidation = "BackupFailedValidation"
	// ReasonUnknownResources means that the Backup is complete, and the filter names resources that
	// the source does not serve.
	ReasonUnknownResources = "UnknownResources"
	// ReasonBackupUnknownPhase means that the Backup is in a phase that this version does not
	// know; it counts as unfinished.
	ReasonBackupUnknownPhase = "BackupUnknownPhase"
	// ReasonBackupDeleted means that the Backup is being or was deleted before it completed.
	ReasonBackupDeleted = "BackupDeleted"
)

// Reasons of a target cluster.
const (
	// ReasonWaitingForBackup means that the Backup in the source is not complete.
	ReasonWaitingForBackup = "WaitingForBackup"
	// ReasonWaitingForBackupSync means that Velero in the target, or again in the source, has
	// yet to find the Backup in the storage.
	ReasonWaitingForBackupSync = "WaitingForBackupSync"
	// ReasonSourceUnreachable means that the completed Backup can't be copied to the target
	// because the source does not answer.
	ReasonSourceUnreachable = "SourceUnreachable"
	// ReasonBackupExpired means that the Backup expired before it was restored.
	ReasonBackupExpired = "BackupExpired"
	// ReasonNothingToRestore means that the Backup holds no items, so there is no Restore.
	ReasonNothingToRestore = "NothingToRestore"
	// ReasonRestoreStarting means that the Restore is being created.
	ReasonRestoreStarting = "RestoreStarting"
	// ReasonRestoreCreateFailed means that creating the Restore failed; it is retried.
	ReasonRestoreCreateFailed = "RestoreCreateFailed"
	// ReasonRestoreRefusedEarly means that Velero rejected the Restore before it had the
	// Backup in its cache; the Restore is created again.
	ReasonRestoreRefusedEarly = "RestoreRefusedEarly"
	// ReasonRestoreNew means that Velero has not started to process the Restore.
	ReasonRestoreNew = "RestoreNew"
	// ReasonRestoreQueued means that Velero is processing another Restore first.
	ReasonRestoreQueued = "RestoreQueued"
	// ReasonRestoreInProgress means that Velero is processing the Restore.
	ReasonRestoreInProgress = "RestoreInProgress"
	// ReasonNamespaceTerminating means that the Restore waits for a namespace that is being
	// deleted.
	ReasonNamespaceTerminating = "NamespaceTerminating"
	// ReasonRestoreWaitingForPluginOperations means that the Restore waits for data
	// operations, such as the download of a volume.
	ReasonRestoreWaitingForPluginOperations = "RestoreWaitingForPluginOperations"
	// ReasonRestoreWaitingForPluginOperationsPartiallyFailed means the same of a Restore that
	// already has errors.
	ReasonRestoreWaitingForPluginOperationsPartiallyFailed = "RestoreWaitingForPluginOperationsPartiallyFailed"
	// ReasonRestoreFinalizing means that Velero is finalizing the Restore.
	ReasonRestoreFinalizing = "RestoreFinalizing"
	// ReasonRestoreFinalizingPartiallyFailed means the same of a Restore that has errors.
	ReasonRestoreFinalizingPartiallyFailed = "RestoreFinalizingPartiallyFailed"
	// ReasonRestoreCompleted means that the Restore is complete.
	ReasonRestoreCompleted = "RestoreCompleted"
	// ReasonRestorePartiallyFailed means that not everything was restored.
	ReasonRestorePartiallyFailed = "RestorePartiallyFailed"
	// ReasonItemsFailed means that the Restore is complete, but not all items were restored.
	ReasonItemsFailed = "ItemsFailed"
	// ReasonVolumesWithoutData means that the data of volumes did not arrive.
	ReasonVolumesWithoutData = "VolumesWithoutData"
	// ReasonDataNotRequested means that the data of volumes did not arrive, as the policy says.
	ReasonDataNotRequested = "DataNotRequested"
	// ReasonExistingItemsKept means that items existed, differ from those of the source, and
	// were left as they were, without a policy that says so.
	ReasonExistingItemsKept = "ExistingItemsKept"
	// ReasonItemsLeftOut means that Velero did not back up, or did not restore, items by a rule of
	// its own.
	ReasonItemsLeftOut = "ItemsLeftOut"
	// ReasonWaitingForWorkloads means that the Restore is complete, and the restored workloads
	// are not ready yet.
	ReasonWaitingForWorkloads = "WaitingForWorkloads"
	// ReasonWorkloadsNotReady means that restored workloads were not ready in time.
	ReasonWorkloadsNotReady = "WorkloadsNotReady"
	// ReasonResultsUnavailable means that Velero's lists in the storage could not be read, so
	// it is unknown what became of the items and volumes.
	ReasonResultsUnavailable = "ResultsUnavailable"
	// ReasonRestoreFailed means that the Restore failed.
	ReasonRestoreFailed = "RestoreFailed"
	// ReasonRestoreFailedValidation means that Velero rejected the Restore as invalid.
	ReasonRestoreFailedValidation = "RestoreFailedValidation"
	// ReasonRestoreLogNotUploaded means that everything was restored and only the log of the
	// Restore was not uploaded to the storage.
	ReasonRestoreLogNotUploaded = "RestoreLogNotUploaded"
	// ReasonRestoreUnknownPhase means that the Restore is in a phase that this version does
	// not know; it counts as unfinished.
	ReasonRestoreUnknownPhase = "RestoreUnknownPhase"
	// ReasonRestoreDeleted means that the Restore was deleted before its end was observed.
	ReasonRestoreDeleted = "RestoreDeleted"
)

// Reasons of the source or of a target.
const (
	// ReasonReadingResults means that the Backup or Restore has ended, and what became of its
	// items is being read from the storage.
	ReasonReadingResults = "ReadingResults"
	// ReasonNodeAgentNotReady means that the policy needs Velero's node-agent, and it does not
	// run in the cluster.
	ReasonNodeAgentNotReady = "NodeAgentNotReady"
	// ReasonSnapshotClassNotFound means that the policy needs CSI snapshots, and the cluster has
	// no VolumeSnapshotClass.
	ReasonSnapshotClassNotFound = "SnapshotClassNotFound"
	// ReasonStorageClassNotFound means that a StorageClass that claims need, as mapped, does not
	// exist in the target.
	ReasonStorageClassNotFound = "StorageClassNotFound"
	// ReasonVolumeDataNotMoving means that Velero waits for a pod or a node that moves the data of
	// volumes.
	ReasonVolumeDataNotMoving = "VolumeDataNotMoving"
	// ReasonVeleroTooOld means that the Backup or Restore needs fields that the definitions of
	// Velero in the cluster don't have.
	ReasonVeleroTooOld = "VeleroTooOld"
	// ReasonVeleroNotAnswering means that Velero does not answer a request for its status:
	// check whether its server runs.
	ReasonVeleroNotAnswering = "VeleroNotAnswering"

	// ReasonRetried means that a new attempt was requested.
	ReasonRetried = "Retried"
	// ReasonEarlierAttemptFailed means that what an earlier attempt restored is there, but it had
	// errors that a later one does not mend, such as of a hook.
	ReasonEarlierAttemptFailed = "EarlierAttemptFailed"
	// ReasonEarlierAttemptRunning means that a Backup or Restore of an earlier attempt has not
	// ended in the cluster.
	ReasonEarlierAttemptRunning = "EarlierAttemptRunning"

	// The reasons of findings of a preview that a Migrate does not wait for.

	// ReasonClockSkew means that the clock of a cluster is far from the server's.
	ReasonClockSkew = "ClockSkew"
	// ReasonNotChecked means that something could not be read.
	ReasonNotChecked = "NotChecked"
	// ReasonKubernetesVersionSkew means that the target has an older Kubernetes than the source.
	ReasonKubernetesVersionSkew = "KubernetesVersionSkew"
	// ReasonKindNotServed means that the target does not serve a selected kind in the version of the source.
	ReasonKindNotServed = "KindNotServed"
	// ReasonReferenceLeftBehind means that a selected object refers to one that the filter does not select and
	// the target does not have.
	ReasonReferenceLeftBehind = "ReferenceLeftBehind"
	// ReasonExistingItems means that the target has selected objects already.
	ReasonExistingItems = "ExistingItems"
	// ReasonAddressTaken means that a node port or load balancer address is used in the target.
	ReasonAddressTaken = "AddressTaken"
	// ReasonQuotaExceeded means that a ResourceQuota or a LimitRange of the target does not allow the objects.
	ReasonQuotaExceeded = "QuotaExceeded"
	// ReasonAdmissionDenied means that the target refuses a selected object.
	ReasonAdmissionDenied = "AdmissionDenied"
	// ReasonVolumeMethodUnknown means that the policy does not say how the data of volumes moves.
	ReasonVolumeMethodUnknown = "VolumeMethodUnknown"
	// ReasonStorageShared means that a Backup of the source that Velero in the target has synced proves that
	// both use one storage.
	ReasonStorageShared = "StorageShared"
	// ReasonVolumesToMove means that there are volumes, of which some move at the same time.
	ReasonVolumesToMove = "VolumesToMove"
)
