// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"errors"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/velero"
	"kurator.dev/migrate-apiserver/test/modelvelero"
)

// modelMember is a member cluster: its objects and its modelled Velero. Unit tests use it
// in immediateMember, the simulation in simulatedMember.
type modelMember struct {
	memory *modelvelero.Memory
	velero *modelvelero.Server
}

func newModelMember(name string, options modelvelero.Options, bucket *modelvelero.Bucket, now func() time.Time) modelMember {
	return modelMember{modelvelero.NewMemory(name, now), modelvelero.New(options, bucket)}
}

// addLocation creates the default storage location, in phase Available, at AWS or at an endpoint.
func (m *modelMember) addLocation(now time.Time, endpoint string) {
	var config map[string]string
	if endpoint != "" {
		config = map[string]string{"s3Url": endpoint}
	}
	_, _ = m.memory.Create(context.Background(), &velerov1.BackupStorageLocation{
		ObjectMeta: metav1.ObjectMeta{Name: "default"},
		Spec: velerov1.BackupStorageLocationSpec{Default: true, Provider: "aws", StorageType: velerov1.StorageType{
			ObjectStorage: &velerov1.ObjectStorageLocation{Bucket: "b"},
		}, Config: config},
		Status: velerov1.BackupStorageLocationStatus{
			Phase:              velerov1.BackupStorageLocationPhaseAvailable,
			LastValidationTime: &metav1.Time{Time: now},
		},
	})
}

// observe returns the observation of a Migrate from the objects of a member.
func observe(objects []modelvelero.Object, of migration.Objects) migration.Member {
	var seen migration.Member
	var backups []*velerov1.Backup
	var restores []*velerov1.Restore
	for _, object := range objects {
		switch o := object.(type) {
		case *velerov1.BackupStorageLocation:
			seen.Locations = append(seen.Locations, *o.DeepCopy())
		case *velerov1.Backup:
			backups = append(backups, o.DeepCopy())
		case *velerov1.Restore:
			restores = append(restores, o.DeepCopy())
		}
	}
	of.Pick(&seen, backups, restores)
	return seen
}

// running returns the Backups among the objects of a member that its Velero runs.
func running(c migration.Cluster, objects []modelvelero.Object) migration.Running {
	running := migration.Running{Server: c.Name}
	for _, object := range objects {
		if b, ok := object.(*velerov1.Backup); ok && velero.IsRunning(b.Status.Phase) {
			running.Backups = append(running.Backups, migration.RunningBackup{
				Name: b.Name, MigrateUID: velero.MigrateUID(b), Phase: b.Status.Phase, Created: b.CreationTimestamp.Time, Moved: b.CreationTimestamp.Time,
			})
		}
	}
	return running
}

// get returns a copy of an object.
func get[T modelvelero.Object](m modelMember, kind, name string) (T, error) {
	var zero T
	if name == "" {
		return zero, errors.New("resource name may not be empty")
	}
	object, err := m.memory.Get(modelvelero.Key{Kind: kind, Name: name})
	if err != nil {
		return zero, err
	}
	return object.DeepCopyObject().(T), nil
}

// storedBackups returns the locations and the completed Backups of a member.
func (m *modelMember) storedBackups() (stored migration.StoredBackups) {
	for _, object := range m.memory.Objects() {
		switch o := object.(type) {
		case *velerov1.BackupStorageLocation:
			stored.Locations = append(stored.Locations, *o.DeepCopy())
		case *velerov1.Backup:
			if finished, ok := velero.AsFinishedBackup(o); ok {
				stored.Backups = append(stored.Backups, finished)
			}
		}
	}
	return stored
}

// podVolumeBackups returns copies of the PodVolumeBackups of a Backup.
func (m *modelMember) podVolumeBackups(backup string) []velerov1.PodVolumeBackup {
	var found []velerov1.PodVolumeBackup
	for _, object := range m.memory.Objects() {
		if pvb, ok := object.(*velerov1.PodVolumeBackup); ok && pvb.Labels[velerov1.BackupNameLabel] == velero.LabelValue(backup) {
			found = append(found, *pvb.DeepCopy())
		}
	}
	return found
}

// deleteRestore deletes a Restore unless it has changed.
func (m *modelMember) deleteRestore(r *velerov1.Restore) error {
	current, err := m.memory.Get(modelvelero.KeyOf(r))
	if err != nil || current.GetUID() != r.UID || current.GetResourceVersion() != r.ResourceVersion {
		return apierrors.NewConflict(velerov1.Resource("restores"), r.Name, errors.New("it has changed"))
	}
	return m.memory.Delete(context.Background(), r)
}
