// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// Action is a write to member clusters: CreateBackup or StartRestore. It is idempotent, because
// the names of its objects are derived from the Migrate's UID.
type Action interface {
	// Cluster returns the cluster that is written to.
	Cluster() Cluster
}

// CreateBackup creates the Backup in the source.
type CreateBackup struct {
	Source Cluster
	// Policies has the resource policies of Backup; nil if it has none.
	Policies *corev1.ConfigMap
	Backup   *velerov1.Backup
}

// StartRestore hands the source's completed Backup over to a target, with the PodVolumeBackups
// that belong to it, and then creates the Restore with its resource modifiers.
type StartRestore struct {
	Source, Target Cluster
	// TargetBackup is the Backup in the target; nil if it is to be created there.
	TargetBackup *velerov1.Backup
	// SourceBackup is the Backup in the source that is handed over; nil if TargetBackup isn't.
	SourceBackup *velerov1.Backup
	// Location is the name of the target's BackupStorageLocation for SourceBackup.
	Location string
	// RejectedRestore is a Restore that Velero rejected because it did not have the Backup in
	// its cache; it is deleted before Restore is created. It is nil if there is none.
	RejectedRestore *velerov1.Restore
	// Modifiers has the resource modifiers of Restore, without an owner; nil if it has none.
	Modifiers *corev1.ConfigMap
	// Restore is created last: if it exists, everything that it needs exists.
	Restore *velerov1.Restore
}

// Cluster returns the source.
func (a CreateBackup) Cluster() Cluster { return a.Source }

// Cluster returns the target.
func (a StartRestore) Cluster() Cluster { return a.Target }

// Next returns the actions that are due for m. They depend only on the recorded status and the
// observation, so after a crash the same actions are returned again.
func Next(m *v1alpha1.Migrate, seen Observation) []Action {
	recorded := &m.Status
	if !IsWritable(m) || !IsPinned(recorded) {
		return nil
	}
	source := recorded.SourceClusterStatus
	if source.Phase == v1alpha1.MigratePhaseCompleted {
		return nextRestores(m, seen)
	}
	member := seen.Members[ClusterOf(source.ClusterStatus)]
	if member.Backup != nil || source.BackupStatusInCluster != nil {
		return nil
	}
	if _, ready := sourceReadiness(m, source, recorded.TargetClusterStatus, seen); !ready {
		return nil
	}
	location := sourceLocation(seen.Plan.Of(ClusterOf(source.ClusterStatus)), member)
	action := CreateBackup{
		Source: ClusterOf(source.ClusterStatus),
		Backup: velero.NewBackup(m, source.ClusterName, location.Name),
	}
	if velero.MovesNoVolumeData(m) {
		action.Policies = velero.NoVolumeData()
	}
	return []Action{action}
}

func nextRestores(m *v1alpha1.Migrate, seen Observation) []Action {
	source := m.Status.SourceClusterStatus
	from := seen.Members[ClusterOf(source.ClusterStatus)]
	var actions []Action
	for i := range m.Status.TargetClusterStatus {
		target := &m.Status.TargetClusterStatus[i]
		cluster := ClusterOf(target.ClusterStatus)
		member := seen.Members[cluster]
		if IsTerminal(target.Phase) || target.RestoreStatusInCluster != nil || member.Restore != nil && !isRefusedEarly(member) {
			continue
		}
		if _, ready := targetReadiness(m, target, source, seen); !ready {
			continue
		}
		action := StartRestore{
			Source:          ClusterOf(source.ClusterStatus),
			Target:          cluster,
			TargetBackup:    member.Backup,
			RejectedRestore: member.Restore,
			Modifiers:       velero.NewResourceModifiers(m, target.ClusterName),
			Restore:         velero.NewRestore(m, target, source),
		}
		if action.TargetBackup == nil {
			location, _, _ := receivingLocation(target.ClusterStatus, source, seen)
			action.SourceBackup, action.Location = from.Backup, location.target.Name
		}
		actions = append(actions, action)
	}
	return actions
}

// isRefusedEarly reports whether Velero rejected a target's Restore only because it did not have
// the existing Backup, or the resource modifiers, in its cache. Nothing was restored then.
func isRefusedEarly(target Member) bool {
	return target.Restore != nil && velero.IsRejectedEarly(target.Restore) &&
		target.Backup != nil && target.Backup.Status.Phase == velerov1.BackupPhaseCompleted
}
