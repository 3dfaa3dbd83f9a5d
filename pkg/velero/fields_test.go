// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// TestNeedsFields checks which Migrates need fields that an old Velero may not have, and that a cluster that drops everything is
// told of them.
func TestNeedsFields(t *testing.T) {
	for name, tt := range map[string]struct {
		policy          *v1alpha1.MigratePolicy
		backup, restore []string
	}{
		"no policy": {nil, nil, nil},
		"a filter":  {&v1alpha1.MigratePolicy{ResourceFilter: &v1alpha1.ResourceFilter{IncludedNamespaces: []string{"a"}}}, nil, nil},
		"lists by scope": {
			&v1alpha1.MigratePolicy{ResourceFilter: &v1alpha1.ResourceFilter{IncludedNamespaceScopedResources: []string{"pods"}}},
			[]string{"includedNamespaceScopedResources"},
			nil,
		},
		"selectors": {
			&v1alpha1.MigratePolicy{ResourceFilter: &v1alpha1.ResourceFilter{OrLabelSelectors: []*metav1.LabelSelector{{MatchLabels: map[string]string{"a": "b"}}}}},
			[]string{"orLabelSelectors"},
			nil,
		},
		"existing objects": {&v1alpha1.MigratePolicy{ExistingResourcePolicy: "update"}, nil, []string{"backupName", "existingResourcePolicy"}},
		"status":           {&v1alpha1.MigratePolicy{MigrateStatus: &v1alpha1.PreserveStatus{IncludedResources: []string{"*"}}}, nil, []string{"backupName", "restoreStatus"}},
		"data movement":    {&v1alpha1.MigratePolicy{Volumes: &v1alpha1.VolumePolicy{Data: "SnapshotDataMovement"}}, []string{"snapshotMoveData"}, nil},
		"classes":          {&v1alpha1.MigratePolicy{Volumes: &v1alpha1.VolumePolicy{StorageClassMapping: map[string]string{"a": "b"}}}, nil, []string{"backupName", "resourceModifier"}},
		"no data":          {&v1alpha1.MigratePolicy{Volumes: &v1alpha1.VolumePolicy{Data: "None"}}, []string{"resourcePolicy"}, []string{"backupName", "excludedResources", "resourceModifier"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := migrate("default", "app", "c948154d-1727")
			m.Spec.Policy = tt.policy
			for _, of := range []struct {
				source, needs bool
				want          []string
			}{{true, BackupNeedsFields(m), tt.backup}, {false, RestoreNeedsFields(m), tt.restore}} {
				if of.needs != (of.want != nil) {
					t.Errorf("source %t: it needs fields: %t", of.source, of.needs)
				}
				sent, err := NewSample(m, of.source)
				if err != nil {
					t.Fatal(err)
				}
				dropped, err := DroppedFields(sent, []byte(`{"spec":{}}`))
				for _, field := range of.want {
					if !slices.Contains(dropped, field) {
						t.Errorf("source %t: dropped are %q, without %s", of.source, dropped, field)
					}
				}
				if again, sameErr := DroppedFields(sent, sent); len(again) > 0 || err != nil || sameErr != nil {
					t.Errorf("source %t: of the same, dropped are %q, %v %v", of.source, again, err, sameErr)
				}
				if _, err := DroppedFields(sent, []byte("no")); err == nil {
					t.Error("what is no JSON has fields")
				}
			}
		})
	}
}

// TestDroppedFieldsThatAreUnset checks that a field that Velero's types write without a value is none that a cluster dropped.
func TestDroppedFieldsThatAreUnset(t *testing.T) {
	t.Parallel()
	sent := `{"spec": {"hooks": {}, "includedNamespaces": [], "itemOperationTimeout": "0s", "snapshotVolumes": null, "storageLocation": "", "defaultVolumesToFsBackup": false, "ttl": "1h0m0s"}}`
	dropped, err := DroppedFields([]byte(sent), []byte(`{"spec": {}}`))
	if want := []string{"defaultVolumesToFsBackup", "ttl"}; err != nil || !slices.Equal(dropped, want) {
		t.Errorf("dropped are %q, %v; want %q", dropped, err, want)
	}
}
