// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// MovesNoVolumeData reports whether the claims of m are to arrive empty.
func MovesNoVolumeData(m *v1alpha1.Migrate) bool {
	return m.Spec.Policy != nil && m.Spec.Policy.Volumes != nil && m.Spec.Policy.Volumes.Data == v1alpha1.VolumeDataNone
}

// applyVolumes sets how a Backup takes the data of volumes. It sets every choice that Velero has,
// so that the defaults of the source's Velero don't add another way.
func applyVolumes(backup *velerov1.BackupSpec, data v1alpha1.VolumeDataPolicy) {
	switch data {
	case v1alpha1.VolumeDataFileSystemBackup:
		backup.DefaultVolumesToFsBackup, backup.SnapshotVolumes, backup.SnapshotMoveData = new(true), new(false), new(false)
	case v1alpha1.VolumeDataSnapshotDataMovement:
		backup.DefaultVolumesToFsBackup, backup.SnapshotVolumes, backup.SnapshotMoveData = new(false), new(true), new(true)
	case v1alpha1.VolumeDataNone:
		backup.DefaultVolumesToFsBackup, backup.SnapshotVolumes, backup.SnapshotMoveData = new(false), new(false), new(false)
		// Without it, the volumes that the annotations of pods name are backed up.
		backup.ResourcePolicy = &corev1.TypedLocalObjectReference{Kind: "configmap", Name: NoVolumeData().Name}
	}
}

// NoVolumeData returns the ConfigMap with the resource policies of Backups that take no data of volumes,
// also not of those that the annotations of pods name. All Backups of a Velero share it: Velero reads it
// before the Backup exists that could own it.
func NoVolumeData() *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Name: "kurator-migrate-no-volume-data",
			Annotations: map[string]string{
				"kubernetes.io/description": "Velero resource policies of Migrates with spec.policy.volumes.data None",
			},
		},
		Immutable: new(true),
		// Every volume has a capacity of at least 0.
		Data: map[string]string{"policies.yaml": `{"version":"v1","volumePolicies":[{"conditions":{"capacity":"0,"},"action":{"type":"skip"}}]}`},
	}
}
