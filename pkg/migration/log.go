// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// Log is the log that Velero writes of a Backup or Restore, and uploads when that has ended.
type Log struct {
	Cluster Cluster
	Stage   string
	// Object is the name of the Backup or Restore.
	Object string
}

// LogOf returns the log of m that options name. The error says what to name instead.
func LogOf(m *v1alpha1.Migrate, options *v1alpha1.MigrateLogOptions) (Log, error) {
	source := m.Status.SourceClusterStatus
	switch {
	case options.Stage != "" && options.Stage != v1alpha1.MigrateStageBackup && options.Stage != v1alpha1.MigrateStageRestore:
		return Log{}, fmt.Errorf("stage is %q; it must be %s or %s", options.Stage, v1alpha1.MigrateStageBackup, v1alpha1.MigrateStageRestore)
	case source == nil:
		return Log{}, NoLogYetError("there is no log yet, because the migration has not started; see its status")
	case options.Stage != v1alpha1.MigrateStageRestore && cmp.Or(options.Cluster, source.ClusterName) == source.ClusterName:
		if source.BackupStatusInCluster == nil {
			return Log{}, noLogYet("Backup", source.ClusterStatus)
		}
		return Log{ClusterOf(source.ClusterStatus), v1alpha1.MigrateStageBackup, source.BackupNameInCluster}, nil
	case options.Stage == v1alpha1.MigrateStageBackup:
		return Log{}, fmt.Errorf("the Backup is in cluster %s, not in %s", source.ClusterName, options.Cluster)
	}
	var names []string
	for _, target := range m.Status.TargetClusterStatus {
		names = append(names, target.ClusterName)
		if target.ClusterName != options.Cluster && (options.Cluster != "" || len(m.Status.TargetClusterStatus) > 1) {
			continue
		}
		if target.RestoreStatusInCluster == nil {
			return Log{}, noLogYet("Restore", target.ClusterStatus)
		}
		return Log{ClusterOf(target.ClusterStatus), v1alpha1.MigrateStageRestore, target.RestoreNameInCluster}, nil
	}
	if options.Cluster == "" {
		return Log{}, fmt.Errorf("there are several targets; set cluster to one of %s", strings.Join(names, ", "))
	}
	return Log{}, fmt.Errorf("%s is not a cluster of this stage; the source is %s, the targets are %s", options.Cluster, source.ClusterName, strings.Join(names, ", "))
}

// NoLogYetError reports that what the log is of does not exist yet.
type NoLogYetError string

func (e NoLogYetError) Error() string { return string(e) }

func noLogYet(kind string, cs v1alpha1.ClusterStatus) error {
	return NoLogYetError(fmt.Sprintf("there is no log yet, because there is no %s in %s: %s", kind, cs.ClusterName, cs.Message))
}

// ErrNoLog reports that a file is not a log of Velero.
var ErrNoLog = errors.New("the storage has no log of Velero under this name")

// DownloadRequest returns the request for the URL of the log.
func (l Log) DownloadRequest(m *v1alpha1.Migrate) *velerov1.DownloadRequest {
	kind := velerov1.DownloadTargetKindBackupLog
	if l.Stage == v1alpha1.MigrateStageRestore {
		kind = velerov1.DownloadTargetKindRestoreLog
	}
	return velero.NewDownloadRequest(m, kind, l.Object)
}

// IsUploaded reports whether Velero has ended with the object of the log; if not, why says what it does.
func (l Log) IsUploaded(seen Member) (uploaded bool, why string) {
	var phase string
	if l.Stage == v1alpha1.MigrateStageBackup {
		phase, uploaded = string(seen.Backup.Status.Phase), hasEnded(seen.Backup)
	} else {
		phase, uploaded = string(seen.Restore.Status.Phase), hasEnded(seen.Restore)
	}
	if uploaded {
		return true, ""
	}
	return false, fmt.Sprintf("%s in %s is %s, and Velero uploads its log when it has ended", l.Object, l.Cluster.Name, cmp.Or(phase, "New"))
}

// StorageOf returns what proves the identity of the storage that a member uses for a Backup.
func StorageOf(seen Member) (ca StorageCA) {
	if b := seen.Backup; b != nil {
		if l := locationNamed(b.Spec.StorageLocation, seen.Locations); l != nil && l.Spec.ObjectStorage != nil {
			ca = StorageCA{PEM: l.Spec.ObjectStorage.CACert, Secret: l.Spec.ObjectStorage.CACertRef}
		}
	}
	return ca
}
