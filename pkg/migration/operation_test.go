// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"strings"
	"testing"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

func TestLogOf(t *testing.T) {
	s := newFixture(t, m2, m3)
	s.restoring()
	s.m.Status.TargetClusterStatus[1].RestoreStatusInCluster = nil
	type options = v1alpha1.MigrateLogOptions
	for name, tt := range map[string]struct {
		options options
		want    Operation
		err     string
	}{
		"of the Backup":           {options{}, Operation{m1, "backup", "m1-migrate-default-app-c948154d", ""}, ""},
		"by stage":                {options{Stage: "backup"}, Operation{m1, "backup", "m1-migrate-default-app-c948154d", ""}, ""},
		"by the source":           {options{Cluster: "m1"}, Operation{m1, "backup", "m1-migrate-default-app-c948154d", ""}, ""},
		"by a target":             {options{Cluster: "m2"}, Operation{m2, "restore", "m2-migrate-default-app-c948154d", ""}, ""},
		"by both":                 {options{Cluster: "m2", Stage: "restore"}, Operation{m2, "restore", "m2-migrate-default-app-c948154d", ""}, ""},
		"no Restore yet":          {options{Cluster: "m3"}, Operation{}, "there is no log yet, because there is no Restore in m3: "},
		"several targets":         {options{Stage: "restore"}, Operation{}, "there are several targets; set cluster to one of m2, m3"},
		"a Backup in a target":    {options{Cluster: "m2", Stage: "backup"}, Operation{}, "m2 has no log of the stage backup: the Backup is in the source m1, the Restores are in the targets"},
		"a Restore in the source": {options{Cluster: "m1", Stage: "restore"}, Operation{}, "m1 has no log of the stage restore: the Backup is in the source m1, the Restores are in the targets"},
		"unknown cluster":         {options{Cluster: "m9"}, Operation{}, "m9 is not a cluster of this migration; the source is m1, the targets are m2, m3"},
		"unknown stage":           {options{Stage: "handoff"}, Operation{}, `stage is "handoff"; it must be backup or restore`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := LogOf(s.m, &tt.options)
			if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.HasPrefix(err.Error(), tt.err) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	s = newFixture(t, m2)
	if _, err := LogOf(s.m, &options{}); err == nil {
		t.Error("a Migrate that has not started has a log")
	}
}

// TestOperationHasEnded checks when Velero has uploaded a log.
func TestOperationHasEnded(t *testing.T) {
	in := func(phase velerov1.BackupPhase) Member {
		return Member{Backup: &velerov1.Backup{Status: velerov1.BackupStatus{Phase: phase}}}
	}
	backup := Operation{Cluster: m1, Stage: v1alpha1.MigrateStageBackup, Object: "b"}
	if uploaded, why := backup.HasEnded(in("InProgress"), "log"); uploaded || why != "b in m1 is InProgress, and Velero uploads its log when it has ended" {
		t.Error(uploaded, why)
	}
	if uploaded, _ := backup.HasEnded(in("PartiallyFailed"), "log"); !uploaded {
		t.Error("the log of a Backup that has ended is not uploaded")
	}
}
