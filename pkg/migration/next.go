// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// Action is something to be done in the members: CreateBackup or StartRestore.
// Doing one twice does no harm: the names in it are bound to the Migrate's UID.
type Action interface {
	// Cluster is the one that is written to.
	Cluster() Cluster
}

// CreateBackup makes the Backup in the source.
type CreateBackup struct {
	Source Cluster
	Backup *velerov1.Backup
}

// StartRestore makes the source's finished Backup known in a target, with the
// PodVolumeBackups that belong to it, and then makes the Restore.
type StartRestore struct {
	Source, Target Cluster
	// There is the Backup in the target; nil if it is to be made known there.
	There *velerov1.Backup
	// From is the Backup in the source that is to be made known; nil if There is
	// not.
	From *velerov1.Backup
	// Location is the target's name of the storage that From is in.
	Location string
	// Refused is a Restore that Velero refused before it had noticed the Backup, and
	// that is deleted before it is made again; nil if there is none.
	Refused *velerov1.Restore
	// Restore is made last: when it exists, all that it needs exists.
	Restore *velerov1.Restore
}

// Cluster is the source.
func (a CreateBackup) Cluster() Cluster { return a.Source }

// Cluster is the target.
func (a StartRestore) Cluster() Cluster { return a.Target }

// Next is what is to be done now, given what is recorded in m: only what is
// recorded is acted upon, so after a crash the same is done again.
func Next(m *v1alpha1.Migrate, seen Observation) []Action {
	recorded := &m.Status
	if m.DeletionTimestamp != nil || IsTerminal(recorded.Phase) || !IsPinned(recorded) {
		return nil
	}
	source := recorded.SourceClusterStatus
	if source.Phase == v1alpha1.MigratePhaseCompleted {
		return nextRestores(m, seen)
	}
	member := seen.Members[ClusterOf(source.ClusterPart)]
	if member.Backup != nil || source.BackupStatusInCluster != nil {
		return nil
	}
	if _, ready := sourceReadiness(m, source, recorded.TargetClusterStatus, seen); !ready {
		return nil
	}
	location := velero.DefaultLocation(member.Locations)
	return []Action{CreateBackup{
		Source: ClusterOf(source.ClusterPart),
		Backup: velero.NewBackup(m, source.ClusterName, location.Name),
	}}
}

func nextRestores(m *v1alpha1.Migrate, seen Observation) []Action {
	source := m.Status.SourceClusterStatus
	from := seen.Members[ClusterOf(source.ClusterPart)]
	var actions []Action
	for i := range m.Status.TargetClusterStatus {
		target := &m.Status.TargetClusterStatus[i]
		cluster := ClusterOf(target.ClusterPart)
		member := seen.Members[cluster]
		if IsTerminal(target.Phase) || target.RestoreStatusInCluster != nil || member.Restore != nil && !isRefusedEarly(member) {
			continue
		}
		if _, ready := targetReadiness(m, target, source, seen); !ready {
			continue
		}
		action := StartRestore{
			Source:  ClusterOf(source.ClusterPart),
			Target:  cluster,
			There:   member.Backup,
			Refused: member.Restore,
			Restore: velero.NewRestore(m, target.ClusterName, source.BackupNameInCluster),
		}
		if action.There == nil {
			location, _, _ := receivingLocation(target.ClusterPart, source, seen)
			action.From, action.Location = from.Backup, location.target.Name
		}
		actions = append(actions, action)
	}
	return actions
}

// isRefusedEarly says whether Velero refused a target's Restore because it had not
// noticed the Backup yet, although that is there. Nothing was restored then.
func isRefusedEarly(target Member) bool {
	return target.Restore != nil && velero.IsBackupNotFound(target.Restore) &&
		target.Backup != nil && target.Backup.Status.Phase == velerov1.BackupPhaseCompleted
}
