// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

func TestBackupHasTheWholeFilter(t *testing.T) {
	m := migrate("ns", "app", "c948154d-1727")
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "busybox"}}
	m.Spec.Policy = &v1alpha1.MigratePolicy{
		OrderedResources: map[string]string{"pods": "ns/a,ns/b"},
		ResourceFilter: &v1alpha1.ResourceFilter{
			IncludedNamespaces: []string{"a"}, ExcludedNamespaces: []string{"b"},
			IncludedResources: []string{"c"}, ExcludedResources: []string{"d"},
			IncludeClusterResources:          new(true),
			IncludedClusterScopedResources:   []string{"e"},
			ExcludedClusterScopedResources:   []string{"f"},
			IncludedNamespaceScopedResources: []string{"g"},
			ExcludedNamespaceScopedResources: []string{"h"},
			LabelSelector:                    selector,
			OrLabelSelectors:                 []*metav1.LabelSelector{selector},
		},
	}
	want := &velerov1.Backup{
		ObjectMeta: metav1.ObjectMeta{
			Name:        "m1-migrate-ns-app-c948154d",
			Labels:      map[string]string{"backup.kurator.dev/migrate-uid": "c948154d-1727"},
			Annotations: map[string]string{"backup.kurator.dev/migrate": "ns/app"},
		},
		Spec: velerov1.BackupSpec{
			StorageLocation:    "default",
			OrderedResources:   map[string]string{"pods": "ns/a,ns/b"},
			IncludedNamespaces: []string{"a"}, ExcludedNamespaces: []string{"b"},
			IncludedResources: []string{"c"}, ExcludedResources: []string{"d"},
			IncludeClusterResources:          new(true),
			IncludedClusterScopedResources:   []string{"e"},
			ExcludedClusterScopedResources:   []string{"f"},
			IncludedNamespaceScopedResources: []string{"g"},
			ExcludedNamespaceScopedResources: []string{"h"},
			LabelSelector:                    selector,
			OrLabelSelectors:                 []*metav1.LabelSelector{selector},
		},
	}
	if diff := cmp.Diff(want, Backup(m, "m1", "default")); diff != "" {
		t.Errorf("Backup (-want +got):\n%s", diff)
	}
}

func TestRestoreHasTheWholePolicy(t *testing.T) {
	m := migrate("ns", "app", "c948154d-1727")
	m.Spec.Policy = &v1alpha1.MigratePolicy{
		NamespaceMapping:  map[string]string{"a": "b"},
		MigrateStatus:     &v1alpha1.PreserveStatus{IncludedResources: []string{"*"}, ExcludedResources: []string{"pods"}},
		PreserveNodePorts: new(false),
	}
	want := velerov1.RestoreSpec{
		BackupName:        "the-backup",
		NamespaceMapping:  map[string]string{"a": "b"},
		RestoreStatus:     &velerov1.RestoreStatusSpec{IncludedResources: []string{"*"}, ExcludedResources: []string{"pods"}},
		PreserveNodePorts: new(false),
	}
	got := Restore(m, "m2", "the-backup")
	if diff := cmp.Diff(want, got.Spec); diff != "" {
		t.Errorf("Restore spec (-want +got):\n%s", diff)
	}
	if got.Name != "m2-migrate-ns-app-c948154d" {
		t.Errorf("Restore name %q", got.Name)
	}
}

func TestNoPolicyIsVelerosDefault(t *testing.T) {
	m := migrate("ns", "app", "c948154d-1727")
	if diff := cmp.Diff(velerov1.BackupSpec{StorageLocation: "l"}, Backup(m, "m1", "l").Spec); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(velerov1.RestoreSpec{BackupName: "b"}, Restore(m, "m1", "b").Spec); diff != "" {
		t.Error(diff)
	}
}

func TestIsSyncComplete(t *testing.T) {
	at := func(second int) *metav1.Time {
		return &metav1.Time{Time: time.Date(2023, 10, 28, 15, 55, second, 0, time.UTC)}
	}
	backup := &velerov1.Backup{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: *at(10)}}
	for _, tt := range []struct {
		synced *metav1.Time
		want   bool
	}{{nil, false}, {at(9), false}, {at(10), true}, {at(11), true}} {
		location := &velerov1.BackupStorageLocation{Status: velerov1.BackupStorageLocationStatus{LastSyncedTime: tt.synced}}
		if got := IsSyncComplete(backup, location); got != tt.want {
			t.Errorf("Backup of second 10, synced at %v: %v", tt.synced, got)
		}
	}
}

func TestIsFound(t *testing.T) {
	ended := &metav1.Time{Time: time.Unix(10, 0)}
	for _, tt := range []struct {
		generation int64
		ended      *metav1.Time
		want       bool
	}{{1, nil, false}, {7, ended, false}, {0, ended, false}, {1, ended, true}} {
		backup := &velerov1.Backup{
			ObjectMeta: metav1.ObjectMeta{Generation: tt.generation},
			Status:     velerov1.BackupStatus{CompletionTimestamp: tt.ended},
		}
		if got := IsFound(backup); got != tt.want {
			t.Errorf("generation %d, ended %v: %v", tt.generation, tt.ended, got)
		}
	}
}

func TestHandOver(t *testing.T) {
	source := &velerov1.Backup{
		ObjectMeta: metav1.ObjectMeta{
			Name: "b", Namespace: "velero", UID: "u-source", ResourceVersion: "7",
			Labels:      map[string]string{"velero.io/storage-location": "blue", MigrateUIDLabel: "u1"},
			Annotations: map[string]string{"velero.io/source-cluster-k8s-gitversion": "v1.36.3"},
		},
		Spec: velerov1.BackupSpec{
			StorageLocation: "blue", IncludedNamespaces: []string{"x"},
			Hooks: velerov1.BackupHooks{Resources: []velerov1.BackupResourceHookSpec{{Name: "h"}}},
		},
		Status: velerov1.BackupStatus{Phase: velerov1.BackupPhaseCompleted},
	}
	m := migrate("ns", "app", "u1")
	backup := HandedOverBackup(m, source, "green", 1)
	want := &velerov1.Backup{
		ObjectMeta: metav1.ObjectMeta{
			Name:   "b",
			Labels: map[string]string{MigrateUIDLabel: "u1"},
			Annotations: map[string]string{
				"velero.io/source-cluster-k8s-gitversion":           "v1.36.3",
				"backup.kurator.dev/handed-over-pod-volume-backups": "1",
				"backup.kurator.dev/migrate":                        "ns/app",
			},
		},
		Spec:   velerov1.BackupSpec{StorageLocation: "green", IncludedNamespaces: []string{"x"}},
		Status: velerov1.BackupStatus{Phase: velerov1.BackupPhaseCompleted},
	}
	if diff := cmp.Diff(want, backup); diff != "" {
		t.Errorf("Backup (-want +got):\n%s", diff)
	}
	delete(source.Labels, MigrateUIDLabel)
	if got := HandedOverBackup(m, source, "green", 1).Labels[MigrateUIDLabel]; got != "u1" {
		t.Errorf("where the source's Backup has lost its label, the target's has %q", got)
	}
	if source.Labels["velero.io/storage-location"] != "blue" {
		t.Error("the source's Backup was written to")
	}

	backup.UID = "u-target"
	pvb := HandedOverPodVolumeBackup(&velerov1.PodVolumeBackup{
		ObjectMeta: metav1.ObjectMeta{
			Name: "p", Labels: map[string]string{"velero.io/backup-name": "b", "velero.io/backup-uid": "u-source"},
			OwnerReferences: []metav1.OwnerReference{{Kind: "Backup", Name: "b", UID: "u-source"}},
		},
		Spec:   velerov1.PodVolumeBackupSpec{BackupStorageLocation: "blue", Volume: "data"},
		Status: velerov1.PodVolumeBackupStatus{SnapshotID: "s"},
	}, backup)
	wantPVB := &velerov1.PodVolumeBackup{
		ObjectMeta: metav1.ObjectMeta{
			Name: "p", Labels: map[string]string{"velero.io/backup-name": "b", "velero.io/backup-uid": "u-target"},
			Annotations: map[string]string{"backup.kurator.dev/migrate": "ns/app"},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "velero.io/v1", Kind: "Backup", Name: "b", UID: "u-target", Controller: new(true),
			}},
		},
		Spec:   velerov1.PodVolumeBackupSpec{BackupStorageLocation: "green", Volume: "data"},
		Status: velerov1.PodVolumeBackupStatus{SnapshotID: "s"},
	}
	if diff := cmp.Diff(wantPVB, pvb); diff != "" {
		t.Errorf("PodVolumeBackup (-want +got):\n%s", diff)
	}

	older := pvb.DeepCopy()
	older.OwnerReferences[0].UID = "u-before"
	for name, tt := range map[string]struct {
		there []velerov1.PodVolumeBackup
		want  bool
	}{
		"none":                 {nil, false},
		"all":                  {[]velerov1.PodVolumeBackup{*pvb}, true},
		"of an earlier Backup": {[]velerov1.PodVolumeBackup{*older}, false},
	} {
		if got := IsHandoffComplete(backup, tt.there); got != tt.want {
			t.Errorf("complete with %s: %v", name, got)
		}
	}
}
