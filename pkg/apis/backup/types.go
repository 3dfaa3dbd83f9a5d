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
// others: it has Velero back them up in the source cluster and restore them in
// every target cluster, and tells how each part goes.
type Migrate struct {
	metav1.TypeMeta
	// Standard object's metadata.
	// More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata
	metav1.ObjectMeta

	// spec says what is migrated, from where, and to where. It can't be changed
	// after creation.
	Spec MigrateSpec

	// status tells how the migration goes. It is kept by the server; what a user
	// sends is dropped. GET of the object shows what was last recorded, GET of the
	// subresource status asks the member clusters.
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

// MigrateSpec says what is migrated, from where, and to where.
type MigrateSpec struct {
	// sourceCluster is where the resources are now. It must come to exactly one
	// cluster: name it, or leave clusters empty in a fleet of one.
	SourceCluster Destination

	// targetCluster is where the resources go: one or many clusters. With clusters
	// empty it is every cluster that is in the fleet when the migration starts,
	// except the source.
	TargetCluster Destination

	// policy says which resources are migrated and how. Absent: everything that
	// Velero backs up by default.
	Policy *MigratePolicy

	// progressDeadlineSeconds is how long a cluster's part may go without any
	// progress before the condition Stalled is True with reason
	// ProgressDeadlineExceeded. Nothing is given up then, and progress clears it.
	// Time in one of Velero's queues does not count. Defaults to 600.
	ProgressDeadlineSeconds *int32

	// requester is who created the Migrate, as the server knew them. The server sets
	// it, and nobody can change it.
	Requester *Requester
}

// Requester is a user, as authentication found them.
type Requester struct {
	// username is the name that is unique among all active users.
	Username string
	// uid tells users of the same name apart over time.
	UID string
	// groups are the groups that the user was in.
	Groups []string
	// extra is what else authentication knew of the user.
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

// MigratePolicy says which resources are migrated and how.
type MigratePolicy struct {
	// resourceFilter selects the resources that are migrated. Absent: everything.
	ResourceFilter *ResourceFilter

	// orderedResources gives, by resource name, the order in which objects of that
	// resource are backed up: a comma-separated list of namespace/name, or of name
	// for a cluster-scoped resource.
	OrderedResources map[string]string

	// namespaceMapping maps a namespace of the source to the namespace it gets in
	// the targets. Namespaces that are not in it keep their name.
	NamespaceMapping map[string]string

	// migrateStatus selects the resources whose status is restored too. Absent: of
	// none.
	MigrateStatus *PreserveStatus

	// preserveNodePorts keeps the node ports of Services. Absent: Velero's default,
	// which is to drop those that were assigned automatically.
	PreserveNodePorts *bool
}

// ResourceFilter selects resources as a Velero Backup does. The old filters
// (includedResources, excludedResources, includeClusterResources) can't be mixed
// with those that are split by scope.
type ResourceFilter struct {
	// includedNamespaces are the namespaces to take objects from. Empty: all.
	IncludedNamespaces []string

	// excludedNamespaces are the namespaces to take no objects from.
	ExcludedNamespaces []string

	// includedResources are the resources to take, as in kubectl ("deployments",
	// "deployments.apps"). Empty: all.
	IncludedResources []string

	// excludedResources are the resources to leave out.
	ExcludedResources []string

	// includeClusterResources says whether cluster-scoped resources are taken:
	// true all, false none, absent those that the namespaced ones need.
	IncludeClusterResources *bool

	// includedClusterScopedResources are the cluster-scoped resources to take; "*"
	// is all of them. Empty: those that the namespaced ones need.
	IncludedClusterScopedResources []string

	// excludedClusterScopedResources are the cluster-scoped resources to leave out;
	// "*" is all of them.
	ExcludedClusterScopedResources []string

	// includedNamespaceScopedResources are the namespaced resources to take. Empty:
	// all.
	IncludedNamespaceScopedResources []string

	// excludedNamespaceScopedResources are the namespaced resources to leave out;
	// "*" is all of them.
	ExcludedNamespaceScopedResources []string

	// labelSelector selects objects by their labels. Absent: all. It can't be used
	// together with orLabelSelectors.
	LabelSelector *metav1.LabelSelector

	// orLabelSelectors select objects that match any one of them.
	OrLabelSelectors []*metav1.LabelSelector
}

// PreserveStatus selects the resources whose status is restored too.
type PreserveStatus struct {
	// includedResources are the resources whose status is restored; "*" is all.
	IncludedResources []string

	// excludedResources are the resources whose status is not restored.
	ExcludedResources []string
}

// MigratePhase is where a migration, or one cluster's part of it, stands.
type MigratePhase string

const (
	// MigratePhasePending means that nothing has begun; the reason says what is
	// waited for.
	MigratePhasePending MigratePhase = "Pending"
	// MigratePhaseFailedValidation means that Velero refused the Backup.
	MigratePhaseFailedValidation MigratePhase = "FailedValidation"
	// MigratePhaseBackupInProgress means that the Backup in the source is made and
	// not finished.
	MigratePhaseBackupInProgress MigratePhase = "BackupInProgress"
	// MigratePhaseRestoreInProgress means that the Backup is finished and some
	// target is not.
	MigratePhaseRestoreInProgress MigratePhase = "RestoreInProgress"
	// MigratePhaseCompleted means that every target has everything, or that there
	// was nothing to migrate (condition ItemsFound is False then).
	MigratePhaseCompleted MigratePhase = "Completed"
	// MigratePhasePartiallyFailed means that all has ended, and in some targets
	// not everything arrived.
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
	// ConditionFinished is True when the migration has ended, well or not; its reason
	// is the phase that it ended in.
	ConditionFinished = "Finished"
	// ConditionReconciling is True while the migration is under way and not stalled
	// (kstatus).
	ConditionReconciling = "Reconciling"
	// ConditionStalled is True when a cluster's part makes no progress, or the
	// migration has failed (kstatus).
	ConditionStalled = "Stalled"
	// ConditionItemsFound is False when the filter matched nothing in the source.
	ConditionItemsFound = "ItemsFound"
	// ConditionMembersReachable is False when a cluster of the migration can't be
	// asked.
	ConditionMembersReachable = "MembersReachable"
)

// MigrateStatus tells how the migration goes.
type MigrateStatus struct {
	// observedGeneration is the generation of the spec that this status is of.
	ObservedGeneration int64

	// conditions are the latest observations of the migration's state: sourceReady,
	// Ready, Finished, Reconciling, Stalled, ItemsFound, MembersReachable.
	Conditions []metav1.Condition

	// phase is where the migration stands: Pending, FailedValidation,
	// BackupInProgress, RestoreInProgress, Completed, PartiallyFailed or Failed.
	// Completed, PartiallyFailed, Failed and FailedValidation are final.
	Phase MigratePhase

	// sourceClusterStatus tells of the Backup in the source cluster. It is set when
	// the migration starts and the source is found.
	SourceClusterStatus *BackupDetails

	// targetClusterStatus tells of the Restore in every target cluster. The targets
	// are resolved once, when the migration starts.
	TargetClusterStatus []RestoreDetails
}

// ClusterPart is how one cluster's part of the migration stands.
type ClusterPart struct {
	// clusterName is the name of the cluster.
	ClusterName string

	// clusterKind is the kind of the cluster: AttachedCluster or Cluster.
	ClusterKind string

	// veleroNamespace is the namespace of the Velero that this part is moved by: that
	// which the cluster's annotation named when something was begun there. Absent until
	// then.
	VeleroNamespace string

	// phase is where this cluster's part stands, in the same words as the
	// migration's phase.
	Phase MigratePhase

	// reason says in one CamelCase word why the part is in its phase, or what it
	// waits for.
	Reason string

	// message says the same for a person.
	Message string

	// lastTransitionTime is when the part last got another phase or reason.
	LastTransitionTime *metav1.Time

	// lastProgressTime is when the part was last seen to make progress; nil while it
	// waits for others or in a queue.
	LastProgressTime *metav1.Time

	// VolumeProgress is how much of the data of volumes is moved.
	VolumeProgress *VolumeProgress
}

// VolumeProgress is how much of the data of volumes is moved.
type VolumeProgress struct {
	// BytesDone is how many bytes are moved.
	BytesDone int64
	// TotalBytes is how many there are, as far as is known.
	TotalBytes int64
}

// BackupDetails tells of the Backup in the source cluster.
type BackupDetails struct {
	ClusterPart

	// backupNameInCluster is the name of the Velero Backup.
	BackupNameInCluster string

	// backupStatusInCluster is the status of the Velero Backup, whole.
	BackupStatusInCluster *velerov1.BackupStatus
}

// RestoreDetails tells of the Restore in one target cluster.
type RestoreDetails struct {
	ClusterPart

	// restoreNameInCluster is the name of the Velero Restore.
	RestoreNameInCluster string

	// restoreStatusInCluster is the status of the Velero Restore, whole.
	RestoreStatusInCluster *velerov1.RestoreStatus
}
