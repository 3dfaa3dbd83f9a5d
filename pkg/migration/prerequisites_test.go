// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/util/sets"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

func TestPrerequisites(t *testing.T) {
	mapping, all := map[string]string{"a": "slow", "b": "slow", "c": "fast"}, &v1alpha1.ResourceFilter{}
	for name, tt := range map[string]struct {
		volumes        *v1alpha1.VolumePolicy
		source, target Prerequisites
		// fields are whether the Backup and the Restore have newer fields.
		fields [2]bool
	}{
		"none":               {nil, Prerequisites{}, Prerequisites{}, [2]bool{}},
		"by annotations":     {&v1alpha1.VolumePolicy{}, Prerequisites{}, Prerequisites{}, [2]bool{}},
		"file system backup": {&v1alpha1.VolumePolicy{Data: "FileSystemBackup"}, Prerequisites{NodeAgent: true, Claims: all, UsedOnly: true}, Prerequisites{NodeAgent: true, StorageClasses: true}, [2]bool{true, false}},
		"data movement":      {&v1alpha1.VolumePolicy{Data: "SnapshotDataMovement"}, Prerequisites{NodeAgent: true, SnapshotClass: true, Claims: all}, Prerequisites{NodeAgent: true, StorageClasses: true}, [2]bool{true, false}},
		"no data":            {&v1alpha1.VolumePolicy{Data: "None"}, Prerequisites{Claims: all}, Prerequisites{StorageClasses: true}, [2]bool{true, true}},
		"classes":            {&v1alpha1.VolumePolicy{StorageClassMapping: mapping}, Prerequisites{Claims: all}, Prerequisites{StorageClasses: true, Mapping: mapping}, [2]bool{false, true}},
	} {
		s := newFixture(t, m2)
		s.m.Spec.Policy = &v1alpha1.MigratePolicy{Volumes: tt.volumes}
		plan := s.plan()
		got := []Prerequisites{plan.Of(m1).Prerequisites, plan.Of(m2).Prerequisites}
		for i, isSource := range []bool{true, false} {
			if p := &got[i]; tt.fields[i] && p.Fields == s.m && p.Source == isSource {
				p.Fields, p.Source = nil, false
			}
		}
		if d := cmp.Diff([]Prerequisites{tt.source, tt.target}, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// TestMissingClasses checks which StorageClasses a target lacks.
func TestMissingClasses(t *testing.T) {
	p := Prerequisites{StorageClasses: true, Mapping: map[string]string{"a": "slow", "b": "fast"}}
	source := &Checked{ClaimClasses: []string{"a", "c", "fast"}}
	for name, tt := range map[string]struct {
		p              Prerequisites
		target, source *Checked
		want           []string
	}{
		"all":                  {p, &Checked{StorageClasses: sets.New[string]()}, source, []string{"c", "fast", "slow"}},
		"one":                  {p, &Checked{StorageClasses: sets.New("fast", "slow", "other")}, source, []string{"c"}},
		"after the Backup":     {p, &Checked{StorageClasses: sets.New("slow")}, nil, []string{"fast"}},
		"unknown":              {p, &Checked{}, source, nil},
		"nothing is needed":    {Prerequisites{}, &Checked{StorageClasses: sets.New[string]()}, source, nil},
		"without a mapping":    {Prerequisites{StorageClasses: true}, &Checked{StorageClasses: sets.New("a")}, source, []string{"c", "fast"}},
		"no claims of its own": {Prerequisites{StorageClasses: true}, &Checked{StorageClasses: sets.New[string]()}, &Checked{}, nil},
	} {
		if d := cmp.Diff(tt.want, missingClasses(tt.p, tt.target, tt.source), cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// TestNothingStartsWithoutPrerequisites checks that a cluster waits until it has what the Migrate needs,
// and that the other target does not.
func TestNothingStartsWithoutPrerequisites(t *testing.T) {
	s := newFixture(t, m2, m3)
	s.m.Spec.Policy = &v1alpha1.MigratePolicy{Volumes: &v1alpha1.VolumePolicy{
		Data: v1alpha1.VolumeDataSnapshotDataMovement, StorageClassMapping: map[string]string{"a": "slow"},
	}}
	source := func() v1alpha1.ClusterStatus { return s.m.Status.SourceClusterStatus.ClusterStatus }
	checked := func(c Cluster, found Checked) {
		s.with(c, func(m *Member) { m.Checked = &found })
		s.record()
	}
	for _, c := range []Cluster{m1, m2, m3} {
		s.with(c, func(m *Member) { m.Checked = nil })
	}
	s.record()
	s.wantState(source(), "Connecting", "Checking what spec.policy needs in m1.")
	checked(m1, Checked{DroppedFields: []string{"orLabelSelectors", "snapshotMoveData"}})
	s.wantState(source(), "VeleroTooOld", "Velero in m1 does not know these fields of Backups, and would ignore them: orLabelSelectors, snapshotMoveData. "+
		"Update it with its CustomResourceDefinitions, or recreate the Migrate without what needs them.")
	s.wantNoActions()
	checked(m1, Checked{NodeAgent: "is not installed"})
	s.wantState(source(), "NodeAgentNotReady", "spec.policy.volumes.data needs Velero's node-agent in m1, which is not installed. Install it with: velero install --use-node-agent")
	s.wantNoActions()
	checked(m1, Checked{NoSnapshotClass: true})
	s.wantState(source(), "SnapshotClassNotFound", "spec.policy.volumes.data needs CSI snapshots, and m1 has no VolumeSnapshotClass. Create one for its CSI driver, with the label velero.io/csi-volumesnapshot-class=true.")
	s.wantNoActions()
	checked(m2, Checked{StorageClasses: sets.New("a")})
	checked(m3, Checked{NodeAgent: "is ready on none of 2 nodes"})
	checked(m1, Checked{ClaimClasses: []string{"a"}})
	s.wantState(s.target(), "StorageClassNotFound", "Claims need StorageClasses that do not exist in m2: slow. Create them, or recreate the Migrate with another spec.policy.volumes.storageClassMapping.")
	if source().Reason != "NoTargetReady" {
		t.Errorf("the source is %s: %s", source().Reason, source().Message)
	}
	s.wantNoActions()
	checked(m3, Checked{})
	if source().Reason != "BackupStarting" {
		t.Errorf("the source is %s: %s", source().Reason, source().Message)
	}
	if actions := s.next(); len(actions) != 1 {
		t.Errorf("actions %+v", actions)
	}
	s.record()
	s.backup("Completed", 5)
	s.wantState(s.target(), "StorageClassNotFound", "Claims need StorageClasses that do not exist in m2: slow. Create them, or recreate the Migrate with another spec.policy.volumes.storageClassMapping.")
	if actions := s.next(); len(actions) != 1 || actions[0].Cluster() != m3 {
		t.Errorf("actions %+v", actions)
	}
}

// TestUnusedClaims checks that a Backup says which data it will not have.
func TestUnusedClaims(t *testing.T) {
	s := newFixture(t, m2)
	s.m.Spec.Policy = &v1alpha1.MigratePolicy{Volumes: &v1alpha1.VolumePolicy{Data: v1alpha1.VolumeDataFileSystemBackup}}
	s.with(m2, func(m *Member) { m.Checked = &Checked{} })
	s.with(m1, func(m *Member) { m.Checked = &Checked{Unused: []string{"app/a", "app/b", "app/c"}, UnusedTotal: 5} })
	s.record()
	s.wantState(s.m.Status.SourceClusterStatus.ClusterStatus, "BackupStarting", "Creating Backup m1-migrate-default-app-c948154d in m1. "+
		"It will not have the data of 5 claims, which no running pod of the Backup uses: app/a, app/b, app/c, and 2 more. To move it, start a pod that uses it, and recreate the Migrate.")
}
