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

// NewHandedOverBackup returns the object for a target cluster by which its Velero can restore
// a completed Backup of the source: Velero finds the data at storageLocation. It is what
// Velero's own backup_sync_controller would create, except that the source is not trusted
// beyond its own cluster: name is the recorded one, and spec, labels and annotations are
// built from the Migrate. Copied from the source's object are only the fields that Velero
// reads to restore, show and garbage-collect the Backup: how volumes were moved, the format,
// times and counts.
//
// An annotation holds podVolumeBackups, the number of them that completes the handoff. The
// label velero.io/storage-location is not set: the sync controller deletes Backups with that
// label which it did not list in the bucket, and its list may be older than this Backup.
// Velero still garbage-collects the object when it expires.
func NewHandedOverBackup(m *v1alpha1.Migrate, name string, source *velerov1.Backup, storageLocation string, podVolumeBackups int) *velerov1.Backup {
	source = source.DeepCopy()
	backup := NewBackup(m, "", storageLocation)
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

// IsHandedOver reports whether this server created backup in a target, as
// NewHandedOverBackup returned it.
func IsHandedOver(backup *velerov1.Backup) bool {
	_, ok := backup.Annotations[HandedOverAnnotation]
	return ok
}

// IsHandoffComplete reports whether existing, the PodVolumeBackups of a target, has all that
// belong to a handed over backup. One that is owned by another Backup object of the same name
// does not count: it is about to be garbage-collected with that.
func IsHandoffComplete(backup *velerov1.Backup, existing []velerov1.PodVolumeBackup) bool {
	volumes := sets.New[podVolume]()
	for i := range existing {
		if IsOwnedBy(&existing[i], backup) {
			volumes.Insert(podVolumeOf(&existing[i]))
		}
	}
	return backup.Annotations[HandedOverAnnotation] == strconv.Itoa(len(volumes))
}

// IsOwnedBy reports whether pvb has an owner reference to backup, by its UID.
func IsOwnedBy(pvb *velerov1.PodVolumeBackup, backup *velerov1.Backup) bool {
	return slices.ContainsFunc(pvb.OwnerReferences, func(o metav1.OwnerReference) bool { return o.UID == backup.UID })
}

// IsSynced reports whether Velero's sync controller created the object of a finished Backup,
// from what it found in the storage: such an object is created with its final status. One
// that Velero processed has changed since its creation, and because Backups have no status
// subresource each change of their status increments the generation.
func IsSynced(backup *velerov1.Backup) bool {
	return backup.Generation == 1 && backup.Status.CompletionTimestamp != nil
}

// IsSyncComplete reports whether Velero's sync controller has also created what belongs to a
// Backup that it created: the sync of location ended after the creation of the Backup.
func IsSyncComplete(backup *velerov1.Backup, location *velerov1.BackupStorageLocation) bool {
	synced := location.Status.LastSyncedTime
	return synced != nil && !synced.Before(&backup.CreationTimestamp)
}

// podVolume identifies a volume of a pod in the source.
type podVolume struct{ namespace, pod, volume string }

func podVolumeOf(pvb *velerov1.PodVolumeBackup) podVolume {
	return podVolume{pvb.Spec.Pod.Namespace, pvb.Spec.Pod.Name, pvb.Spec.Volume}
}

// VolumesToHandOver returns the PodVolumeBackups of the source's Backup that hold data, one for
// each volume. Velero restores no others, and a target's node-agent would start to process an
// unfinished one. It returns an error if one belongs to a namespace that m does not select.
func VolumesToHandOver(m *v1alpha1.Migrate, all []velerov1.PodVolumeBackup) ([]velerov1.PodVolumeBackup, error) {
	seen := sets.New[podVolume]()
	var volumes []velerov1.PodVolumeBackup
	for i := range all {
		pvb := &all[i]
		if !SelectsNamespace(m, pvb.Spec.Pod.Namespace) {
			return nil, fmt.Errorf("PodVolumeBackup %s belongs to a pod in namespace %q, which the Migrate does not select; the Backup is not handed over with it",
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

// NewHandedOverPodVolumeBackup returns the PodVolumeBackup for a target that stands for source;
// backup is its Backup in the target. Copied from source are only the pod, the volume, the
// snapshot, its uploader and its size. No repository is named: Velero looks for the snapshot
// in the repository of the pod's namespace at the Backup's location.
func NewHandedOverPodVolumeBackup(source *velerov1.PodVolumeBackup, backup *velerov1.Backup) *velerov1.PodVolumeBackup {
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

// podVolumeBackupName returns the name of the PodVolumeBackup of v in a target. It is
// deterministic, so that an interrupted handoff can be resumed.
func podVolumeBackupName(backup string, v podVolume) string {
	const hashLength = 10
	sum := sha256.Sum256([]byte(strings.Join([]string{v.namespace, v.pod, v.volume}, "/")))
	suffix := "-" + hex.EncodeToString(sum[:])[:hashLength]
	if room := validation.DNS1123SubdomainMaxLength - len(suffix); len(backup) > room {
		backup = strings.TrimRight(backup[:room], "-.")
	}
	return backup + suffix
}

// RestoredBy returns a selector of what any of several Restores has created or changed, by the label that Velero gives it.
func RestoredBy(restores ...string) string {
	values := make([]string, 0, len(restores))
	for _, name := range restores {
		values = append(values, LabelValue(name))
	}
	slices.Sort(values)
	return velerov1.RestoreNameLabel + " in (" + strings.Join(values, ",") + ")"
}

// LabelValue returns the value of labels by which Velero refers to the object named name: the
// name or, if that is too long for a label, its beginning and a hash, as label.GetValidName of
// Velero returns it.
func LabelValue(name string) string {
	const hashLength = 6
	if len(name) <= validation.LabelValueMaxLength {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return name[:validation.LabelValueMaxLength-hashLength] + hex.EncodeToString(sum[:])[:hashLength]
}
