// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"fmt"
	"strings"

	"github.com/dustin/go-humanize"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
)

// cells returns the cells of a Migrate in kubectl get, besides its name.
func cells(obj runtime.Object, age string) ([]any, error) {
	m, ok := obj.(*backup.Migrate)
	if !ok {
		return nil, fmt.Errorf("%T is not a Migrate", obj)
	}
	return []any{string(m.Status.Phase), source(m), targets(m), items(m), age, data(m), backupName(m), message(m)}, nil
}

func columns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		{Name: "Phase", Type: "string", Description: "Phase of the migration."},
		{Name: "Source", Type: "string", Description: "Source cluster."},
		{Name: "Targets", Type: "string", Description: "Number of target clusters that are Completed, of all target clusters."},
		{Name: "Items", Type: "string", Description: "Number of items that were processed, of how many: by the backup, then by all restores."},
		{Name: "Age", Type: "string", Description: "Time since the Migrate was created."},
		{Name: "Data", Type: "string", Priority: 1, Description: "Size of the volume data that was moved, of all that is to be moved: into the storage, then into the targets."},
		{Name: "Backup", Type: "string", Priority: 1, Description: "Name of the Velero Backup."},
		{Name: "Message", Type: "string", Priority: 1, Description: "What the migration is waiting for, or why it ended."},
	}
}

const unknown = "<none>"

func source(m *backup.Migrate) string {
	if s := m.Status.SourceClusterStatus; s != nil && s.ClusterName != "" {
		return s.ClusterName
	}
	if named := m.Spec.SourceCluster.Clusters; len(named) > 0 {
		return named[0].Name
	}
	return unknown
}

// targets returns the number of Completed targets and of all, which are those of the spec until
// they are resolved.
func targets(m *backup.Migrate) string {
	done, all := 0, len(m.Status.TargetClusterStatus)
	for i := range m.Status.TargetClusterStatus {
		if m.Status.TargetClusterStatus[i].Phase == backup.MigratePhaseCompleted {
			done++
		}
	}
	if all == 0 {
		all = len(m.Spec.TargetCluster.Clusters)
	}
	if all == 0 {
		return "0/all"
	}
	return fmt.Sprintf("%d/%d", done, all)
}

// items returns how many items were processed, of how many: by the Backup and then, summed up, by the Restores.
func items(m *backup.Migrate) string {
	p := m.Status.Progress
	if p == nil || p.ItemsTotal == 0 && p.ItemsDone == 0 && !m.Status.Phase.IsTerminal() {
		return unknown
	}
	return fmt.Sprintf("%d/%d", p.ItemsDone, p.ItemsTotal)
}

// data returns how much data of volumes was moved, of how much: into the storage and then, summed up,
// into the targets.
func data(m *backup.Migrate) string {
	p := m.Status.Progress
	if p == nil || p.BytesTotal == 0 {
		return unknown
	}
	size := func(n int64) string { return strings.ReplaceAll(humanize.IBytes(uint64(max(n, 0))), " ", "") }
	return size(p.BytesDone) + "/" + size(p.BytesTotal)
}

func backupName(m *backup.Migrate) string {
	if s := m.Status.SourceClusterStatus; s != nil && s.BackupNameInCluster != "" {
		return s.BackupNameInCluster
	}
	return unknown
}

// message returns the most important message: an error before the progress.
func message(m *backup.Migrate) string {
	for _, find := range []func(*backup.MigrateStatus) string{
		inCondition(backup.ConditionStalled, metav1.ConditionTrue),
		inCondition(backup.ConditionSuspended, metav1.ConditionTrue),
		inFailedCluster,
		inCondition(backup.ConditionMembersReachable, metav1.ConditionFalse),
		inCondition(backup.ConditionItemsFound, metav1.ConditionFalse),
		inCondition(backup.ConditionReconciling, metav1.ConditionTrue),
		inCondition(backup.ConditionReady, ""),
	} {
		if found := find(&m.Status); found != "" {
			return found
		}
	}
	return unknown
}

// inCondition returns a function that returns the message of a condition with a status; with any
// if it is empty.
func inCondition(kind string, status metav1.ConditionStatus) func(*backup.MigrateStatus) string {
	return func(s *backup.MigrateStatus) string {
		c := apimeta.FindStatusCondition(s.Conditions, kind)
		if c == nil || (status != "" && c.Status != status) {
			return ""
		}
		return c.Message
	}
}

// inFailedCluster returns the message of the first cluster that failed.
func inFailedCluster(s *backup.MigrateStatus) string {
	if s.SourceClusterStatus != nil && failed(&s.SourceClusterStatus.ClusterStatus) {
		return s.SourceClusterStatus.Message
	}
	for i := range s.TargetClusterStatus {
		if status := &s.TargetClusterStatus[i].ClusterStatus; failed(status) {
			return status.ClusterName + ": " + status.Message
		}
	}
	return ""
}

func failed(status *backup.ClusterStatus) bool {
	switch status.Phase {
	case backup.MigratePhaseFailed, backup.MigratePhasePartiallyFailed, backup.MigratePhaseFailedValidation:
		return status.Message != ""
	}
	return false
}
