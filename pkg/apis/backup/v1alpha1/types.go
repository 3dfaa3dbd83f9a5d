// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// VeleroNamespaceAnnotation on an AttachedCluster or Cluster names the namespace
// of that cluster's Velero. Absent: velero.
const VeleroNamespaceAnnotation = "backup.kurator.dev/velero-namespace"

// +genclient
// +genclient:onlyVerbs=create,update,delete,deleteCollection,get,list,watch,patch,apply
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// Migrate moves the resources of an application from one cluster to one or many
// others: it has Velero back them up in the source cluster and restore them in
// every target cluster, and tells how each part goes.
type Migrate struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object's metadata.
	// More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says what is migrated, from where, and to where. It can't be changed
	// after creation.
	Spec MigrateSpec `json:"spec"`

	// status tells how the migration goes. It is kept by the server; what a user
	// sends is dropped. GET of the object shows what was last recorded, GET of the
	// subresource status asks the member clusters.
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

// MigrateSpec says what is migrated, from where, and to where.
type MigrateSpec struct {
	// sourceCluster is where the resources are now. It must come to exactly one
	// cluster: name it, or leave clusters empty in a fleet of one.
	SourceCluster Destination `json:"sourceCluster"`

	// targetCluster is where the resources go: one or many clusters. With clusters
	// empty it is every cluster that is in the fleet when the migration starts,
	// except the source.
	TargetCluster Destination `json:"targetCluster"`

	// policy says which resources are migrated and how. Absent: everything that
	// Velero backs up by default.
	// +optional
	Policy *MigratePolicy `json:"policy,omitempty"`

	// progressDeadlineSeconds is how long a cluster's part may go without any
	// progress before the condition Stalled is True with reason
	// ProgressDeadlineExceeded. Nothing is given up then, and progress clears it.
	// Time in one of Velero's queues does not count. Defaults to 600.
	// +optional
	// +default=600
	ProgressDeadlineSeconds *int32 `json:"progressDeadlineSeconds,omitempty"`

	// requester is who created the Migrate, as the server knew them. The server sets
	// it, whatever is sent, and nobody can change it. The migration can do no more
	// than the requester may.
	// +optional
	Requester *Requester `json:"requester,omitempty"`
}

// Requester is a user, as authentication found them.
type Requester struct {
	// username is the name that is unique among all active users.
	// +optional
	Username string `json:"username,omitempty"`

	// uid tells users of the same name apart over time, where authentication knows
	// it.
	// +optional
	UID string `json:"uid,omitempty"`

	// groups are the groups that the user was in.
	// +optional
	// +listType=atomic
	Groups []string `json:"groups,omitempty"`

	// extra is what else authentication knew of the user.
	// +optional
	Extra map[string][]string `json:"extra,omitempty"`
}

// Destination names clusters of a fleet.
type Destination struct {
	// fleet is the name of a Fleet (fleet.kurator.dev) in the Migrate's namespace.
	Fleet string `json:"fleet"`

	// clusters are references to members of the fleet, by kind (AttachedCluster or
	// Cluster of cluster.kurator.dev; empty means Cluster) and name. A cluster whose
	// Velero is not in namespace velero has an annotation that says where it is:
	// backup.kurator.dev/velero-namespace.
	// +optional
	// +listType=atomic
	Clusters []corev1.ObjectReference `json:"clusters,omitempty"`
}

// MigratePolicy says which resources are migrated and how.
type MigratePolicy struct {
	// resourceFilter selects the resources that are migrated. Absent: everything.
	// +optional
	ResourceFilter *ResourceFilter `json:"resourceFilter,omitempty"`

	// orderedResources gives, by resource name, the order in which objects of that
	// resource are backed up: a comma-separated list of namespace/name, or of name
	// for a cluster-scoped resource.
	// +optional
	OrderedResources map[string]string `json:"orderedResources,omitempty"`

	// namespaceMapping maps a namespace of the source to the namespace it gets in
	// the targets. Namespaces that are not in it keep their name.
	// +optional
	NamespaceMapping map[string]string `json:"namespaceMapping,omitempty"`

	// migrateStatus selects the resources whose status is restored too. Absent: of
	// none.
	// +optional
	MigrateStatus *PreserveStatus `json:"migrateStatus,omitempty"`

	// preserveNodePorts keeps the node ports of Services. Absent: Velero's default,
	// which is to drop those that were assigned automatically.
	// +optional
	PreserveNodePorts *bool `json:"preserveNodePorts,omitempty"`
}

// ResourceFilter selects resources as a Velero Backup does. The old filters
// (includedResources, excludedResources, includeClusterResources) can't be mixed
// with those that are split by scope.
type ResourceFilter struct {
	// includedNamespaces are the namespaces to take objects from. Empty: all.
	// +optional
	// +listType=atomic
	IncludedNamespaces []string `json:"includedNamespaces,omitempty"`

	// excludedNamespaces are the namespaces to take no objects from.
	// +optional
	// +listType=atomic
	ExcludedNamespaces []string `json:"excludedNamespaces,omitempty"`

	// includedResources are the resources to take, as in kubectl ("deployments",
	// "deployments.apps"). Empty: all.
	// +optional
	// +listType=atomic
	IncludedResources []string `json:"includedResources,omitempty"`

	// excludedResources are the resources to leave out.
	// +optional
	// +listType=atomic
	ExcludedResources []string `json:"excludedResources,omitempty"`

	// includeClusterResources says whether cluster-scoped resources are taken:
	// true all, false none, absent those that the namespaced ones need.
	// +optional
	IncludeClusterResources *bool `json:"includeClusterResources,omitempty"`

	// includedClusterScopedResources are the cluster-scoped resources to take; "*"
	// is all of them. Empty: those that the namespaced ones need.
	// +optional
	// +listType=atomic
	IncludedClusterScopedResources []string `json:"includedClusterScopedResources,omitempty"`

	// excludedClusterScopedResources are the cluster-scoped resources to leave out;
	// "*" is all of them.
	// +optional
	// +listType=atomic
	ExcludedClusterScopedResources []string `json:"excludedClusterScopedResources,omitempty"`

	// includedNamespaceScopedResources are the namespaced resources to take. Empty:
	// all.
	// +optional
	// +listType=atomic
	IncludedNamespaceScopedResources []string `json:"includedNamespaceScopedResources,omitempty"`

	// excludedNamespaceScopedResources are the namespaced resources to leave out;
	// "*" is all of them.
	// +optional
	// +listType=atomic
	ExcludedNamespaceScopedResources []string `json:"excludedNamespaceScopedResources,omitempty"`

	// labelSelector selects objects by their labels. Absent: all. It can't be used
	// together with orLabelSelectors.
	// +optional
	LabelSelector *metav1.LabelSelector `json:"labelSelector,omitempty"`

	// orLabelSelectors select objects that match any one of them.
	// +optional
	// +listType=atomic
	OrLabelSelectors []*metav1.LabelSelector `json:"orLabelSelectors,omitempty"`
}

// PreserveStatus selects the resources whose status is restored too.
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
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions are the latest observations of the migration's state: sourceReady,
	// Ready, Finished, Reconciling, Stalled, ItemsFound, MembersReachable.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchMergeKey=type
	// +patchStrategy=merge
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type"`

	// phase is where the migration stands: Pending, FailedValidation,
	// BackupInProgress, RestoreInProgress, Completed, PartiallyFailed or Failed.
	// Completed, PartiallyFailed, Failed and FailedValidation are final.
	// +optional
	Phase MigratePhase `json:"phase,omitempty"`

	// sourceClusterStatus tells of the Backup in the source cluster. It is set when
	// the migration starts and the source is found.
	// +optional
	SourceClusterStatus *BackupDetails `json:"sourceClusterStatus,omitempty"`

	// targetClusterStatus tells of the Restore in every target cluster. The targets
	// are resolved once, when the migration starts.
	// +optional
	// +listType=atomic
	TargetClusterStatus []RestoreDetails `json:"targetClusterStatus,omitempty"`
}

// ClusterPart is how one cluster's part of the migration stands.
type ClusterPart struct {
	// clusterName is the name of the cluster.
	// +optional
	ClusterName string `json:"clusterName,omitempty"`

	// clusterKind is the kind of the cluster: AttachedCluster or Cluster.
	// +optional
	ClusterKind string `json:"clusterKind,omitempty"`

	// veleroNamespace is the namespace of the Velero that this part is moved by: that
	// which the cluster's annotation named when something was begun there. Absent until
	// then.
	// +optional
	VeleroNamespace string `json:"veleroNamespace,omitempty"`

	// phase is where this cluster's part stands, in the same words as the
	// migration's phase.
	// +optional
	Phase MigratePhase `json:"phase,omitempty"`

	// reason says in one CamelCase word why the part is in its phase, or what it
	// waits for.
	// +optional
	Reason string `json:"reason,omitempty"`

	// message says the same for a person.
	// +optional
	Message string `json:"message,omitempty"`

	// lastTransitionTime is when the part last got another phase or reason: since
	// when it is in the one, or waits for the other.
	// +optional
	LastTransitionTime *metav1.Time `json:"lastTransitionTime,omitempty"`

	// lastProgressTime is when the part was last seen to make progress. Absent
	// while it waits for others or in a queue, which is not lack of progress.
	// +optional
	LastProgressTime *metav1.Time `json:"lastProgressTime,omitempty"`

	// volumeProgress is how much of the data of volumes is moved. It is looked at
	// only while nothing else makes progress.
	// +optional
	VolumeProgress *VolumeProgress `json:"volumeProgress,omitempty"`
}

// VolumeProgress is how much of the data of volumes is moved, over all
// PodVolumeBackups or PodVolumeRestores and DataUploads or DataDownloads.
type VolumeProgress struct {
	// bytesDone is how many bytes are moved.
	BytesDone int64 `json:"bytesDone"`

	// totalBytes is how many there are, as far as is known.
	TotalBytes int64 `json:"totalBytes"`
}

// BackupDetails tells of the Backup in the source cluster.
type BackupDetails struct {
	ClusterPart `json:",inline"`

	// backupNameInCluster is the name of the Velero Backup.
	// +optional
	BackupNameInCluster string `json:"backupNameInCluster,omitempty"`

	// backupStatusInCluster is the status of the Velero Backup, whole.
	// +optional
	BackupStatusInCluster *velerov1.BackupStatus `json:"backupStatusInCluster,omitempty"`
}

// RestoreDetails tells of the Restore in one target cluster.
type RestoreDetails struct {
	ClusterPart `json:",inline"`

	// restoreNameInCluster is the name of the Velero Restore.
	// +optional
	RestoreNameInCluster string `json:"restoreNameInCluster,omitempty"`

	// restoreStatusInCluster is the status of the Velero Restore, whole.
	// +optional
	RestoreStatusInCluster *velerov1.RestoreStatus `json:"restoreStatusInCluster,omitempty"`
}
