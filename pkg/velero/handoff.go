// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"crypto/sha256"
	"encoding/hex"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// HandedOverBackup is the Backup object that makes a finished Backup of the
// source known in a target cluster, whose Velero finds the data at
// storageLocation. It is what Velero's own sync of the bucket would create
// (backup_sync_controller): name, labels and annotations, spec without hooks and
// with the local storage location, status.
func HandedOverBackup(source *velerov1.Backup, storageLocation string) *velerov1.Backup {
	source = source.DeepCopy()
	backup := &velerov1.Backup{
		ObjectMeta: metav1.ObjectMeta{
			Name:        source.Name,
			Labels:      source.Labels,
			Annotations: source.Annotations,
		},
		Spec:   source.Spec,
		Status: source.Status,
	}
	backup.Spec.Hooks = velerov1.BackupHooks{}
	backup.Spec.StorageLocation = storageLocation
	metav1.SetMetaDataLabel(&backup.ObjectMeta, velerov1.StorageLocationLabel, LabelValue(storageLocation))
	return backup
}

// HandedOverPodVolumeBackup is the PodVolumeBackup that makes one of the source
// known in a target cluster, where backup is the Backup that it belongs to.
func HandedOverPodVolumeBackup(source *velerov1.PodVolumeBackup, backup *velerov1.Backup) *velerov1.PodVolumeBackup {
	source = source.DeepCopy()
	pvb := &velerov1.PodVolumeBackup{
		ObjectMeta: metav1.ObjectMeta{
			Name:        source.Name,
			Labels:      source.Labels,
			Annotations: source.Annotations,
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: velerov1.SchemeGroupVersion.String(),
				Kind:       "Backup",
				Name:       backup.Name,
				UID:        backup.UID,
				Controller: new(true),
			}},
		},
		Spec:   source.Spec,
		Status: source.Status,
	}
	pvb.Spec.BackupStorageLocation = backup.Spec.StorageLocation
	metav1.SetMetaDataLabel(&pvb.ObjectMeta, velerov1.BackupUIDLabel, string(backup.UID))
	return pvb
}

// LabelValue is the label value by which Velero refers to an object with the
// given name: the name, or where it is too long its start and a hash (Velero's
// label.GetValidName).
func LabelValue(name string) string {
	const hashLength = 6
	if len(name) <= validation.LabelValueMaxLength {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return name[:validation.LabelValueMaxLength-hashLength] + hex.EncodeToString(sum[:])[:hashLength]
}
