// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// HandedOverBackup returns the Backup object that makes a finished Backup of the source
// known in a target cluster, whose Velero finds the data at storageLocation. It does what
// Velero's own sync of the bucket would do (backup_sync_controller), but the source is
// not believed beyond its own cluster: name is the recorded one, and the spec, labels and
// annotations are built from the Migrate. Of the source's object the target gets only
// what its Velero reads to restore, to show and to collect the Backup: how volumes were
// moved, the format, times and counts.
//
// An annotation says how many of podVolumeBackups make the handoff complete. The label
// velero.io/storage-location is left out: by it the sync finds the Backups that it
// deletes because they were not in the bucket when it began, as this one may not have
// been. Its own expiry still has Velero collect the object.
func HandedOverBackup(m *v1alpha1.Migrate, name string, source *velerov1.Backup, storageLocation string, podVolumeBackups int) *velerov1.Backup {
	source = source.DeepCopy()
	backup := Backup(m, "", storageLocation)
	backup.Name = name
	backup.Annotations[HandedOverAnnotation] = strconv.Itoa(podVolumeBackups)
	backup.Spec.SnapshotMoveData = source.Spec.SnapshotMoveData
	backup.Spec.CSISnapshotTimeout = source.Spec.CSISnapshotTimeout
	backup.Status = velerov1.BackupStatus{
		Phase:               velerov1.BackupPhaseCompleted,
		Version:             source.Status.Version,
		FormatVersion:       source.Status.FormatVersion,
		StartTimestamp:      source.Status.StartTimestamp,
		CompletionTimestamp: source.Status.CompletionTimestamp,
		Expiration:          source.Status.Expiration,
		Progress:            source.Status.Progress,
		Warnings:            source.Status.Warnings,
	}
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
	volumes := sets.New[podVolume]()
	for i := range there {
		if IsOwnedBy(&there[i], backup) {
			volumes.Insert(podVolumeOf(&there[i]))
		}
	}
	return backup.Annotations[HandedOverAnnotation] == strconv.Itoa(len(volumes))
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

// podVolume is a volume of a pod in the source.
type podVolume struct{ namespace, pod, volume string }

func podVolumeOf(pvb *velerov1.PodVolumeBackup) podVolume {
	return podVolume{pvb.Spec.Pod.Namespace, pvb.Spec.Pod.Name, pvb.Spec.Volume}
}

// VolumesToHandOver returns those PodVolumeBackups of the source's Backup that hold data:
// Velero restores no others, and its node-agent would take up one that is unfinished as
// work of its own. It is an error if one is of a namespace that the Migrate does not
// select.
func VolumesToHandOver(m *v1alpha1.Migrate, all []velerov1.PodVolumeBackup) ([]velerov1.PodVolumeBackup, error) {
	seen := sets.New[podVolume]()
	var volumes []velerov1.PodVolumeBackup
	for i := range all {
		pvb := &all[i]
		if !TakesNamespace(m, pvb.Spec.Pod.Namespace) {
			return nil, fmt.Errorf("PodVolumeBackup %s is of a pod in namespace %q, which the Migrate does not select; the Backup is not handed over with it",
				pvb.Name, pvb.Spec.Pod.Namespace)
		}
		if pvb.Status.Phase != velerov1.PodVolumeBackupPhaseCompleted || pvb.Status.SnapshotID == "" || seen.Has(podVolumeOf(pvb)) {
			continue
		}
		seen.Insert(podVolumeOf(pvb))
		volumes = append(volumes, *pvb)
	}
	return volumes, nil
}

// HandedOverPodVolumeBackup returns the PodVolumeBackup that makes one of the source
// known in a target cluster, where backup is the Backup that it belongs to. It has which
// snapshot holds which volume of which pod, by which uploader, and how large that is;
// everything else is the target's. Velero looks for the snapshot in the repository of
// the pod's namespace at the Backup's location, so no repository is named.
func HandedOverPodVolumeBackup(source *velerov1.PodVolumeBackup, backup *velerov1.Backup) *velerov1.PodVolumeBackup {
	source = source.DeepCopy()
	pvb := &velerov1.PodVolumeBackup{
		ObjectMeta: metav1.ObjectMeta{
			Name: podVolumeBackupName(backup.Name, podVolumeOf(source)),
			Labels: map[string]string{
				velerov1.BackupNameLabel: LabelValue(backup.Name),
				velerov1.BackupUIDLabel:  string(backup.UID),
				MigrateUIDLabel:          backup.Labels[MigrateUIDLabel],
			},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: velerov1.SchemeGroupVersion.String(),
				Kind:       "Backup",
				Name:       backup.Name,
				UID:        backup.UID,
				Controller: new(true),
			}},
		},
		Spec: velerov1.PodVolumeBackupSpec{
			Pod:                   corev1.ObjectReference{Kind: "Pod", Namespace: source.Spec.Pod.Namespace, Name: source.Spec.Pod.Name},
			Volume:                source.Spec.Volume,
			UploaderType:          source.Spec.UploaderType,
			BackupStorageLocation: backup.Spec.StorageLocation,
		},
		Status: velerov1.PodVolumeBackupStatus{
			Phase:               velerov1.PodVolumeBackupPhaseCompleted,
			SnapshotID:          source.Status.SnapshotID,
			StartTimestamp:      source.Status.StartTimestamp,
			CompletionTimestamp: source.Status.CompletionTimestamp,
			Progress:            source.Status.Progress,
		},
	}
	for _, key := range []string{MigrateAnnotation, RequesterAnnotation} {
		if value, ok := backup.Annotations[key]; ok {
			metav1.SetMetaDataAnnotation(&pvb.ObjectMeta, key, value)
		}
	}
	return pvb
}

// podVolumeBackupName is the same each time, so that a handoff that was broken off can be
// completed.
func podVolumeBackupName(backup string, v podVolume) string {
	const hashLength = 10
	sum := sha256.Sum256([]byte(strings.Join([]string{v.namespace, v.pod, v.volume}, "/")))
	suffix := "-" + hex.EncodeToString(sum[:])[:hashLength]
	if room := validation.DNS1123SubdomainMaxLength - len(suffix); len(backup) > room {
		backup = strings.TrimRight(backup[:room], "-.")
	}
	return backup + suffix
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
