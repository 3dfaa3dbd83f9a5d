// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// sourceReadiness reports whether the Backup may be created, and returns the state of the
// source in either case. It may be if nothing is missing and it is the turn of the Migrate.
func sourceReadiness(m *v1alpha1.Migrate, source *v1alpha1.BackupDetails, targets []v1alpha1.RestoreDetails, seen Observation) (state, bool) {
	if s, ok := canBackUp(m, source, targets, seen); !ok {
		return s, false
	}
	member := seen.Members[ClusterOf(source.ClusterStatus)]
	if s, ok := hasTurn(source.ClusterStatus, member); !ok {
		return s, false
	}
	switch {
	case member.WriteErr != nil:
		return backupCreateFailed(source.ClusterName, member.WriteErr), true
	case source.Reason == v1alpha1.ReasonBackupCreateFailed:
		return state{source.Reason, source.Message}, true
	}
	return state{v1alpha1.ReasonBackupStarting, fmt.Sprintf(
		"Creating Backup %s in %s.%s", velero.ObjectName(source.ClusterName, m), source.ClusterName, unusedClaims(member.Checked))}, true
}

// canBackUp reports whether nothing that the Backup needs is missing; if something is, the state says
// what. The source's storage must be available, and at least one target able to receive the Backup;
// the other targets don't delay it.
func canBackUp(m *v1alpha1.Migrate, source *v1alpha1.BackupDetails, targets []v1alpha1.RestoreDetails, seen Observation) (state, bool) {
	switch {
	case m.DeletionTimestamp != nil:
		return beingDeleted(), false
	case isCanceled(m):
		return canceling(m), false
	case isSuspended(m):
		return suspended(), false
	}
	member, s, ok := usableMember(source.ClusterStatus, seen)
	if !ok {
		return s, false
	}
	if s, ok := noOtherObjects(source.ClusterName, member); !ok {
		return s, false
	}
	plan := seen.Plan.Of(ClusterOf(source.ClusterStatus))
	location := sourceLocation(plan, member)
	if location == nil && plan.StorageLocation != "" {
		return state{v1alpha1.ReasonStorageNotConfigured, fmt.Sprintf(
			"Velero in %s has no BackupStorageLocation %s, which spec.policy.storageLocation names. Create it.", source.ClusterName, plan.StorageLocation)}, false
	}
	if s, ok := isAvailable(plan, location, member); !ok {
		return s, false
	}
	if location.Spec.AccessMode == velerov1.BackupStorageLocationAccessModeReadOnly {
		return state{v1alpha1.ReasonStorageReadOnly, fmt.Sprintf(
			"BackupStorageLocation %s in %s is read-only, so no Backup can be created there. Set its accessMode to ReadWrite.",
			velero.DescribeLocation(location), source.ClusterName)}, false
	}
	return anyTargetCanReceive(source, targets, seen)
}

// anyTargetCanReceive reports whether at least one target can receive the Backup; if not, it
// returns the state of the source. It does not report that no target is ready before all were
// read.
func anyTargetCanReceive(source *v1alpha1.BackupDetails, targets []v1alpha1.RestoreDetails, seen Observation) (state, bool) {
	var waiting []string
	var connecting state
	for i := range targets {
		_, s, ok := receivingLocation(targets[i].ClusterStatus, source, seen)
		if ok {
			return state{}, true
		}
		if s.reason == v1alpha1.ReasonConnecting {
			connecting = s
		}
		waiting = append(waiting, targets[i].ClusterName+": "+s.message)
	}
	if connecting != (state{}) {
		return connecting, false
	}
	return state{v1alpha1.ReasonNoTargetReady, "No target is ready for the Backup, so it is not created yet. " + strings.Join(waiting, " ")}, false
}

// targetReadiness reports whether the Restore may be created in a target, and returns the state
// of the target in either case.
func targetReadiness(m *v1alpha1.Migrate, target *v1alpha1.RestoreDetails, source *v1alpha1.BackupDetails, seen Observation) (state, bool) {
	name := target.ClusterName
	switch {
	case m.DeletionTimestamp != nil:
		return beingDeleted(), false
	case isCanceled(m):
		return state{v1alpha1.ReasonCanceling, fmt.Sprintf("Canceled by %s; no Restore is created in %s.", m.Status.Cancellation.Username, name)}, false
	case isSuspended(m) && source.BackupStatusInCluster != nil:
		return suspended(), false
	}
	location, s, ok := receivingLocation(target.ClusterStatus, source, seen)
	if !ok {
		return s, false
	}
	if source.Phase != v1alpha1.MigratePhaseCompleted {
		return state{v1alpha1.ReasonWaitingForBackup, fmt.Sprintf("Waiting for the Backup in %s.", source.ClusterName)}, false
	}
	member := seen.Members[ClusterOf(target.ClusterStatus)]
	if s, ok := noOtherObjects(name, member); !ok {
		return s, false
	}
	if member.Backup != nil {
		s, ok = isRestorable(name, member)
	} else {
		s, ok = canHandOver(name, source, location, seen)
	}
	switch {
	case !ok:
		return s, false
	case member.WriteErr != nil:
		return state{v1alpha1.ReasonRestoreCreateFailed, fmt.Sprintf(
			"Creating the Restore in %s failed, trying again: %v", name, member.WriteErr)}, true
	case target.Reason == v1alpha1.ReasonRestoreCreateFailed:
		return state{target.Reason, target.Message}, true
	}
	message := fmt.Sprintf("Creating Restore %s in %s.", velero.ObjectName(name, m), name)
	if reason := location.describe(source.ClusterName, name); member.Backup == nil && reason != "" {
		message += " " + reason
	}
	return state{v1alpha1.ReasonRestoreStarting, message}, true
}

// isRestorable reports whether the Backup that exists in a target can be restored now, for which
// the source is not needed.
func isRestorable(target string, member Member) (state, bool) {
	backup := member.Backup
	if backup.Status.Phase != velerov1.BackupPhaseCompleted {
		return state{v1alpha1.ReasonWaitingForBackupSync, fmt.Sprintf(
			"Backup %s in %s is %s, so it can't be restored; waiting for Velero to sync it from the storage again.",
			backup.Name, target, cmp.Or(string(backup.Status.Phase), "new"))}, false
	}
	if velero.IsHandedOver(backup) || isSyncComplete(member) {
		return state{}, true
	}
	return state{v1alpha1.ReasonWaitingForBackupSync, fmt.Sprintf(
		"Velero in %s has synced Backup %s from the storage; waiting for it to sync what belongs to the Backup.", target, backup.Name)}, false
}

// isSyncComplete reports whether Velero has synced everything that belongs to a Backup that it
// synced to a member.
func isSyncComplete(member Member) bool {
	location := locationNamed(member.Backup.Spec.StorageLocation, member.Locations)
	return location != nil && velero.IsSyncComplete(member.Backup, location)
}

// canHandOver reports whether the source's completed Backup can be handed over to a target that
// does not have it.
func canHandOver(target string, source *v1alpha1.BackupDetails, location sharedLocation, seen Observation) (state, bool) {
	name := source.BackupNameInCluster
	from, read := seen.Members[ClusterOf(source.ClusterStatus)]
	switch {
	case !read || from.Err != nil:
		return state{v1alpha1.ReasonSourceUnreachable, fmt.Sprintf(
			"Backup %s is complete; it is restored as soon as %s is reachable or Velero in %s has synced it from the storage. %s",
			name, source.ClusterName, target, unreachable(source.ClusterName, from).message)}, false
	case from.Backup == nil || from.Backup.Status.Phase != velerov1.BackupPhaseCompleted:
		return state{v1alpha1.ReasonWaitingForBackupSync, fmt.Sprintf(
			"Backup %s is no longer in %s; waiting for Velero in %s to sync it from the storage, which it does about once a minute.",
			name, source.ClusterName, target)}, false
	case velero.IsSynced(from.Backup) && !isSyncComplete(from):
		return state{v1alpha1.ReasonWaitingForBackupSync, fmt.Sprintf(
			"Velero in %s has synced Backup %s from the storage again; waiting for it to sync what belongs to the Backup.",
			source.ClusterName, name)}, false
	case location.unchecked:
		return state{v1alpha1.ReasonConnecting, fmt.Sprintf("Checking whether %s has synced Backups of %s.", target, source.ClusterName)}, false
	case location.proof() == nil:
		return state{v1alpha1.ReasonWaitingForBackupSync, fmt.Sprintf(
			"Waiting for Velero in %s to sync Backup %s from the storage, which it does about once a minute: %s",
			target, name, location.describe(source.ClusterName, target))}, false
	}
	return state{}, true
}

// receivingLocation returns the location in which a target finds the source's Backup. It returns
// false and the state of the target if the target can't be used now or provably has no such
// location.
func receivingLocation(target v1alpha1.ClusterStatus, source *v1alpha1.BackupDetails, seen Observation) (sharedLocation, state, bool) {
	member, s, ok := usableMember(target, seen)
	if !ok {
		return sharedLocation{}, s, false
	}
	location := shareLocation(ClusterOf(target), seen)
	from, to := location.source, location.target
	if location.sameness == velero.Different {
		return sharedLocation{}, state{v1alpha1.ReasonStorageNotShared, fmt.Sprintf(
			"%s and %s do not share a storage: %s in %s, %s in %s. Add a BackupStorageLocation for the source's bucket to Velero in %s.",
			source.ClusterName, target.ClusterName,
			velero.DescribeLocation(from), source.ClusterName,
			velero.DescribeLocation(to), target.ClusterName, target.ClusterName)}, false
	}
	if s, ok := isAvailable(seen.Plan.Of(ClusterOf(target)), to, member); !ok {
		return sharedLocation{}, s, false
	}
	return location, state{}, true
}

// usableMember returns the member of a cluster. It returns false and the state of the cluster
// if it may not be used, can't be read, or lacks what the Migrate needs there.
func usableMember(cs v1alpha1.ClusterStatus, seen Observation) (Member, state, bool) {
	cluster := ClusterOf(cs)
	plan := seen.Plan.Of(cluster)
	if s, ok := plan.usable(); !ok {
		return Member{}, s, false
	}
	member, read := seen.Members[cluster]
	switch {
	case !read:
		return Member{}, state{v1alpha1.ReasonConnecting, fmt.Sprintf("Connecting to %s.", cs.ClusterName)}, false
	case member.Err != nil:
		return Member{}, unreachable(cs.ClusterName, member), false
	}
	s, ok := hasPrerequisites(plan, seen)
	return member, s, ok
}

// sourceLocation returns the location of the source's Backup or, before there is one, the location in
// which it will be created; nil if there is none.
func sourceLocation(plan ClusterPlan, source Member) *velerov1.BackupStorageLocation {
	name := plan.StorageLocation
	if source.Backup != nil {
		name = source.Backup.Spec.StorageLocation
	}
	if name == "" {
		return velero.DefaultLocation(source.Locations)
	}
	return locationNamed(name, source.Locations)
}

// storageLocation returns the name of the source's location that the spec of m names; empty if it
// names none.
func storageLocation(m *v1alpha1.Migrate) string {
	if m.Spec.Policy == nil {
		return ""
	}
	return m.Spec.Policy.StorageLocation
}

// matchLocation returns the one of a target's locations that is the source's, otherwise one that
// may be, otherwise the default one and velero.Different.
func matchLocation(source *velerov1.BackupStorageLocation, locations []velerov1.BackupStorageLocation) (*velerov1.BackupStorageLocation, velero.Sameness) {
	fallback := velero.DefaultLocation(locations)
	if source == nil || len(locations) == 0 {
		return fallback, velero.Unproven
	}
	for _, wanted := range []velero.Sameness{velero.Same, velero.Unproven} {
		for i := range locations {
			if velero.CompareStorage(source, &locations[i]) == wanted {
				return &locations[i], wanted
			}
		}
	}
	if fallback == nil {
		fallback = &locations[0]
	}
	return fallback, velero.Different
}

// isAvailable reports whether Velero in a cluster can use a location; if not, the state says what to do.
func isAvailable(plan ClusterPlan, location *velerov1.BackupStorageLocation, member Member) (state, bool) {
	cluster := plan.Cluster.Name
	switch {
	case location == nil && len(member.Locations) == 0:
		return state{v1alpha1.ReasonStorageNotConfigured, fmt.Sprintf(
			"Namespace %s of %s has no BackupStorageLocation. Create a default one there or, if Velero runs in another namespace, such as openshift-adp, "+
				"name that in the annotation %s of %s %s.",
			plan.VeleroNamespace, cluster, v1alpha1.VeleroNamespaceAnnotation, plan.Cluster.Kind, cluster)}, false
	case location == nil:
		return state{v1alpha1.ReasonStorageNotConfigured, fmt.Sprintf(
			"Velero in %s has no default BackupStorageLocation. Create one.", cluster)}, false
	case location.Status.Phase == velerov1.BackupStorageLocationPhaseAvailable:
		return state{}, true
	case location.Status.Phase == "":
		return state{v1alpha1.ReasonStorageUnavailable, fmt.Sprintf(
			"Velero in %s has not validated BackupStorageLocation %s yet; check whether its server runs.",
			cluster, velero.DescribeLocation(location))}, false
	default:
		return state{v1alpha1.ReasonStorageUnavailable, fmt.Sprintf(
			"BackupStorageLocation %s in %s is %s: %s", velero.DescribeLocation(location), cluster,
			location.Status.Phase, orUnknown(location.Status.Message))}, false
	}
}

// isExpired reports whether a Backup has expired, so that Velero may have deleted its data.
func isExpired(status *velerov1.BackupStatus, now time.Time) bool {
	return status != nil && status.Expiration != nil && status.Expiration.Time.Before(now)
}
