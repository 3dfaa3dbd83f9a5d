// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// HandedOverBackup is the Backup object that makes a finished Backup of the
// source known in a target cluster, whose Velero finds the data at
// storageLocation, together with its PodVolumeBackups. It is what Velero's own
// sync of the bucket would create (backup_sync_controller): name, labels and
// annotations, spec without hooks and with the local storage location, status.
//
// Three things differ. What says whose it is, and who asked for it, is that of its
// Migrate, also where somebody changed that of the source's. An annotation tells when
// the handoff is complete. And the label velero.io/storage-location is left out: by it
// the sync finds the Backups that it deletes because they were not in the bucket when
// it began, as this one may not have been. Its own expiry still has Velero collect the
// object.
func HandedOverBackup(m *v1alpha1.Migrate, source *velerov1.Backup, storageLocation string, podVolumeBackups int) *velerov1.Backup {
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
	delete(backup.Labels, velerov1.StorageLocationLabel)
	delete(backup.Annotations, RequesterAnnotation)
	ours := objectMeta("", m)
	for key, value := range ours.Labels {
		metav1.SetMetaDataLabel(&backup.ObjectMeta, key, value)
	}
	for key, value := range ours.Annotations {
		metav1.SetMetaDataAnnotation(&backup.ObjectMeta, key, value)
	}
	metav1.SetMetaDataAnnotation(&backup.ObjectMeta, HandedOverAnnotation, strconv.Itoa(podVolumeBackups))
	return backup
}

// IsHandedOver says whether we made this Backup known in its cluster.
func IsHandedOver(backup *velerov1.Backup) bool {
	_, ok := backup.Annotations[HandedOverAnnotation]
	return ok
}

// IsHandoffComplete says whether all PodVolumeBackups of a Backup that we handed
// over are among those of its cluster. One that belongs to another Backup object
// of the same name does not count: it is about to be collected with it.
func IsHandoffComplete(backup *velerov1.Backup, there []velerov1.PodVolumeBackup) bool {
	owned := 0
	for i := range there {
		if IsOwnedBy(&there[i], backup) {
			owned++
		}
	}
	return backup.Annotations[HandedOverAnnotation] == strconv.Itoa(owned)
}

// IsOwnedBy says whether a PodVolumeBackup belongs to this very Backup object.
func IsOwnedBy(pvb *velerov1.PodVolumeBackup, backup *velerov1.Backup) bool {
	return slices.ContainsFunc(pvb.OwnerReferences, func(o metav1.OwnerReference) bool { return o.UID == backup.UID })
}

// IsFound says whether a finished Backup was found in the storage by Velero: its
// object was created as it is. One that Velero has made has changed since it was
// created, and Velero's Backups have no status subresource, so each change of their
// status is a new generation.
func IsFound(backup *velerov1.Backup) bool {
	return backup.Generation == 1 && backup.Status.CompletionTimestamp != nil
}

// IsSyncComplete says whether Velero, which found a Backup by itself, has made
// known all that belongs to it: the round of its sync that created the Backup has
// ended since.
func IsSyncComplete(backup *velerov1.Backup, location *velerov1.BackupStorageLocation) bool {
	synced := location.Status.LastSyncedTime
	return synced != nil && !synced.Before(&backup.CreationTimestamp)
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
	for _, key := range []string{MigrateAnnotation, RequesterAnnotation} {
		if value, ok := backup.Annotations[key]; ok {
			metav1.SetMetaDataAnnotation(&pvb.ObjectMeta, key, value)
		}
	}
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
