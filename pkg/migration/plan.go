// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"cmp"
	"fmt"
	"slices"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// Plan holds the source and the targets of a Migrate as resolved for one sync or live read: for
// each what is recorded, what the host says, and the access of the requester. The zero Plan has
// no clusters.
type Plan struct {
	resolution
	// clusters has the source first, then the targets in the order of the status.
	clusters []ClusterPlan
	index    map[Cluster]int
}

// ClusterPlan is the source or a target in a Plan.
type ClusterPlan struct {
	Cluster Cluster
	// Source is true for the source and false for a target.
	Source bool
	// Destination is the field of the spec that the cluster is resolved from.
	Destination v1alpha1.Destination
	// VeleroNamespace is the namespace of the Velero to use: the recorded one or, before
	// something is started there, the one that the host names. It is empty if neither is known.
	VeleroNamespace string
	// Objects identifies the Velero objects of the Migrate in it.
	Objects Objects
	// Prerequisites are what the Migrate needs in it besides Velero's server.
	Prerequisites Prerequisites
	// StorageLocation is the name of the BackupStorageLocation that the spec names for the source;
	// empty means its default one.
	StorageLocation string
	// ConcurrentBackups is the number of Backups that its Velero runs at the same time.
	ConcurrentBackups int
	// WasUsable is true if the cluster could be used when its status was recorded: the recorded
	// reason is one that is only determined in a usable cluster.
	WasUsable bool
	// Access is the requester's access to the cluster.
	Access Access

	// unready is why nothing may be started in the cluster by what the host says; zero if it may.
	unready state
	// started is true if an object of the Migrate in the cluster is recorded, ended if its phase
	// is final, and needed if it must be observed. The source is needed until the migration
	// ends, because its Backup is handed over to the targets.
	started, ended, needed bool
}

// Velero returns the Velero that the Migrate uses in the cluster.
func (c ClusterPlan) Velero() Velero { return Velero{c.Cluster, c.VeleroNamespace} }

// usable reports whether something may be started in the cluster; if not, the state says why.
func (c ClusterPlan) usable() (state, bool) {
	kind, name := c.Cluster.Kind, c.Cluster.Name
	switch {
	case c.unready != state{}:
		return c.unready, false
	case c.Access.Denial != "":
		return state{v1alpha1.ReasonClusterNotAuthorized, fmt.Sprintf(
			"Access to %s %s is denied, waiting for permission: %s.", kind, name, c.Access.Denial)}, false
	case c.Access.Err != nil:
		return state{v1alpha1.ReasonAccessReviewFailed, fmt.Sprintf(
			"Checking access to %s %s failed, trying again: %v", kind, name, c.Access.Err)}, false
	case !c.Access.Allowed:
		return state{v1alpha1.ReasonConnecting, fmt.Sprintf("Checking access to %s %s.", kind, name)}, false
	}
	return state{}, true
}

// Resolve returns the plan of m from its recorded status and the inventory of the host. Its
// clusters have no access yet; see NotStarted and WithAccess.
func Resolve(m *v1alpha1.Migrate, host Inventory) Plan {
	p := Plan{resolution: resolve(m, host), index: map[Cluster]int{}}
	status := m.Status // apply does not modify what the two share
	p.apply(&status)
	source := status.SourceClusterStatus
	if source == nil {
		return p
	}
	add := func(c ClusterPlan, cs v1alpha1.ClusterStatus, fleet Fleet) {
		c.Cluster = ClusterOf(cs)
		c.VeleroNamespace = cmp.Or(cs.VeleroNamespace, host.Clusters[c.Cluster].VeleroNamespace)
		c.WasUsable = wasUsable(cs)
		c.Prerequisites = prerequisites(m, c.Source)
		c.unready = unready(c.Cluster, fleet, host)
		if number, s, ok := concurrentBackups(c.Cluster, host.Clusters[c.Cluster].ConcurrentBackups); ok {
			c.ConcurrentBackups = number
		} else if c.Source {
			c.unready = cmp.Or(c.unready, s)
		}
		c.ended = IsTerminal(status.Phase) || IsTerminal(cs.Phase)
		c.needed = !c.ended || c.Source && !IsTerminal(status.Phase)
		p.index[c.Cluster] = len(p.clusters)
		p.clusters = append(p.clusters, c)
	}
	earlier := earlierNames(source.ClusterName, m)
	backup := cmp.Or(source.BackupNameInCluster, velero.ObjectName(source.ClusterName, m))
	add(ClusterPlan{
		Source: true, Destination: m.Spec.SourceCluster,
		StorageLocation: storageLocation(m),
		Objects:         Objects{UID: m.UID, Backup: backup, EarlierBackups: earlier},
		started:         source.BackupStatusInCluster != nil,
	}, source.ClusterStatus, host.SourceFleet)
	for _, t := range status.TargetClusterStatus {
		add(ClusterPlan{
			Destination: m.Spec.TargetCluster,
			Objects: Objects{
				UID: m.UID, Backup: cmp.Or(t.BackupNameInCluster, backup), Restore: cmp.Or(t.RestoreNameInCluster, velero.ObjectName(t.ClusterName, m)),
				EarlierBackups: earlier, EarlierRestores: earlierNames(t.ClusterName, m),
			},
			started: t.RestoreStatusInCluster != nil,
		}, t.ClusterStatus, host.TargetFleet)
	}
	return p
}

// Of returns the plan of cluster c, or the zero value if c is not in p.
func (p Plan) Of(c Cluster) ClusterPlan {
	if i, ok := p.index[c]; ok {
		return p.clusters[i]
	}
	return ClusterPlan{}
}

// Source returns the plan of the source, or the zero value if p has no clusters.
func (p Plan) Source() ClusterPlan {
	if len(p.clusters) == 0 {
		return ClusterPlan{}
	}
	return p.clusters[0]
}

// NotStarted returns the clusters for which no object of the Migrate is recorded and whose phase is
// not final, source first. Before one is created, the access of the requester must be checked.
func (p Plan) NotStarted() []ClusterPlan {
	var notStarted []ClusterPlan
	for _, c := range p.clusters {
		if !c.started && !c.ended {
			notStarted = append(notStarted, c)
		}
	}
	return notStarted
}

// WithAccess returns a copy of p with the given access to its clusters. A cluster that is not in
// known keeps its access.
func (p Plan) WithAccess(known map[Cluster]Access) Plan {
	p.clusters = slices.Clone(p.clusters)
	for c, access := range known {
		if i, ok := p.index[c]; ok {
			p.clusters[i].Access = access
		}
	}
	return p
}

// Veleros returns the Veleros that must be observed: those of the clusters that are needed and
// that are usable or have an object of the Migrate.
func (p Plan) Veleros() []Velero {
	var veleros []Velero
	for _, c := range p.clusters {
		if _, ok := c.usable(); c.needed && (ok || c.started) {
			veleros = append(veleros, c.Velero())
		}
	}
	return veleros
}
