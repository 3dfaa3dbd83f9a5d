// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"slices"
	"testing"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
)

// TestAPartStaysWithTheVeleroThatItBeganWith: before that the host may name another one.
func TestAPartStaysWithTheVeleroThatItBeganWith(t *testing.T) {
	s := newFixture(t, m2)
	names := func(namespace string) {
		for _, c := range []Cluster{m1, m2} {
			state := s.host.Clusters[c]
			state.VeleroNamespace = namespace
			s.host.Clusters[c] = state
		}
	}
	want := func(when, source, target string) {
		t.Helper()
		veleros := []Velero{{m1, source}, {m2, target}}
		if got := s.plan().Veleros(); !slices.Equal(got, veleros) {
			t.Errorf("%s: %v, want %v", when, got, veleros)
		}
	}
	want("at first", "velero", "velero")
	s.with(m1, func(m *Member) { m.Locations = nil }).record()
	names("backups")
	want("before the Backup can be made", "backups", "backups")
	s.with(m1, func(m *Member) { m.Locations = []velerov1.BackupStorageLocation{bucket("velero")} }).record()
	names("elsewhere")
	want("when the Backup is begun", "backups", "elsewhere")
	s.next()
	s.backup(velerov1.BackupPhaseCompleted, 3)
	names("nowhere")
	want("when the Restore is begun", "backups", "elsewhere")
	if got := Resolve(s.m, Inventory{}).Of(m2).Velero(); got != (Velero{m2, "elsewhere"}) {
		t.Errorf("while the host can't be asked: %v", got)
	}
}
