// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"slices"
	"testing"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
)

// TestVeleroIsPinnedAtTheStart changes the annotation of the clusters, which has an effect only
// before something is started in them.
func TestVeleroIsPinnedAtTheStart(t *testing.T) {
	s := newFixture(t, m2)
	annotate := func(namespace string) {
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
	annotate("backups")
	want("before the Backup can be created", "backups", "backups")
	s.with(m1, func(m *Member) { m.Locations = []velerov1.BackupStorageLocation{bucket("velero")} }).record()
	annotate("elsewhere")
	want("after the start of the Backup", "backups", "elsewhere")
	s.next()
	s.backup(velerov1.BackupPhaseCompleted, 3)
	annotate("nowhere")
	want("after the start of the Restore", "backups", "elsewhere")
	if got := Resolve(s.m, Inventory{}).Of(m2).Velero(); got != (Velero{m2, "elsewhere"}) {
		t.Errorf("while the host can't be read: %v", got)
	}
}
