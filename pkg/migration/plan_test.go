// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// oneRestoring returns a fixture in which one target is restoring and access to the other is
// denied.
func oneRestoring(t *testing.T) *fixture {
	s := newFixture(t, m2, m3)
	s.access[m3] = Access{Denial: "no"}
	s.restoring()
	return s
}

func TestPlanNotStarted(t *testing.T) {
	type named struct {
		Cluster     Cluster
		Destination v1alpha1.Destination
		Source      bool
	}
	spec := newFixture(t, m2).m.Spec
	source, target := named{m1, spec.SourceCluster, true}, named{m2, spec.TargetCluster, false}
	for _, tt := range []struct {
		name    string
		fixture func() *fixture
		want    []named
	}{
		{"nothing is resolved", func() *fixture {
			s := newFixture(t, m2)
			s.host.SourceFleet = Fleet{}
			return s
		}, nil},
		{"nothing is recorded", func() *fixture { return newFixture(t, m2) }, []named{source, target}},
		{"the clusters are recorded", func() *fixture {
			s := newFixture(t, m2)
			s.record()
			return s
		}, []named{source, target}},
		{"the Backup exists", func() *fixture { return newFixture(t, m2).started() }, []named{target}},
		{"one Restore exists", func() *fixture { return oneRestoring(t) }, []named{{m3, oneRestoring(t).m.Spec.TargetCluster, false}}},
		{"the migration is finished", func() *fixture {
			s := newFixture(t, m2)
			s.restoring()
			return s.restore(m2, "Completed")
		}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []named
			for _, c := range tt.fixture().plan().NotStarted() {
				got = append(got, named{c.Cluster, c.Destination, c.Source})
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestAccessIsNeededToStart checks the state of a target for each access, and that nothing is
// started unless it is allowed.
func TestAccessIsNeededToStart(t *testing.T) {
	for _, tt := range []struct {
		name            string
		access          Access
		reason, message string
		usable          bool
	}{
		{"allowed", Access{Allowed: true}, "RestoreStarting", "Creating Restore m2-migrate-default-app-c948154d in m2.", true},
		{"denied", Access{Denial: "jane may not"}, "ClusterNotAuthorized", "Access to AttachedCluster m2 is denied, waiting for permission: jane may not.", false},
		{"denied and allowed", Access{Allowed: true, Denial: "jane may not"}, "ClusterNotAuthorized", "Access to AttachedCluster m2 is denied, waiting for permission: jane may not.", false},
		{"the check fails", Access{Err: errDown}, "AccessReviewFailed", "Checking access to AttachedCluster m2 failed, trying again: connection refused", false},
		{"not checked, and usable before", Access{}, "WaitingForBackup", "Waiting for the Backup in m1.", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newFixture(t, m2).started()
			s.access[m2] = tt.access
			s.backup("Completed", 5)
			cs := s.m.Status.TargetClusterStatus[0].ClusterStatus
			if cs.Reason != tt.reason || cs.Message != tt.message {
				t.Errorf("the status is %s: %s", cs.Reason, cs.Message)
			}
			if actions := Next(s.m, s.observed()); (len(actions) == 1) != tt.usable {
				t.Errorf("actions %+v", actions)
			}
			if got := slices.Contains(s.plan().Veleros(), Velero{m2, "velero"}); got != tt.usable {
				t.Errorf("the target is observed: %v", got)
			}
		})
	}
}

func TestWasUsable(t *testing.T) {
	for reason, want := range map[string]bool{
		"": false, "Connecting": false, "HostUnreachable": false, "FleetNotFound": false, "ClusterNotInFleet": false,
		"ClusterNotFound": false, "ClusterNotReady": false, "ClusterNotAuthorized": false, "AccessReviewFailed": false,
		"BeingDeleted": false, "Suspended": false, "Canceling": false,
		"MemberUnreachable": true, "StorageUnavailable": true, "WaitingForBackup": true, "BackupStarting": true, "NoTargetReady": true,
	} {
		s := newFixture(t, m2)
		s.record()
		s.m.Status.TargetClusterStatus[0].Reason = reason
		if got := s.plan().Of(m2).WasUsable; got != want {
			t.Errorf("%q: %v, want %v", reason, got, want)
		}
	}
	if newFixture(t, m2).plan().Of(m2).WasUsable {
		t.Error("a cluster without a recorded status was usable")
	}
}
