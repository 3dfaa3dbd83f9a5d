// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	veleroshared "github.com/vmware-tanzu/velero/pkg/apis/velero/shared"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// newRestore returns the Restore for a target from a Backup with contents.
func newRestore(m *v1alpha1.Migrate, cluster, backup string, contents *v1alpha1.BackupContents) *velerov1.Restore {
	return NewRestore(m, &v1alpha1.RestoreDetails{ClusterStatus: v1alpha1.ClusterStatus{ClusterName: cluster}}, &v1alpha1.BackupDetails{BackupNameInCluster: backup, Contents: contents})
}

// TestRestoreWithoutPods leaves the pods out of a Restore, unless there is nothing else.
func TestRestoreWithoutPods(t *testing.T) {
	for name, tt := range map[string]struct {
		filter             *v1alpha1.ResourceFilter
		contents           *v1alpha1.BackupContents
		included, excluded []string
	}{
		"everything":            {nil, nil, nil, []string{"pods"}},
		"contents":              {nil, &v1alpha1.BackupContents{Kinds: []string{"ConfigMap", "Pod"}}, []string{"configmaps"}, []string{"pods"}},
		"listed":                {&v1alpha1.ResourceFilter{IncludedResources: []string{"po", "secrets", "pods"}}, nil, []string{"secrets"}, []string{"pods"}},
		"excluded":              {&v1alpha1.ResourceFilter{ExcludedResources: []string{"pod"}}, nil, nil, []string{"pod"}},
		"nothing else":          {&v1alpha1.ResourceFilter{IncludedResources: []string{"pods"}}, nil, []string{"pods"}, nil},
		"nothing else, as kind": {&v1alpha1.ResourceFilter{IncludedResources: []string{"pod"}}, &v1alpha1.BackupContents{Kinds: []string{"Pod"}}, []string{"pod"}, nil},
	} {
		m := migrate("default", "app", "c948154d-1727")
		m.Spec.Policy = &v1alpha1.MigratePolicy{ResourceFilter: tt.filter}
		got := NewRestore(m, &v1alpha1.RestoreDetails{WithoutPods: true}, &v1alpha1.BackupDetails{Contents: tt.contents}).Spec
		if d := cmp.Diff(tt.included, got.IncludedResources, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s: included %s", name, d)
		}
		if d := cmp.Diff(tt.excluded, got.ExcludedResources, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s: excluded %s", name, d)
		}
	}
}

func TestNewBackupCopiesEveryFieldOfTheFilter(t *testing.T) {
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
	if diff := cmp.Diff(want, NewBackup(m, "m1", "default")); diff != "" {
		t.Errorf("Backup (-want +got):\n%s", diff)
	}
}

func TestNewBackupTakesVolumesInOneWay(t *testing.T) {
	for data, want := range map[v1alpha1.VolumeDataPolicy]velerov1.BackupSpec{
		"":                     {},
		"FileSystemBackup":     {DefaultVolumesToFsBackup: new(true), SnapshotVolumes: new(false), SnapshotMoveData: new(false)},
		"SnapshotDataMovement": {DefaultVolumesToFsBackup: new(false), SnapshotVolumes: new(true), SnapshotMoveData: new(true)},
		"None": {
			DefaultVolumesToFsBackup: new(false), SnapshotVolumes: new(false), SnapshotMoveData: new(false),
			ResourcePolicy: &corev1.TypedLocalObjectReference{Kind: "configmap", Name: "kurator-migrate-no-volume-data"},
		},
	} {
		m := migrate("ns", "app", "u1")
		m.Spec.Policy = &v1alpha1.MigratePolicy{Volumes: &v1alpha1.VolumePolicy{Data: data}}
		want.StorageLocation = "default"
		if diff := cmp.Diff(want, NewBackup(m, "m1", "default").Spec); diff != "" {
			t.Errorf("%q (-want +got):\n%s", data, diff)
		}
	}
}

// TestNewRestoreLeavesOutVolumes checks that a Restore without data has no PersistentVolumes, and lets its
// claims get new ones.
func TestNewRestoreLeavesOutVolumes(t *testing.T) {
	for name, tt := range map[string]struct {
		filter             *v1alpha1.ResourceFilter
		included, excluded []string
	}{
		"no filter": {excluded: []string{"persistentvolumes"}},
		"claims": {
			&v1alpha1.ResourceFilter{IncludedResources: []string{"persistentvolumeclaims"}},
			[]string{"persistentvolumeclaims", "volumesnapshots.snapshot.storage.k8s.io", "volumesnapshotcontents.snapshot.storage.k8s.io", "volumesnapshotclasses.snapshot.storage.k8s.io"},
			[]string{"persistentvolumes"},
		},
		"without secrets": {&v1alpha1.ResourceFilter{ExcludedResources: []string{"secrets"}}, nil, []string{"secrets", "persistentvolumes"}},
		"excluded":        {&v1alpha1.ResourceFilter{ExcludedResources: []string{"persistentvolumes"}}, nil, []string{"persistentvolumes"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := migrate("ns", "app", "u1")
			m.Spec.Policy = &v1alpha1.MigratePolicy{ResourceFilter: tt.filter, Volumes: &v1alpha1.VolumePolicy{Data: v1alpha1.VolumeDataNone}}
			got := newRestore(m, "m2", "b", nil).Spec
			if !cmp.Equal(got.IncludedResources, tt.included, cmpopts.EquateEmpty()) || !cmp.Equal(got.ExcludedResources, tt.excluded) {
				t.Errorf("the Restore includes %q and excludes %q", got.IncludedResources, got.ExcludedResources)
			}
			const rule = `{"conditions":{"groupResource":"persistentvolumeclaims"},"mergePatches":[{"patchData":"{\"spec\":{\"volumeName\":null}}"}]}`
			if modifiers := NewResourceModifiers(m, "m2"); got.ResourceModifier == nil || !strings.Contains(modifiers.Data["resource-modifiers.yaml"], rule) {
				t.Errorf("the modifiers are %+v", modifiers)
			}
		})
	}
}

func TestNewBackupHasNoEmptySelector(t *testing.T) {
	empty, shop := &metav1.LabelSelector{}, &metav1.LabelSelector{MatchLabels: map[string]string{"app": "shop"}}
	type selectors struct {
		One *metav1.LabelSelector
		Or  []*metav1.LabelSelector
	}
	for name, tt := range map[string]struct{ given, want selectors }{
		"none":               {},
		"one":                {selectors{One: shop}, selectors{One: shop}},
		"an empty one":       {selectors{One: empty}, selectors{}},
		"several":            {selectors{Or: []*metav1.LabelSelector{shop, shop}}, selectors{Or: []*metav1.LabelSelector{shop, shop}}},
		"an empty one of or": {selectors{Or: []*metav1.LabelSelector{shop, empty}}, selectors{}},
	} {
		m := migrate("ns", "app", "u1")
		m.Spec.Policy = &v1alpha1.MigratePolicy{ResourceFilter: &v1alpha1.ResourceFilter{LabelSelector: tt.given.One, OrLabelSelectors: tt.given.Or}}
		spec := NewBackup(m, "m1", "default").Spec
		if diff := cmp.Diff(tt.want, selectors{spec.LabelSelector, spec.OrLabelSelectors}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestNewBackupAddsWhatListedResourcesNeed(t *testing.T) {
	for name, tt := range map[string]struct {
		filter v1alpha1.ResourceFilter
		want   []string
	}{
		"everything":               {v1alpha1.ResourceFilter{IncludedNamespaces: []string{"a"}}, nil},
		"nothing more":             {v1alpha1.ResourceFilter{IncludedNamespaces: []string{"a"}, IncludedResources: []string{"pods"}}, []string{"pods"}},
		"the volume of a claim":    {v1alpha1.ResourceFilter{IncludedNamespaces: []string{"a"}, IncludedResources: []string{"pvc"}}, []string{"pvc", "persistentvolumes"}},
		"the definition of a kind": {v1alpha1.ResourceFilter{ExcludedNamespaces: []string{"a"}, IncludedResources: []string{"widgets.example.com"}}, []string{"widgets.example.com", "customresourcedefinitions.apiextensions.k8s.io"}},
		"in all namespaces":        {v1alpha1.ResourceFilter{IncludedNamespaces: []string{"*"}, IncludedResources: []string{"widgets.example.com", "pvc"}}, []string{"widgets.example.com", "pvc"}},
		"no cluster-scoped ones":   {v1alpha1.ResourceFilter{IncludedNamespaces: []string{"a"}, IncludedResources: []string{"pvc"}, IncludeClusterResources: new(false)}, []string{"pvc"}},
	} {
		m := migrate("ns", "app", "u1")
		m.Spec.Policy = &v1alpha1.MigratePolicy{ResourceFilter: &tt.filter}
		if diff := cmp.Diff(tt.want, NewBackup(m, "m1", "default").Spec.IncludedResources); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestNewRestoreCopiesTheRestoreFieldsOfThePolicy(t *testing.T) {
	m := migrate("ns", "app", "c948154d-1727")
	m.Spec.Policy = &v1alpha1.MigratePolicy{
		NamespaceMapping:  map[string]string{"a": "b"},
		MigrateStatus:     &v1alpha1.PreserveStatus{IncludedResources: []string{"*"}, ExcludedResources: []string{"pods"}},
		PreserveNodePorts: new(false), ExistingResourcePolicy: "update",
	}
	want := velerov1.RestoreSpec{
		BackupName:        "the-backup",
		NamespaceMapping:  map[string]string{"a": "b"},
		RestoreStatus:     &velerov1.RestoreStatusSpec{IncludedResources: []string{"*"}, ExcludedResources: []string{"pods"}},
		PreserveNodePorts: new(false), ExistingResourcePolicy: velerov1.PolicyTypeUpdate,
	}
	got := newRestore(m, "m2", "the-backup", nil)
	if diff := cmp.Diff(want, got.Spec); diff != "" {
		t.Errorf("Restore spec (-want +got):\n%s", diff)
	}
	if got.Name != "m2-migrate-ns-app-c948154d" {
		t.Errorf("Restore name %q", got.Name)
	}
}

func TestNewRestoreAppliesTheFilter(t *testing.T) {
	for name, tt := range map[string]struct {
		filter v1alpha1.ResourceFilter
		want   velerov1.RestoreSpec
	}{
		"everything": {},
		"namespaces and their cluster-scoped objects": {
			v1alpha1.ResourceFilter{IncludedNamespaces: []string{"a-*"}},
			velerov1.RestoreSpec{IncludedNamespaces: []string{"a-*"}, ExcludedResources: []string{"namespaces"}, IncludeClusterResources: new(true)},
		},
		"all namespaces except one": {
			v1alpha1.ResourceFilter{ExcludedNamespaces: []string{"b"}},
			velerov1.RestoreSpec{ExcludedNamespaces: []string{"b"}, ExcludedResources: []string{"namespaces"}, IncludeClusterResources: new(true)},
		},
		"no cluster-scoped objects": {
			v1alpha1.ResourceFilter{IncludedNamespaces: []string{"a"}, IncludeClusterResources: new(false)},
			velerov1.RestoreSpec{IncludedNamespaces: []string{"a"}, ExcludedResources: []string{"namespaces"}, IncludeClusterResources: new(false)},
		},
		"no cluster-scoped objects, by scope": {
			v1alpha1.ResourceFilter{IncludedNamespaces: []string{"a"}, ExcludedClusterScopedResources: []string{"*"}},
			velerov1.RestoreSpec{IncludedNamespaces: []string{"a"}, ExcludedResources: []string{"namespaces"}, IncludeClusterResources: new(false)},
		},
		"all namespaces": {
			v1alpha1.ResourceFilter{IncludedNamespaces: []string{"*"}},
			velerov1.RestoreSpec{IncludedNamespaces: []string{"*"}, IncludeClusterResources: new(true)},
		},
		"excluded resources": {
			v1alpha1.ResourceFilter{ExcludedResources: []string{"secrets"}},
			velerov1.RestoreSpec{ExcludedResources: []string{"secrets"}},
		},
		"excluded resources in namespaces": {
			v1alpha1.ResourceFilter{IncludedNamespaces: []string{"a"}, ExcludedResources: []string{"secrets"}},
			velerov1.RestoreSpec{IncludedNamespaces: []string{"a"}, ExcludedResources: []string{"secrets", "namespaces"}, IncludeClusterResources: new(true)},
		},
		"a selector is not applied": {
			v1alpha1.ResourceFilter{LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}},
			velerov1.RestoreSpec{},
		},
		"listed resources": {
			v1alpha1.ResourceFilter{IncludedNamespaces: []string{"a"}, IncludedResources: []string{"configmaps", "Deployment.apps", "sa"}},
			velerov1.RestoreSpec{
				IncludedNamespaces: []string{"a"}, IncludedResources: []string{"configmaps", "Deployment.apps", "sa"}, IncludeClusterResources: new(true),
			},
		},
		"listed claims, with their volumes and snapshots": {
			v1alpha1.ResourceFilter{IncludedResources: []string{"pods", "PVC"}},
			velerov1.RestoreSpec{IncludedResources: []string{
				"pods", "PVC", "volumesnapshots.snapshot.storage.k8s.io",
				"volumesnapshotcontents.snapshot.storage.k8s.io", "volumesnapshotclasses.snapshot.storage.k8s.io", "persistentvolumes",
			}},
		},
		"listed custom resources, with their definitions": {
			v1alpha1.ResourceFilter{IncludedResources: []string{"secrets", "Widget.example"}},
			velerov1.RestoreSpec{IncludedResources: []string{
				"secrets", "Widget.example", "customresourcedefinitions.apiextensions.k8s.io", "widget.example*", "widgets.example*",
			}},
		},
		"a custom resource with the name of a built-in one": {
			v1alpha1.ResourceFilter{IncludedResources: []string{"deployments.example.com"}},
			velerov1.RestoreSpec{IncludedResources: []string{
				"deployments.example.com", "customresourcedefinitions.apiextensions.k8s.io", "deployments.example.com*", "deploymentses.example.com*",
			}},
		},
		"a custom resource without its group": {
			v1alpha1.ResourceFilter{IncludedResources: []string{"secrets", "widgets"}},
			velerov1.RestoreSpec{},
		},
		"listed claims without cluster-scoped objects": {
			v1alpha1.ResourceFilter{IncludedResources: []string{"pvc"}, IncludeClusterResources: new(false)},
			velerov1.RestoreSpec{IncludedResources: []string{"pvc"}, IncludeClusterResources: new(false)},
		},
		"a pattern among listed resources": {
			v1alpha1.ResourceFilter{IncludedResources: []string{"configmaps", "secret?"}},
			velerov1.RestoreSpec{},
		},
		"listed resources and all that they refer to": {
			v1alpha1.ResourceFilter{IncludedResources: []string{"serviceaccounts"}, IncludeClusterResources: new(true)},
			velerov1.RestoreSpec{IncludeClusterResources: new(true)},
		},
	} {
		m := migrate("ns", "app", "u1")
		m.Spec.Policy = &v1alpha1.MigratePolicy{ResourceFilter: &tt.filter}
		tt.want.BackupName = "b"
		if diff := cmp.Diff(tt.want, newRestore(m, "m2", "b", nil).Spec); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestVolumesToHandOver(t *testing.T) {
	volume := func(namespace, pod string, phase velerov1.PodVolumeBackupPhase, snapshot string) velerov1.PodVolumeBackup {
		return velerov1.PodVolumeBackup{
			ObjectMeta: metav1.ObjectMeta{Name: "p-" + pod},
			Spec:       velerov1.PodVolumeBackupSpec{Pod: corev1.ObjectReference{Namespace: namespace, Name: pod}, Volume: "data"},
			Status:     velerov1.PodVolumeBackupStatus{Phase: phase, SnapshotID: snapshot},
		}
	}
	const completed = velerov1.PodVolumeBackupPhaseCompleted
	shop := volume("shop", "db-0", completed, "s")
	m := migrate("ns", "app", "u1")
	m.Spec.Policy = &v1alpha1.MigratePolicy{ResourceFilter: &v1alpha1.ResourceFilter{IncludedNamespaces: []string{"shop*"}, ExcludedNamespaces: []string{"shop-old"}}}
	got, err := VolumesToHandOver(m, []velerov1.PodVolumeBackup{
		shop, shop, volume("shop", "new-0", "", "s"), volume("shop", "running-0", velerov1.PodVolumeBackupPhaseInProgress, "s"), volume("shop", "empty-0", completed, ""),
	})
	if diff := cmp.Diff([]velerov1.PodVolumeBackup{shop}, got); diff != "" || err != nil {
		t.Errorf("%v, (-want +got):\n%s", err, diff)
	}
	for _, namespace := range []string{"bank", "shop-old", ""} {
		got, err := VolumesToHandOver(m, []velerov1.PodVolumeBackup{shop, volume(namespace, "x", completed, "s")})
		want := fmt.Sprintf("PodVolumeBackup p-x belongs to a pod in namespace %q, which the Migrate does not select", namespace)
		if got != nil || err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("namespace %q: %v, %v", namespace, got, err)
		}
	}
	if got, err := VolumesToHandOver(migrate("ns", "app", "u1"), []velerov1.PodVolumeBackup{shop}); len(got) != 1 || err != nil {
		t.Errorf("without a filter: %v, %v", got, err)
	}
}

func TestNoPolicyUsesVelerosDefaults(t *testing.T) {
	m := migrate("ns", "app", "c948154d-1727")
	if diff := cmp.Diff(velerov1.BackupSpec{StorageLocation: "l"}, NewBackup(m, "m1", "l").Spec); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(velerov1.RestoreSpec{BackupName: "b"}, newRestore(m, "m1", "b", nil).Spec); diff != "" {
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

func TestIsSynced(t *testing.T) {
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
		if got := IsSynced(backup); got != tt.want {
			t.Errorf("generation %d, ended %v: %v", tt.generation, tt.ended, got)
		}
	}
}

// hostileSource returns a Backup whose source has set fields that must not reach a target.
func hostileSource() *velerov1.Backup {
	at := metav1.NewTime(time.Unix(1700000000, 0))
	return &velerov1.Backup{
		ObjectMeta: metav1.ObjectMeta{
			Name: "bank-ledger", Namespace: "velero", UID: "u-source", ResourceVersion: "7", Generation: 9,
			Labels: map[string]string{
				"velero.io/storage-location": "blue", MigrateUIDLabel: "u1", "velero.io/schedule-name": "nightly", "any": "thing",
			},
			Annotations:     map[string]string{"velero.io/source-cluster-k8s-gitversion": "v1.36.3", "any": "thing"},
			Finalizers:      []string{"backups.velero.io/external-resources-finalizer"},
			OwnerReferences: []metav1.OwnerReference{{Kind: "Schedule", Name: "nightly", UID: "u"}},
		},
		Spec: velerov1.BackupSpec{
			Metadata:        velerov1.Metadata{Labels: map[string]string{"any": "thing"}},
			StorageLocation: "blue", IncludedNamespaces: []string{"bank"}, IncludedResources: []string{"secrets"},
			VolumeSnapshotLocations: []string{"theirs"}, DataMover: "theirs", OrderedResources: map[string]string{"pods": "bank/ledger"},
			ResourcePolicy: &corev1.TypedLocalObjectReference{Kind: "configmap", Name: "theirs"},
			Hooks:          velerov1.BackupHooks{Resources: []velerov1.BackupResourceHookSpec{{Name: "h"}}},
			TTL:            metav1.Duration{Duration: time.Hour}, CSISnapshotTimeout: metav1.Duration{Duration: time.Minute},
			SnapshotMoveData: new(true),
		},
		Status: velerov1.BackupStatus{
			Phase: velerov1.BackupPhasePartiallyFailed, Version: 1, FormatVersion: "1.1.0", Warnings: 2, Errors: 3,
			FailureReason: "any", ValidationErrors: []string{"any"}, QueuePosition: 7, HookStatus: &velerov1.HookStatus{HooksAttempted: 1},
			StartTimestamp: &at, CompletionTimestamp: &at, Expiration: &at, Progress: &velerov1.BackupProgress{TotalItems: 4, ItemsBackedUp: 4},
		},
	}
}

func TestHandedOverObjectsCopyOnlyWhatVeleroReads(t *testing.T) {
	source := hostileSource()
	m := migrate("ns", "app", "u1")
	m.Spec.Policy = &v1alpha1.MigratePolicy{ResourceFilter: &v1alpha1.ResourceFilter{IncludedNamespaces: []string{"shop"}}}
	backup := NewHandedOverBackup(m, "b", source, "green", 1)
	at := metav1.NewTime(time.Unix(1700000000, 0))
	want := &velerov1.Backup{
		ObjectMeta: metav1.ObjectMeta{
			Name:   "b",
			Labels: map[string]string{MigrateUIDLabel: "u1"},
			Annotations: map[string]string{
				"backup.kurator.dev/handed-over-pod-volume-backups": "1",
				"backup.kurator.dev/migrate":                        "ns/app",
			},
		},
		Spec: velerov1.BackupSpec{
			StorageLocation: "green", IncludedNamespaces: []string{"shop"},
			SnapshotMoveData: new(true), CSISnapshotTimeout: metav1.Duration{Duration: time.Minute},
		},
		Status: velerov1.BackupStatus{
			Phase: velerov1.BackupPhaseCompleted, Version: 1, FormatVersion: "1.1.0", Warnings: 2,
			StartTimestamp: &at, CompletionTimestamp: &at, Expiration: &at, Progress: &velerov1.BackupProgress{TotalItems: 4, ItemsBackedUp: 4},
		},
	}
	if diff := cmp.Diff(want, backup); diff != "" {
		t.Errorf("Backup (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(hostileSource(), source); diff != "" {
		t.Errorf("the source's Backup was modified:\n%s", diff)
	}

	backup.UID = "u-target"
	pvb := NewHandedOverPodVolumeBackup(&velerov1.PodVolumeBackup{
		ObjectMeta: metav1.ObjectMeta{
			Name: "bank-ledger-x2x4z", Labels: map[string]string{"velero.io/backup-name": "bank-ledger", "velero.io/backup-uid": "u-source", "any": "thing"},
			Annotations:     map[string]string{"any": "thing", RequesterAnnotation: "root"},
			OwnerReferences: []metav1.OwnerReference{{Kind: "Backup", Name: "bank-ledger", UID: "u-source"}},
		},
		Spec: velerov1.PodVolumeBackupSpec{
			BackupStorageLocation: "blue", Volume: "data", Node: "n1", RepoIdentifier: "s3:http://s3/restic/bank", UploaderType: "kopia", Cancel: true,
			Pod:  corev1.ObjectReference{Kind: "Secret", Namespace: "shop", Name: "db-0", UID: "u-pod", FieldPath: "x"},
			Tags: map[string]string{"any": "thing"}, UploaderSettings: map[string]string{"any": "thing"},
		},
		Status: velerov1.PodVolumeBackupStatus{
			Phase: velerov1.PodVolumeBackupPhaseCompleted, SnapshotID: "s", Path: "/etc", Message: "any",
			Progress: veleroshared.DataMoveOperationProgress{TotalBytes: 5, BytesDone: 5},
		},
	}, backup)
	wantPVB := &velerov1.PodVolumeBackup{
		ObjectMeta: metav1.ObjectMeta{
			Name:        "b-4d16e5ed5a",
			Labels:      map[string]string{"velero.io/backup-name": "b", "velero.io/backup-uid": "u-target", MigrateUIDLabel: "u1"},
			Annotations: map[string]string{"backup.kurator.dev/migrate": "ns/app"},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "velero.io/v1", Kind: "Backup", Name: "b", UID: "u-target", Controller: new(true),
			}},
		},
		Spec: velerov1.PodVolumeBackupSpec{
			BackupStorageLocation: "green", Volume: "data", UploaderType: "kopia",
			Pod: corev1.ObjectReference{Kind: "Pod", Namespace: "shop", Name: "db-0"},
		},
		Status: velerov1.PodVolumeBackupStatus{
			Phase: velerov1.PodVolumeBackupPhaseCompleted, SnapshotID: "s",
			Progress: veleroshared.DataMoveOperationProgress{TotalBytes: 5, BytesDone: 5},
		},
	}
	if diff := cmp.Diff(wantPVB, pvb); diff != "" {
		t.Errorf("PodVolumeBackup (-want +got):\n%s", diff)
	}

	again := pvb.DeepCopy()
	again.Name = "of an older version of this server"
	older := pvb.DeepCopy()
	older.OwnerReferences[0].UID = "u-before"
	for name, tt := range map[string]struct {
		existing []velerov1.PodVolumeBackup
		want     bool
	}{
		"none":                       {nil, false},
		"all":                        {[]velerov1.PodVolumeBackup{*pvb}, true},
		"a duplicate of one":         {[]velerov1.PodVolumeBackup{*pvb, *again}, true},
		"owned by an earlier Backup": {[]velerov1.PodVolumeBackup{*older}, false},
	} {
		if got := IsHandoffComplete(backup, tt.existing); got != tt.want {
			t.Errorf("complete with %s: %v", name, got)
		}
	}
}
