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

// resolution holds the resolved clusters of a Migrate, or why they can't be resolved.
type resolution struct {
	source  Cluster
	targets []Cluster
	// waiting is the state of the Migrate while its clusters can't be resolved; zero if they are.
	waiting state
	// asRecorded is true if the clusters are the recorded ones, if any.
	asRecorded bool
}

// resolve returns the source and the targets. It keeps the recorded ones if they are pinned, and
// while the host can't be read.
func resolve(m *v1alpha1.Migrate, host Inventory) resolution {
	if IsTerminal(m.Status.Phase) || IsPinned(&m.Status) {
		return resolution{asRecorded: true}
	}
	if host.Err != nil {
		return resolution{asRecorded: true, waiting: hostUnreachable(host.Err)}
	}
	source, waiting := resolveSource(m, host)
	if waiting != (state{}) {
		return resolution{waiting: waiting}
	}
	targets, waiting := resolveTargets(m, source, host)
	if waiting != (state{}) {
		return resolution{waiting: waiting}
	}
	return resolution{source: source, targets: targets}
}

// apply sets the clusters of status to the resolved ones, and removes them while they can't be
// resolved. It replaces what status points to and does not modify it.
func (r resolution) apply(status *v1alpha1.MigrateStatus) {
	switch {
	case r.asRecorded:
	case r.waiting != state{}:
		status.SourceClusterStatus, status.TargetClusterStatus = nil, nil
	default:
		setClusters(status, r.source, r.targets)
	}
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
		return Cluster{}, state{v1alpha1.ReasonSourceAmbiguous, fmt.Sprintf(
			"spec.sourceCluster names no cluster and fleet %q has %d members, not one. "+
				"Recreate the Migrate with one cluster in spec.sourceCluster.clusters.", destination.Fleet, len(candidates))}
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
			return nil, state{v1alpha1.ReasonSourceIsTarget, fmt.Sprintf(
				"The source resolved to %s, which spec.targetCluster.clusters names as a target. "+
					"Recreate the Migrate with another target.", source.Name)}
		}
		return clusters, state{}
	}
	members := slices.DeleteFunc(slices.Clone(host.TargetFleet.Members), func(c Cluster) bool { return c == source })
	if len(members) == 0 {
		return nil, state{v1alpha1.ReasonNoTargets, fmt.Sprintf(
			"Fleet %q has no member except the source %s; waiting for a cluster to join it.", destination.Fleet, source.Name)}
	}
	if len(members) > backup.MaxClusters {
		return nil, state{v1alpha1.ReasonTooManyTargets, fmt.Sprintf(
			"Fleet %q has %d members besides the source, and a Migrate may have at most %d targets. "+
				"Create Migrates that name their targets in spec.targetCluster.clusters.", destination.Fleet, len(members), backup.MaxClusters)}
	}
	slices.SortFunc(members, CompareClusters)
	return slices.Compact(members), state{}
}

// unready returns why nothing may be started in cluster c by what the host says; zero if it may.
func unready(c Cluster, f Fleet, host Inventory) state {
	switch cluster, exists := host.Clusters[c]; {
	case host.Err != nil:
		return hostUnreachable(host.Err)
	case !f.Found || !slices.Contains(f.Members, c):
		return state{v1alpha1.ReasonClusterNotInFleet, fmt.Sprintf(
			"%s %s is not a member of the fleet; waiting for it to join.", c.Kind, c.Name)}
	case !exists:
		return state{v1alpha1.ReasonClusterNotFound, fmt.Sprintf(
			"%s %s does not exist; waiting for it to be created.", c.Kind, c.Name)}
	case !cluster.Ready:
		return state{v1alpha1.ReasonClusterNotReady, fmt.Sprintf(
			"%s %s is not ready, waiting for it; see its status.", c.Kind, c.Name)}
	}
	return state{}
}

// wasUsable reports whether the reason of a recorded cluster status is one that is only
// determined in a usable cluster.
func wasUsable(cs v1alpha1.ClusterStatus) bool {
	return !slices.Contains([]string{
		"", v1alpha1.ReasonConnecting, v1alpha1.ReasonHostUnreachable, v1alpha1.ReasonFleetNotFound, v1alpha1.ReasonClusterNotInFleet,
		v1alpha1.ReasonClusterNotFound, v1alpha1.ReasonClusterNotReady, v1alpha1.ReasonClusterNotAuthorized,
		v1alpha1.ReasonAccessReviewFailed, v1alpha1.ReasonInvalidAnnotation,
		v1alpha1.ReasonBeingDeleted, v1alpha1.ReasonSuspended, v1alpha1.ReasonCanceling,
	}, cs.Reason)
}

func named(d v1alpha1.Destination) []Cluster {
	clusters := make([]Cluster, 0, len(d.Clusters))
	for _, ref := range d.Clusters {
		clusters = append(clusters, ClusterFor(ref))
	}
	return clusters
}

// setClusters sets the clusters of status, in this order, and keeps the recorded statuses of
// those that are already there.
func setClusters(status *v1alpha1.MigrateStatus, source Cluster, targets []Cluster) {
	if status.SourceClusterStatus == nil || ClusterOf(status.SourceClusterStatus.ClusterStatus) != source {
		status.SourceClusterStatus = &v1alpha1.BackupDetails{ClusterStatus: newClusterStatus(source)}
	}
	statuses := make([]v1alpha1.RestoreDetails, 0, len(targets))
	for _, target := range targets {
		details := v1alpha1.RestoreDetails{ClusterStatus: newClusterStatus(target)}
		if i := slices.IndexFunc(status.TargetClusterStatus, func(r v1alpha1.RestoreDetails) bool {
			return ClusterOf(r.ClusterStatus) == target
		}); i >= 0 {
			details = status.TargetClusterStatus[i]
		}
		statuses = append(statuses, details)
	}
	status.TargetClusterStatus = statuses
}

func newClusterStatus(c Cluster) v1alpha1.ClusterStatus {
	return v1alpha1.ClusterStatus{ClusterKind: c.Kind, ClusterName: c.Name, Phase: v1alpha1.MigratePhasePending}
}

// RecordedNames returns the name of the object that IsObjectMissing checks in cluster c: of the
// Backup in the source, of the Restore in a target. The other one is empty.
func RecordedNames(m *v1alpha1.Migrate, c Cluster) (backup, restore string) {
	if source := m.Status.SourceClusterStatus; source != nil && ClusterOf(source.ClusterStatus) == c {
		return source.BackupNameInCluster, ""
	}
	for _, t := range m.Status.TargetClusterStatus {
		if ClusterOf(t.ClusterStatus) == c {
			return "", t.RestoreNameInCluster
		}
	}
	return "", ""
}

// IsObjectRecorded reports whether a status of the Backup of m in cluster c, its source, is recorded, or of the Restore
// in c, a target.
func IsObjectRecorded(m *v1alpha1.Migrate, c Cluster) bool {
	if source := m.Status.SourceClusterStatus; source != nil && ClusterOf(source.ClusterStatus) == c {
		return source.BackupStatusInCluster != nil
	}
	return slices.ContainsFunc(m.Status.TargetClusterStatus, func(t v1alpha1.RestoreDetails) bool {
		return ClusterOf(t.ClusterStatus) == c && t.RestoreStatusInCluster != nil
	})
}

// IsObjectMissing reports whether an object of m in cluster c is recorded but not observed, and c
// is not finished; or, of a canceled m, may have been created just before. The observation may be stale: the caller
// confirms it with a GET.
func IsObjectMissing(m *v1alpha1.Migrate, c Cluster, seen Member) bool {
	if source := m.Status.SourceClusterStatus; source != nil && ClusterOf(source.ClusterStatus) == c {
		isExpected := source.BackupStatusInCluster != nil || isCanceled(m) && source.BackupNameInCluster != ""
		return !IsTerminal(source.Phase) && isExpected && seen.Backup == nil
	}
	for _, t := range m.Status.TargetClusterStatus {
		if ClusterOf(t.ClusterStatus) == c && !IsTerminal(t.Phase) {
			if isCanceled(m) && wasComplete(m) && seen.Restore == nil {
				return true
			}
			// The Backup that Velero did not find may exist, but the watch is behind.
			unknown := seen.Restore != nil && seen.Backup == nil && velero.IsRejectedEarly(seen.Restore)
			return t.RestoreStatusInCluster != nil && seen.Restore == nil || unknown
		}
	}
	return false
}
