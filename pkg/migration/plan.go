// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"fmt"
	"slices"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// Plan is what one sync of a Migrate goes by: its source and targets, resolved once, with
// what the record and the host say of each, and what is known of the access to it.
//
// The zero Plan has no clusters.
type Plan struct {
	resolution
	// clusters has the source first, then the targets in the order of the status.
	clusters []ClusterPlan
	index    map[Cluster]int
}

// ClusterPlan is the part of one cluster in a Plan.
type ClusterPlan struct {
	Cluster Cluster
	// Source says that it is the source, not a target.
	Source bool
	// Destination is what of the spec means it.
	Destination v1alpha1.Destination
	// VeleroNamespace is where the Velero is that the Migrate goes on with: the recorded one;
	// before something is begun there, the one that the host names. It is empty if neither
	// is known.
	VeleroNamespace string
	// Objects identifies the Velero objects of the Migrate in it.
	Objects Objects
	// WasUsable says that it is recorded that the cluster could be used: it waits for
	// something that is only looked at in a cluster that can.
	WasUsable bool
	// Access says whether the requester may use it.
	Access Access

	// unready is why the host has nothing begun in it; zero if the host allows it.
	unready state
	// begun says that an object of the Migrate exists in it, by the record; ended, that its
	// phase is an end; needed, that it is still observed. A source is until all has ended, for
	// its Backup is handed over to the targets.
	begun, ended, needed bool
}

// Velero returns the Velero that the Migrate goes on with.
func (c ClusterPlan) Velero() Velero { return Velero{c.Cluster, c.VeleroNamespace} }

// usable reports whether something may be begun in the cluster, and if not, why.
func (c ClusterPlan) usable() (state, bool) {
	kind, name := c.Cluster.Kind, c.Cluster.Name
	switch {
	case c.unready != state{}:
		return c.unready, false
	case c.Access.Refusal != "":
		return state{v1alpha1.ReasonClusterNotAuthorized, fmt.Sprintf(
			"Access to %s %s is denied, waiting for permission: %s.", kind, name, c.Access.Refusal)}, false
	case c.Access.Err != nil:
		return state{v1alpha1.ReasonAccessReviewFailed, fmt.Sprintf(
			"Checking access to %s %s failed, trying again: %v", kind, name, c.Access.Err)}, false
	case !c.Access.Granted:
		return state{v1alpha1.ReasonConnecting, fmt.Sprintf("Checking access to %s %s.", kind, name)}, false
	}
	return state{}, true
}

// Resolve returns the plan of m, from the record and what the host says. The access to its
// clusters is not known in it yet; see Unbegun and WithAccess.
func Resolve(m *v1alpha1.Migrate, host Inventory) Plan {
	p := Plan{resolution: resolve(m, host), index: map[Cluster]int{}}
	status := m.Status // apply changes nothing in what the two share
	p.apply(&status)
	source := status.SourceClusterStatus
	if source == nil {
		return p
	}
	add := func(c ClusterPlan, part v1alpha1.ClusterPart, fleet Fleet) {
		c.Cluster = ClusterOf(part)
		c.VeleroNamespace = orElse(part.VeleroNamespace, host.Clusters[c.Cluster].VeleroNamespace)
		c.WasUsable = wasUsable(part)
		c.unready = unready(c.Cluster, fleet, host)
		c.ended = IsTerminal(status.Phase) || IsTerminal(part.Phase)
		c.needed = !c.ended || c.Source && !IsTerminal(status.Phase)
		p.index[c.Cluster] = len(p.clusters)
		p.clusters = append(p.clusters, c)
	}
	backup := orElse(source.BackupNameInCluster, velero.ObjectName(source.ClusterName, m))
	add(ClusterPlan{
		Source: true, Destination: m.Spec.SourceCluster,
		Objects: Objects{UID: m.UID, Backup: backup},
		begun:   source.BackupStatusInCluster != nil,
	}, source.ClusterPart, host.SourceFleet)
	for _, t := range status.TargetClusterStatus {
		add(ClusterPlan{
			Destination: m.Spec.TargetCluster,
			Objects:     Objects{UID: m.UID, Backup: backup, Restore: orElse(t.RestoreNameInCluster, velero.ObjectName(t.ClusterName, m))},
			begun:       t.RestoreStatusInCluster != nil,
		}, t.ClusterPart, host.TargetFleet)
	}
	return p
}

// Of returns the part of a cluster in the plan; it is zero if the cluster has none.
func (p Plan) Of(c Cluster) ClusterPlan {
	if i, ok := p.index[c]; ok {
		return p.clusters[i]
	}
	return ClusterPlan{}
}

// Unbegun returns the clusters in which no object of the Migrate exists yet, source first:
// before one does, its requester must be known to be allowed to use them.
func (p Plan) Unbegun() []ClusterPlan {
	var unbegun []ClusterPlan
	for _, c := range p.clusters {
		if !c.begun && !c.ended {
			unbegun = append(unbegun, c)
		}
	}
	return unbegun
}

// WithAccess returns the plan with what is known of the access to its clusters. A cluster
// that is not in known keeps the access that it has.
func (p Plan) WithAccess(known map[Cluster]Access) Plan {
	p.clusters = slices.Clone(p.clusters)
	for c, access := range known {
		if i, ok := p.index[c]; ok {
			p.clusters[i].Access = access
		}
	}
	return p
}

// Veleros returns those that must be observed now: of the clusters that are still needed,
// and that may be used or have an object of the Migrate already.
func (p Plan) Veleros() []Velero {
	var veleros []Velero
	for _, c := range p.clusters {
		if _, ok := c.usable(); c.needed && (ok || c.begun) {
			veleros = append(veleros, c.Velero())
		}
	}
	return veleros
}
