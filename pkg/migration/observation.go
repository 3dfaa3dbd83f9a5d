// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"errors"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
)

// Why a member is not even asked; in the chain of Member.Err.
var (
	// ErrKubeconfigRefused says that a kubeconfig is invalid, or not one that is
	// accepted.
	ErrKubeconfigRefused = errors.New("kubeconfig not accepted")
	// ErrAddressRefused says that a member is at an address where none may be.
	ErrAddressRefused = errors.New("address not allowed")
	// ErrLimitExceeded says that a member sends more than this server takes of one.
	ErrLimitExceeded = errors.New("limit exceeded")
)

// Cluster identifies a member cluster in a Migrate's namespace.
type Cluster struct {
	// Kind is AttachedCluster or Cluster; never empty.
	Kind string
	// Name is the name of the object of that kind.
	Name string
}

// Velero is a Velero of a member cluster.
type Velero struct {
	Cluster Cluster
	// Namespace is where it is.
	Namespace string
}

// Observation is all that is known of the world outside for one Migrate.
type Observation struct {
	// Plan has the clusters, as they are resolved for the sync or the live read.
	Plan Plan
	// Members is what each member cluster says. A cluster that is not in it has
	// not been asked yet.
	Members map[Cluster]Member
}

// Inventory is what the host says of a Migrate's fleets and clusters.
type Inventory struct {
	// Err is why the host can't be asked; the rest means nothing then.
	Err error
	// SourceFleet and TargetFleet are the two fleets that the spec names.
	SourceFleet, TargetFleet Fleet
	// Clusters has every cluster that a fleet lists or the spec names and that
	// exists.
	Clusters map[Cluster]ClusterState
}

// Fleet is what the host says of one fleet.
type Fleet struct {
	// Found says that the Fleet exists.
	Found bool
	// Members are the clusters it lists, in its order.
	Members []Cluster
}

// ClusterState is what the host says of one cluster that exists.
type ClusterState struct {
	// Ready says that the cluster can be used.
	Ready bool
	// VeleroNamespace is where its Velero is said to be.
	VeleroNamespace string
}

// Access says whether the requester of a Migrate may have it act in a cluster. The zero
// Access is one that is not known yet.
type Access struct {
	// Granted says that they may.
	Granted bool
	// Refusal says why they may not, for a person.
	Refusal string
	// Err is why it can't be checked.
	Err error
}

// Member is what one member cluster says.
type Member struct {
	// Err is why the member can't be asked now. The rest is then what it said
	// last, if anything.
	Err error
	// Since is when Err began.
	Since time.Time
	// NextTry is when the member is asked again, for a reader; zero where the status is
	// recorded, or each try would be a record.
	NextTry time.Time
	// WriteErr is why the last object that was to be created here was not; nil if
	// that is not known, for the reader may not be the writer.
	WriteErr error
	// Locations are the BackupStorageLocations of its Velero.
	Locations []velerov1.BackupStorageLocation
	// Backup is the Migrate's Backup in this cluster: the one made here if it is
	// the source, the one handed over or synced by Velero if it is a target. Nil
	// if there is none. See Objects.
	Backup *velerov1.Backup
	// Restore is the Migrate's Restore in this cluster; nil if there is none.
	Restore *velerov1.Restore
	// Unexpected are the kinds and names of other Backups and Restores with the
	// Migrate's label.
	Unexpected []string
	// Diagnosis is why Velero makes no progress; nil if that was not looked into.
	Diagnosis *Diagnosis
	// Results are the errors of the Migrate's object; nil if they were not asked for.
	Results *Results
}
