// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// Operation is the Backup or a Restore of a Migrate. Velero uploads its log and its results when it has ended.
type Operation struct {
	Cluster Cluster
	Stage   string
	// Object is the name of the Backup or Restore; empty before there is one.
	Object string
	// NotStarted is why there is none yet; empty if there is one.
	NotStarted string
}

// Operations returns the Backup and the Restores of m, in the order of its status, or only that in the cluster
// of a name. The error says what to name instead.
func Operations(m *v1alpha1.Migrate, cluster string) ([]Operation, error) {
	source := m.Status.SourceClusterStatus
	if source == nil {
		return nil, NotStartedError("the migration has not started; see its status")
	}
	backup := Operation{Cluster: ClusterOf(source.ClusterStatus), Stage: v1alpha1.MigrateStageBackup}
	backup.set(source.BackupStatusInCluster != nil, source.BackupNameInCluster, source.ClusterStatus)
	all := []Operation{backup}
	var names []string
	for _, target := range m.Status.TargetClusterStatus {
		restore := Operation{Cluster: ClusterOf(target.ClusterStatus), Stage: v1alpha1.MigrateStageRestore}
		restore.set(target.RestoreStatusInCluster != nil, target.RestoreNameInCluster, target.ClusterStatus)
		all, names = append(all, restore), append(names, target.ClusterName)
	}
	if cluster == "" {
		return all, nil
	}
	named := slices.DeleteFunc(all, func(o Operation) bool { return o.Cluster.Name != cluster })
	if len(named) == 0 {
		return nil, fmt.Errorf("%s is not a cluster of this migration; the source is %s, the targets are %s", cluster, source.ClusterName, strings.Join(names, ", "))
	}
	return named, nil
}

// set sets the object, or why there is none.
func (o *Operation) set(exists bool, name string, cs v1alpha1.ClusterStatus) {
	if exists {
		o.Object = name
		return
	}
	o.NotStarted = fmt.Sprintf("there is no %s in %s: %s", o.kind(), cs.ClusterName, cs.Message)
}

func (o Operation) kind() string {
	if o.Stage == v1alpha1.MigrateStageRestore {
		return "Restore"
	}
	return "Backup"
}

// NotStartedError reports that there is no Backup or Restore yet.
type NotStartedError string

func (e NotStartedError) Error() string { return string(e) }

// LogOf returns the operation whose log options name: without a cluster the Backup, or with the stage restore
// the only Restore. The error says what to name instead.
func LogOf(m *v1alpha1.Migrate, options *v1alpha1.MigrateLogOptions) (Operation, error) {
	if options.Stage != "" && options.Stage != v1alpha1.MigrateStageBackup && options.Stage != v1alpha1.MigrateStageRestore {
		return Operation{}, fmt.Errorf("stage is %q; it must be %s or %s", options.Stage, v1alpha1.MigrateStageBackup, v1alpha1.MigrateStageRestore)
	}
	found, err := Operations(m, options.Cluster)
	if err != nil {
		return Operation{}, err
	}
	if options.Stage != "" {
		found = slices.DeleteFunc(found, func(o Operation) bool { return o.Stage != options.Stage })
	}
	switch {
	case len(found) == 0:
		return Operation{}, fmt.Errorf("%s has no log of the stage %s: the Backup is in the source %s, the Restores are in the targets", options.Cluster, options.Stage, m.Status.SourceClusterStatus.ClusterName)
	case len(found) > 1 && options.Stage == v1alpha1.MigrateStageRestore:
		var names []string
		for _, o := range found {
			names = append(names, o.Cluster.Name)
		}
		return Operation{}, fmt.Errorf("there are several targets; set cluster to one of %s", strings.Join(names, ", "))
	case found[0].Object == "":
		return Operation{}, NotStartedError("there is no log yet, because " + found[0].NotStarted)
	}
	return found[0], nil
}

// ErrNoLog reports that a file is not a log of Velero.
var ErrNoLog = errors.New("the storage has no log of Velero under this name")

// LogRequest returns the request for the URL of the log.
func (o Operation) LogRequest(m *v1alpha1.Migrate) *velerov1.DownloadRequest {
	kind := velerov1.DownloadTargetKindBackupLog
	if o.Stage == v1alpha1.MigrateStageRestore {
		kind = velerov1.DownloadTargetKindRestoreLog
	}
	return velero.NewDownloadRequest(m, kind, o.Object)
}

// ResultsRequest returns the request for all that Velero has uploaded about the operation, which has ended.
func (o Operation) ResultsRequest(m *v1alpha1.Migrate, seen Member) ResultsRequest {
	var request ResultsRequest
	if o.Stage == v1alpha1.MigrateStageRestore {
		request, _ = restoreResults(m, m.Status.SourceClusterStatus, targetOf(&m.Status, o.Cluster), seen.Restore)
		request.Results = velero.NewDownloadRequest(m, velerov1.DownloadTargetKindRestoreResults, o.Object)
	} else {
		request.BackedUp, request.BackedUpVolumes = backupLists(m, seen.Backup)
		request.Results = velero.NewDownloadRequest(m, velerov1.DownloadTargetKindBackupResults, o.Object)
	}
	request.Log, request.CA = o.LogRequest(m), StorageOf(seen)
	return request
}

// HasEnded reports whether Velero has ended with the operation, and so uploaded what; if not, why says what it
// does.
func (o Operation) HasEnded(seen Member, what string) (ended bool, why string) {
	var phase string
	if o.Stage == v1alpha1.MigrateStageBackup {
		phase, ended = string(seen.Backup.Status.Phase), hasEnded(seen.Backup)
	} else {
		phase, ended = string(seen.Restore.Status.Phase), hasEnded(seen.Restore)
	}
	if ended {
		return true, ""
	}
	return false, fmt.Sprintf("%s in %s is %s, and Velero uploads its %s when it has ended", o.Object, o.Cluster.Name, cmp.Or(phase, "New"), what)
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
