// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"errors"
	"testing"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// TestVelerosNamespaceIsSettledByWhatIsBegun: until then its annotation may be mended.
func TestVelerosNamespaceIsSettledByWhatIsBegun(t *testing.T) {
	s := newScene(t, m2)
	s.seen.Host.Clusters[m1] = ClusterState{}
	s.record()
	if source, target := s.m.Status.SourceClusterStatus, s.target(); source.VeleroNamespace != "" || target.VeleroNamespace != "" {
		t.Errorf("before anything is begun: %q, %q", source.VeleroNamespace, target.VeleroNamespace)
	}
	s.seen.Host.Clusters[m1] = usableState
	s.with(m1, func(m *Member) { m.VeleroNamespace = "backups" })
	if actions := Next(s.m, s.seen); len(actions) > 0 {
		t.Errorf("begun before it is recorded where: %+v", actions)
	}
	s.record()
	if source, target := s.m.Status.SourceClusterStatus, s.target(); source.VeleroNamespace != "backups" || target.VeleroNamespace != "" {
		t.Errorf("when the Backup is begun: %q, %q", source.VeleroNamespace, target.VeleroNamespace)
	}
	if backup := s.next()[0].(CreateBackup).Backup; backup.Namespace != "backups" {
		t.Errorf("the Backup is for namespace %q", backup.Namespace)
	}
	s.backup(velerov1.BackupPhaseCompleted, 3)
	if target := s.target(); target.VeleroNamespace != "velero" {
		t.Errorf("when the Restore is begun: %q", target.VeleroNamespace)
	}
	if restore := s.next()[0].(StartRestore).Restore; restore.Namespace != "velero" {
		t.Errorf("the Restore is for namespace %q", restore.Namespace)
	}
}

func TestVelerosNamespaceIsChangedUnderWay(t *testing.T) {
	s := newScene(t, m2).restoring()
	elsewhere := Located(s.m, m2, Member{VeleroNamespace: "backups"})
	s.with(m2, func(m *Member) { *m = elsewhere }).record()
	s.wantPart(s.target(), "VeleroNamespaceChanged", "the migration is under way in namespace velero of m2, "+
		"and annotation backup.kurator.dev/velero-namespace of AttachedCluster m2 now leads to backups; set it back.")
	if s.target().Phase != v1alpha1.MigratePhaseRestoreInProgress {
		t.Errorf("the target is %s", s.target().Phase)
	}
	for name, seen := range map[string]Member{
		"the same":       {VeleroNamespace: "velero", Restore: &velerov1.Restore{}},
		"one that fails": {VeleroNamespace: "backups", Err: errDown},
	} {
		if got := Located(s.m, m2, seen); got.Restore != seen.Restore || !errors.Is(got.Err, seen.Err) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
