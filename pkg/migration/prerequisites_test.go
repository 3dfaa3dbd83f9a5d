// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

func TestPrerequisites(t *testing.T) {
	mapping := map[string]string{"a": "slow", "b": "slow", "c": "fast"}
	for name, tt := range map[string]struct {
		volumes        *v1alpha1.VolumePolicy
		source, target Prerequisites
	}{
		"none":               {nil, Prerequisites{}, Prerequisites{}},
		"by annotations":     {&v1alpha1.VolumePolicy{}, Prerequisites{}, Prerequisites{}},
		"file system backup": {&v1alpha1.VolumePolicy{Data: "FileSystemBackup"}, Prerequisites{NodeAgent: true, UsedClaims: &v1alpha1.ResourceFilter{}}, Prerequisites{NodeAgent: true, ClaimClasses: true}},
		"data movement":      {&v1alpha1.VolumePolicy{Data: "SnapshotDataMovement"}, Prerequisites{NodeAgent: true, SnapshotClass: true}, Prerequisites{NodeAgent: true, ClaimClasses: true}},
		"classes":            {&v1alpha1.VolumePolicy{StorageClassMapping: mapping}, Prerequisites{}, Prerequisites{StorageClasses: []string{"fast", "slow"}, ClaimClasses: true}},
	} {
		s := newFixture(t, m2)
		s.m.Spec.Policy = &v1alpha1.MigratePolicy{Volumes: tt.volumes}
		plan := s.plan()
		if d := cmp.Diff([]Prerequisites{tt.source, tt.target}, []Prerequisites{plan.Of(m1).Prerequisites, plan.Of(m2).Prerequisites}); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// TestWithClaimClasses checks which StorageClasses the claims of the source get in a target.
func TestWithClaimClasses(t *testing.T) {
	s := newFixture(t, m2)
	s.m.Spec.Policy = &v1alpha1.MigratePolicy{Volumes: &v1alpha1.VolumePolicy{StorageClassMapping: map[string]string{"a": "slow", "b": "fast"}}}
	before := s.plan().Of(m2).Prerequisites
	got := before.WithClaimClasses(s.m, []string{"a", "c", "fast"})
	if d := cmp.Diff([]string{"c", "fast", "slow"}, got.StorageClasses); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"fast", "slow"}, before.StorageClasses); d != "" {
		t.Error(d)
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
	missing := func(c Cluster, missing Missing) {
		s.with(c, func(m *Member) { m.Missing = &missing })
		s.record()
	}
	s.record()
	s.wantState(source(), "Connecting", "Checking what spec.policy.volumes needs in m1.")
	missing(m1, Missing{NodeAgent: "is not installed"})
	s.wantState(source(), "NodeAgentNotReady", "spec.policy.volumes.data needs Velero's node-agent in m1, which is not installed. Install it with: velero install --use-node-agent")
	s.wantNoActions()
	missing(m1, Missing{SnapshotClass: true})
	s.wantState(source(), "SnapshotClassNotFound", "spec.policy.volumes.data needs CSI snapshots, and m1 has no VolumeSnapshotClass. Create one for its CSI driver, with the label velero.io/csi-volumesnapshot-class=true.")
	s.wantNoActions()
	missing(m2, Missing{StorageClasses: []string{"slow"}})
	missing(m3, Missing{NodeAgent: "is ready on none of 2 nodes"})
	missing(m1, Missing{})
	s.wantState(s.target(), "StorageClassNotFound", "Claims need StorageClasses that do not exist in m2: slow. Create them, or recreate the Migrate with another spec.policy.volumes.storageClassMapping.")
	if source().Reason != "NoTargetReady" {
		t.Errorf("the source is %s: %s", source().Reason, source().Message)
	}
	s.wantNoActions()
	missing(m3, Missing{})
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
	s.with(m2, func(m *Member) { m.Missing = &Missing{} })
	s.with(m1, func(m *Member) { m.Missing = &Missing{Unused: []string{"app/a", "app/b", "app/c"}, UnusedTotal: 5} })
	s.record()
	s.wantState(s.m.Status.SourceClusterStatus.ClusterStatus, "BackupStarting", "Creating Backup m1-migrate-default-app-c948154d in m1. "+
		"It will not have the data of 5 claims, which no running pod uses: app/a, app/b, app/c, and 2 more. To move it, start a pod that uses it, and recreate the Migrate.")
}
