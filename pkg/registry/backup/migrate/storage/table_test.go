// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
	"kurator.dev/migrate-apiserver/pkg/registry/backup/internal/table"
)

func TestTable(t *testing.T) {
	source := func(phase backup.MigratePhase, message string, velero *velerov1.BackupStatus) *backup.BackupDetails {
		return &backup.BackupDetails{
			ClusterStatus:         backup.ClusterStatus{ClusterName: "member1", Phase: phase, Message: message},
			BackupNameInCluster:   "member1-migrate-default-a-x",
			BackupStatusInCluster: velero,
		}
	}
	target := func(name string, phase backup.MigratePhase, message string) backup.RestoreDetails {
		return backup.RestoreDetails{ClusterStatus: backup.ClusterStatus{ClusterName: name, Phase: phase, Message: message}}
	}
	condition := func(kind string, status metav1.ConditionStatus, message string) metav1.Condition {
		return metav1.Condition{Type: kind, Status: status, Message: message}
	}
	tests := map[string]struct {
		spec   backup.MigrateSpec
		status backup.MigrateStatus
		want   []any
	}{
		"created without names": {
			want: []any{"a", "", "<none>", "0/all", "<none>", "11d", "<none>", "<none>", "<none>"},
		},
		"waits": {
			spec: backup.MigrateSpec{
				SourceCluster: backup.Destination{Clusters: []corev1.ObjectReference{{Name: "member1"}}},
				TargetCluster: backup.Destination{Clusters: []corev1.ObjectReference{{Name: "member2"}, {Name: "member3"}}},
			},
			status: backup.MigrateStatus{
				Phase:      "Pending",
				Conditions: []metav1.Condition{condition("Ready", "False", "Fleet quickstart does not exist")},
			},
			want: []any{"a", "Pending", "member1", "0/2", "<none>", "11d", "<none>", "<none>", "Fleet quickstart does not exist"},
		},
		"suspended": {
			status: backup.MigrateStatus{
				Phase: "Pending",
				Conditions: []metav1.Condition{
					condition("Ready", "False", "member1: Suspended"), condition("Suspended", "True", "Suspended. Plan: Ready."),
				},
			},
			want: []any{"a", "Pending", "<none>", "0/all", "<none>", "11d", "<none>", "<none>", "Suspended. Plan: Ready."},
		},
		"a backup in progress": {
			status: backup.MigrateStatus{
				Phase: "BackupInProgress",
				SourceClusterStatus: source("BackupInProgress", "", &velerov1.BackupStatus{
					Phase: "InProgress", Progress: &velerov1.BackupProgress{TotalItems: 9, ItemsBackedUp: 4},
				}),
				TargetClusterStatus: []backup.RestoreDetails{target("member2", "Pending", "waits for the backup")},
				Progress:            &backup.MigrateProgress{ItemsDone: 4, ItemsTotal: 9},
				Conditions:          []metav1.Condition{condition("Reconciling", "True", "Velero backs up")},
			},
			want: []any{"a", "BackupInProgress", "member1", "0/1", "4/9", "11d", "<none>", "member1-migrate-default-a-x", "Velero backs up"},
		},
		"volumes": {
			status: backup.MigrateStatus{
				Phase:               "RestoreInProgress",
				SourceClusterStatus: &backup.BackupDetails{ClusterStatus: backup.ClusterStatus{ClusterName: "member1", Phase: "Completed"}},
				TargetClusterStatus: []backup.RestoreDetails{target("member2", "RestoreInProgress", ""), target("member3", "RestoreInProgress", "")},
				Progress:            &backup.MigrateProgress{ItemsDone: 7, ItemsTotal: 14, BytesDone: 7 << 20, BytesTotal: 2 << 30},
			},
			want: []any{"a", "RestoreInProgress", "member1", "0/2", "7/14", "11d", "7.0MiB/2.0GiB", "<none>", "<none>"},
		},
		"an unreachable member": {
			status: backup.MigrateStatus{
				Phase: "RestoreInProgress",
				Conditions: []metav1.Condition{
					condition("Reconciling", "True", "Velero restores"),
					condition("MembersReachable", "False", "member3: connection refused"),
				},
			},
			want: []any{"a", "RestoreInProgress", "<none>", "0/all", "<none>", "11d", "<none>", "<none>", "member3: connection refused"},
		},
		"partly failed": {
			status: backup.MigrateStatus{
				Phase: "PartiallyFailed",
				SourceClusterStatus: source("Completed", "done", &velerov1.BackupStatus{
					Phase: "Completed", Progress: &velerov1.BackupProgress{TotalItems: 9, ItemsBackedUp: 9},
				}),
				TargetClusterStatus: []backup.RestoreDetails{
					target("member2", "Completed", "done"), target("member3", "Failed", "quota exceeded"), target("member4", "Completed", "done"),
				},
				Progress:   &backup.MigrateProgress{ItemsDone: 27, ItemsTotal: 27},
				Conditions: []metav1.Condition{condition("Ready", "False", "1 of 3 targets failed")},
			},
			want: []any{"a", "PartiallyFailed", "member1", "2/3", "27/27", "11d", "<none>", "member1-migrate-default-a-x", "member3: quota exceeded"},
		},
		"nothing found": {
			status: backup.MigrateStatus{
				Phase: "Completed",
				Conditions: []metav1.Condition{
					condition("Ready", "True", "completed"), condition("ItemsFound", "False", "the filter matched nothing"),
				},
			},
			want: []any{"a", "Completed", "<none>", "0/all", "<none>", "11d", "<none>", "<none>", "the filter matched nothing"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			m := backup.Migrate{
				ObjectMeta: metav1.ObjectMeta{Name: "a", CreationTimestamp: metav1.NewTime(time.Now().Add(-11 * 24 * time.Hour))},
				Spec:       test.spec,
				Status:     test.status,
			}
			converted, err := table.New(columns(), cells).ConvertToTable(t.Context(), &backup.MigrateList{Items: []backup.Migrate{m}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([][]any{test.want}, [][]any{converted.Rows[0].Cells}); diff != "" {
				t.Errorf("cells (-want +got)\n%s", diff)
			}
			if got, want := len(converted.ColumnDefinitions), len(test.want); got != want {
				t.Errorf("got %d columns, want %d", got, want)
			}
		})
	}
}
