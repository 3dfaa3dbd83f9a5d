// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"errors"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// Errors that are wrapped by Member.Err; they select the reason of the cluster.
var (
	// ErrKubeconfigNotAccepted means that a kubeconfig is invalid or has fields that are not
	// accepted.
	ErrKubeconfigNotAccepted = errors.New("kubeconfig not accepted")
	// ErrAddressNotAllowed means that a member has an address to which this server does not
	// connect.
	ErrAddressNotAllowed = errors.New("address not allowed")
	// ErrLimitExceeded means that a member sent more than this server accepts from one.
	ErrLimitExceeded = errors.New("limit exceeded")
)

// Cluster identifies a member cluster in a Migrate's namespace.
type Cluster struct {
	// Kind is AttachedCluster, Cluster or ClusterProfile; never empty.
	Kind string
	// Name is the name of the object of that kind.
	Name string
}

// Velero identifies a Velero installation in a member cluster.
type Velero struct {
	Cluster Cluster
	// Namespace is the namespace of its server and its objects.
	Namespace string
}

// Observation holds everything that was read from the host and the members for one Migrate.
type Observation struct {
	// Plan has the clusters as they were resolved for this sync or live read.
	Plan Plan
	// Members holds what was read from each member cluster. A cluster that is not in it was
	// not read yet.
	Members map[Cluster]Member
	// Preview is the plan of a suspended Migrate; nil if none was made.
	Preview *v1alpha1.MigratePreviewStatus
}

// Inventory holds the fleets and clusters of a Migrate as read from the host.
type Inventory struct {
	// Err is why reading them failed; the other fields are undefined then.
	Err error
	// SourceFleet and TargetFleet are the two fleets that the spec names.
	SourceFleet, TargetFleet Fleet
	// Clusters has every existing cluster that one of the fleets lists or the spec names.
	Clusters map[Cluster]ClusterState
}

// Fleet holds a fleet as read from the host.
type Fleet struct {
	// Found is true if the Fleet exists, or its cluster set has a ClusterProfile.
	Found bool
	// Members are the clusters it lists, in its order.
	Members []Cluster
}

// ClusterState holds an existing cluster as read from the host.
type ClusterState struct {
	// Ready is true if the cluster's status says that it is ready.
	Ready bool
	// VeleroNamespace is the namespace of its Velero, by its annotation.
	VeleroNamespace string
	// ConcurrentBackups is the number of Backups that its Velero runs at the same time, by its
	// annotation; empty without one.
	ConcurrentBackups string
}

// Access is the result of checking whether the requester of a Migrate may use a cluster. The zero
// value means that it was not checked yet.
type Access struct {
	// Allowed is true if the requester may use the cluster.
	Allowed bool
	// Denial is the message that says why access is denied; empty if it isn't.
	Denial string
	// Err is why the check failed; nil if it didn't.
	Err error
}

// Member holds what was read from one member cluster.
type Member struct {
	// Err is why reading the member fails now. The other fields then have what was read last,
	// if anything.
	Err error
	// Since is the time since when reading fails.
	Since time.Time
	// NextTry is the time of the next attempt. It is set for live reads only: in a recorded
	// status it would cause a write for each attempt.
	NextTry time.Time
	// WriteErr is why the last creation of an object here failed. It is nil if it didn't, or if
	// this is a live read, which may run in another process than the driver.
	WriteErr error
	// Locations are the BackupStorageLocations of its Velero.
	Locations []velerov1.BackupStorageLocation
	// Sharing is whether this target shares the storage of the source, if their locations alone don't show it;
	// nil if it was not checked.
	Sharing *Sharing
	// Backup is the Migrate's Backup in this cluster: in the source the one created there, in a
	// target the one handed over or synced by Velero. It is nil if there is none. See Objects.
	Backup *velerov1.Backup
	// Restore is the Migrate's Restore in this cluster; nil if there is none.
	Restore *velerov1.Restore
	// Earlier has the kinds and names of the Backups and Restores of earlier attempts that have not ended.
	Earlier []string
	// Unexpected has the kinds and names of other Backups and Restores with the label of the
	// Migrate.
	Unexpected []string
	// Checked is what the last check of the prerequisites has found; nil if there was none.
	Checked *Checked
	// Turn is the turn of the Migrate in the queue of its source; nil if it is not known.
	Turn *Turn
	// Diagnosis explains why Velero makes no progress; nil if there was no diagnosis.
	Diagnosis *Diagnosis
	// Results are the results of the Migrate's object; nil if they were not read.
	Results *Results
	// ResultsErr is why reading them has failed so far; nil if it didn't.
	ResultsErr error
	// Workloads are the workloads of the Restore; nil if they were not read.
	Workloads *Workloads
}
