// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"fmt"
	"slices"
	"strings"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// CompareClusters orders clusters by name, then by kind.
func CompareClusters(a, b Cluster) int {
	return strings.Compare(a.Name+"/"+a.Kind, b.Name+"/"+b.Kind)
}

// Veleros are those that m needs to hear of now: of the parts that have not
// ended, of those clusters that may be used or that hold something of m's
// already.
func Veleros(m *v1alpha1.Migrate, host Inventory) []Velero {
	if IsTerminal(m.Status.Phase) {
		return nil
	}
	status := *m.Status.DeepCopy()
	resolve(m, &status, host)
	source := status.SourceClusterStatus
	if source == nil {
		return nil
	}
	var veleros []Velero
	add := func(c Cluster, f Fleet, begun bool) {
		if _, ok := usable(c, f, host); ok || begun {
			veleros = append(veleros, VeleroOf(m, host, c))
		}
	}
	add(ClusterOf(source.ClusterPart), host.SourceFleet, source.BackupStatusInCluster != nil)
	for _, t := range status.TargetClusterStatus {
		if !IsTerminal(t.Phase) {
			add(ClusterOf(t.ClusterPart), host.TargetFleet, t.RestoreStatusInCluster != nil)
		}
	}
	return veleros
}

// VeleroOf is the Velero of a cluster that m goes on with: the one with which it began
// there; before that, the one that the host names. Its namespace is empty if neither is
// known.
func VeleroOf(m *v1alpha1.Migrate, host Inventory, c Cluster) Velero {
	if part := partOf(&m.Status, c); part != nil && part.VeleroNamespace != "" {
		return Velero{c, part.VeleroNamespace}
	}
	return Velero{c, host.Clusters[c].VeleroNamespace}
}

// Party is a cluster that takes part in a migration, with what of the spec means it.
type Party struct {
	Cluster     Cluster
	Destination v1alpha1.Destination
	// Source says that it is the source, not a target.
	Source bool
}

// Unbegun are the parties in whose clusters nothing of m's exists yet: before
// anything does, who created m must be known to be allowed to use them.
func Unbegun(m *v1alpha1.Migrate, host Inventory) []Party {
	if IsTerminal(m.Status.Phase) {
		return nil
	}
	status := *m.Status.DeepCopy()
	resolve(m, &status, host)
	var parties []Party
	if source := status.SourceClusterStatus; source != nil && source.BackupStatusInCluster == nil && !IsTerminal(source.Phase) {
		parties = append(parties, Party{ClusterOf(source.ClusterPart), m.Spec.SourceCluster, true})
	}
	for _, t := range status.TargetClusterStatus {
		if t.RestoreStatusInCluster == nil && !IsTerminal(t.Phase) {
			parties = append(parties, Party{ClusterOf(t.ClusterPart), m.Spec.TargetCluster, false})
		}
	}
	return parties
}

// PartyOf is the party whose cluster is recorded as the source or as a target.
func PartyOf(m *v1alpha1.Migrate, c Cluster) Party {
	if source := m.Status.SourceClusterStatus; source != nil && ClusterOf(source.ClusterPart) == c {
		return Party{c, m.Spec.SourceCluster, true}
	}
	return Party{c, m.Spec.TargetCluster, false}
}

// WasUsable says whether it is recorded that a cluster could be used: its part waits
// for something that is only looked at in a cluster that can.
func WasUsable(m *v1alpha1.Migrate, c Cluster) bool {
	part := partOf(&m.Status, c)
	return part != nil && !slices.Contains([]string{
		"", ReasonConnecting, ReasonHostUnreachable, ReasonFleetNotFound, ReasonClusterNotInFleet,
		ReasonClusterNotFound, ReasonClusterNotReady, ReasonClusterNotAuthorized,
		ReasonAccessReviewFailed,
	}, part.Reason)
}

// resolve finds the source and the targets and sets their parts, unless the
// recorded ones are pinned. Where it can't, it says what is waited for and leaves
// no parts.
func resolve(m *v1alpha1.Migrate, status *v1alpha1.MigrateStatus, host Inventory) state {
	if IsPinned(status) {
		return state{}
	}
	if host.Err != nil {
		return hostUnreachable(host.Err)
	}
	source, waiting := resolveSource(m, host)
	if waiting != (state{}) {
		status.SourceClusterStatus, status.TargetClusterStatus = nil, nil
		return waiting
	}
	targets, waiting := resolveTargets(m, source, host)
	if waiting != (state{}) {
		status.SourceClusterStatus, status.TargetClusterStatus = nil, nil
		return waiting
	}
	setParts(status, source, targets)
	return state{}
}

func resolveSource(m *v1alpha1.Migrate, host Inventory) (Cluster, state) {
	destination := m.Spec.SourceCluster
	if !host.SourceFleet.Found {
		return Cluster{}, fleetNotFound(m.Namespace, destination.Fleet)
	}
	candidates := named(destination)
	if len(candidates) == 0 {
		candidates = host.SourceFleet.Members
	}
	if len(candidates) != 1 {
		return Cluster{}, state{ReasonSourceAmbiguous, fmt.Sprintf(
			"The source names no cluster and fleet %q has %d members, so it can't be told which one is the source. "+
				"Create the Migrate again with one cluster in spec.sourceCluster.clusters.", destination.Fleet, len(candidates))}
	}
	return candidates[0], state{}
}

func resolveTargets(m *v1alpha1.Migrate, source Cluster, host Inventory) ([]Cluster, state) {
	destination := m.Spec.TargetCluster
	if !host.TargetFleet.Found {
		return nil, fleetNotFound(m.Namespace, destination.Fleet)
	}
	if clusters := named(destination); len(clusters) > 0 {
		if slices.Contains(clusters, source) {
			return nil, state{ReasonSourceIsTarget, fmt.Sprintf(
				"The source resolved to %s, which spec.targetCluster.clusters names as a target. "+
					"Create the Migrate again with another target.", source.Name)}
		}
		return clusters, state{}
	}
	members := slices.DeleteFunc(slices.Clone(host.TargetFleet.Members), func(c Cluster) bool { return c == source })
	if len(members) == 0 {
		return nil, state{ReasonNoTargets, fmt.Sprintf(
			"Fleet %q has no member but the source %s; waiting for a cluster to join it.", destination.Fleet, source.Name)}
	}
	if len(members) > backup.MaxClusters {
		return nil, state{ReasonTooManyTargets, fmt.Sprintf(
			"Fleet %q has %d members besides the source, and a migration has %d targets at most. "+
				"Create Migrates that name their targets in spec.targetCluster.clusters.", destination.Fleet, len(members), backup.MaxClusters)}
	}
	slices.SortFunc(members, CompareClusters)
	return slices.Compact(members), state{}
}

// usable says whether something may be begun in a cluster, and if not, why.
func usable(c Cluster, f Fleet, host Inventory) (state, bool) {
	switch cluster, exists := host.Clusters[c]; {
	case host.Err != nil:
		return hostUnreachable(host.Err), false
	case !f.Found || !slices.Contains(f.Members, c):
		return state{ReasonClusterNotInFleet, fmt.Sprintf(
			"%s %s is not a member of the fleet; waiting for it to join.", c.Kind, c.Name)}, false
	case !exists:
		return state{ReasonClusterNotFound, fmt.Sprintf(
			"%s %s does not exist; waiting for it to be created.", c.Kind, c.Name)}, false
	case !cluster.Ready:
		return state{ReasonClusterNotReady, fmt.Sprintf(
			"%s %s is not ready; waiting for it. See its status.", c.Kind, c.Name)}, false
	case cluster.Access.Refusal != "":
		return state{ReasonClusterNotAuthorized, fmt.Sprintf(
			"%s %s may not be used, waiting for the permission: %s.", c.Kind, c.Name, cluster.Access.Refusal)}, false
	case cluster.Access.Err != nil:
		return state{ReasonAccessReviewFailed, fmt.Sprintf(
			"It can't be found out whether %s %s may be used, trying again: %v", c.Kind, c.Name, cluster.Access.Err)}, false
	case !cluster.Access.Granted:
		return state{ReasonConnecting, fmt.Sprintf("Asking whether %s %s may be used.", c.Kind, c.Name)}, false
	}
	return state{}, true
}

func named(d v1alpha1.Destination) []Cluster {
	clusters := make([]Cluster, 0, len(d.Clusters))
	for _, ref := range d.Clusters {
		clusters = append(clusters, ClusterFor(ref))
	}
	return clusters
}

// setParts makes the parts those of the given clusters, in their order, and
// keeps what is recorded of those that stay.
func setParts(status *v1alpha1.MigrateStatus, source Cluster, targets []Cluster) {
	if status.SourceClusterStatus == nil || ClusterOf(status.SourceClusterStatus.ClusterPart) != source {
		status.SourceClusterStatus = &v1alpha1.BackupDetails{ClusterPart: newPart(source)}
	}
	parts := make([]v1alpha1.RestoreDetails, 0, len(targets))
	for _, target := range targets {
		part := v1alpha1.RestoreDetails{ClusterPart: newPart(target)}
		if i := slices.IndexFunc(status.TargetClusterStatus, func(r v1alpha1.RestoreDetails) bool {
			return ClusterOf(r.ClusterPart) == target
		}); i >= 0 {
			part = status.TargetClusterStatus[i]
		}
		parts = append(parts, part)
	}
	status.TargetClusterStatus = parts
}

func newPart(c Cluster) v1alpha1.ClusterPart {
	return v1alpha1.ClusterPart{ClusterKind: c.Kind, ClusterName: c.Name, Phase: v1alpha1.MigratePhasePending}
}

// Recorded is the name of what Misses looks for in a cluster: of the Backup in the
// source, of the Restore in a target. The other is empty.
func Recorded(m *v1alpha1.Migrate, c Cluster) (backup, restore string) {
	if source := m.Status.SourceClusterStatus; source != nil && ClusterOf(source.ClusterPart) == c {
		return source.BackupNameInCluster, ""
	}
	for _, t := range m.Status.TargetClusterStatus {
		if ClusterOf(t.ClusterPart) == c {
			return "", t.RestoreNameInCluster
		}
	}
	return "", ""
}

// Misses says whether a cluster once had an object of m's, by the record, that
// is not in what is seen of it and still matters.
func Misses(m *v1alpha1.Migrate, c Cluster, seen Member) bool {
	if source := m.Status.SourceClusterStatus; source != nil && ClusterOf(source.ClusterPart) == c {
		return !IsTerminal(source.Phase) && source.BackupStatusInCluster != nil && seen.Backup == nil
	}
	for _, t := range m.Status.TargetClusterStatus {
		if ClusterOf(t.ClusterPart) == c && !IsTerminal(t.Phase) {
			// A Backup that Velero did not know may be there, and the watch behind.
			unknown := seen.Restore != nil && seen.Backup == nil && velero.DidNotKnowBackup(seen.Restore)
			return t.RestoreStatusInCluster != nil && seen.Restore == nil || unknown
		}
	}
	return false
}
