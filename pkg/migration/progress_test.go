// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

func TestProgress(t *testing.T) {
	type (
		progress = v1alpha1.MigrateProgress
		volumes  = v1alpha1.VolumeProgress
	)
	after := func(d time.Duration) *metav1.Time { return &metav1.Time{Time: start.Add(d)} }
	backup := func(phase v1alpha1.MigratePhase, done, total int, moved *v1alpha1.VolumeProgress) *v1alpha1.BackupDetails {
		return &v1alpha1.BackupDetails{
			ClusterStatus: v1alpha1.ClusterStatus{Phase: phase, LastProgressTime: after(time.Minute), VolumeProgress: moved},
			BackupStatusInCluster: &velerov1.BackupStatus{
				StartTimestamp: after(0), Progress: &velerov1.BackupProgress{ItemsBackedUp: done, TotalItems: total},
			},
		}
	}
	restore := func(phase v1alpha1.MigratePhase, done, total int, counts *v1alpha1.ItemCounts) v1alpha1.RestoreDetails {
		return v1alpha1.RestoreDetails{
			ClusterStatus: v1alpha1.ClusterStatus{Phase: phase, LastProgressTime: after(3 * time.Minute), Items: counts},
			RestoreStatusInCluster: &velerov1.RestoreStatus{
				StartTimestamp: after(2 * time.Minute), Progress: &velerov1.RestoreProgress{ItemsRestored: done, TotalItems: total},
			},
		}
	}
	notStarted := v1alpha1.RestoreDetails{ClusterStatus: v1alpha1.ClusterStatus{Phase: "Pending"}}
	for name, tt := range map[string]struct {
		source  *v1alpha1.BackupDetails
		targets []v1alpha1.RestoreDetails
		all     *progress
		// each is of the source and the targets.
		each []*progress
	}{
		"not resolved": {},
		"not started":  {&v1alpha1.BackupDetails{}, []v1alpha1.RestoreDetails{notStarted}, nil, []*progress{nil, nil}},
		"new Backup": {
			&v1alpha1.BackupDetails{BackupStatusInCluster: &velerov1.BackupStatus{}}, nil, &progress{}, []*progress{{}},
		},
		"Backup": {
			backup("BackupInProgress", 40, 120, nil),
			[]v1alpha1.RestoreDetails{notStarted},
			&progress{ItemsDone: 40, ItemsTotal: 120, StartTime: after(0)},
			[]*progress{{ItemsDone: 40, ItemsTotal: 120, StartTime: after(0), EstimatedCompletionTime: after(3 * time.Minute)}, nil},
		},
		"Backup of volumes": {
			backup("BackupInProgress", 120, 120, &volumes{BytesDone: 1, TotalBytes: 2}), nil,
			&progress{ItemsDone: 120, ItemsTotal: 120, BytesDone: 1, BytesTotal: 2, StartTime: after(0)},
			[]*progress{{ItemsDone: 120, ItemsTotal: 120, BytesDone: 1, BytesTotal: 2, StartTime: after(0), EstimatedCompletionTime: after(2 * time.Minute)}},
		},
		"hardly begun": {
			backup("BackupInProgress", 1, 1000, nil), nil,
			&progress{ItemsDone: 1, ItemsTotal: 1000, StartTime: after(0)},
			[]*progress{{ItemsDone: 1, ItemsTotal: 1000, StartTime: after(0)}},
		},
		"one of two Restores": {
			backup("Completed", 100, 100, nil),
			[]v1alpha1.RestoreDetails{restore("RestoreInProgress", 50, 100, nil), notStarted},
			&progress{ItemsDone: 50, ItemsTotal: 200, StartTime: after(0)},
			[]*progress{
				{ItemsDone: 100, ItemsTotal: 100, StartTime: after(0)},
				{ItemsDone: 50, ItemsTotal: 100, StartTime: after(2 * time.Minute), EstimatedCompletionTime: after(4 * time.Minute)},
				nil,
			},
		},
		"two Restores, of which one has ended": {
			backup("Completed", 100, 100, nil),
			[]v1alpha1.RestoreDetails{restore("RestoreInProgress", 50, 100, nil), restore("PartiallyFailed", 90, 100, &v1alpha1.ItemCounts{Total: 98, Created: 90, Failed: 8})},
			&progress{ItemsDone: 148, ItemsTotal: 198, StartTime: after(0), EstimatedCompletionTime: after(4 * time.Minute)},
			[]*progress{
				{ItemsDone: 100, ItemsTotal: 100, StartTime: after(0)},
				{ItemsDone: 50, ItemsTotal: 100, StartTime: after(2 * time.Minute), EstimatedCompletionTime: after(4 * time.Minute)},
				{ItemsDone: 98, ItemsTotal: 98, StartTime: after(2 * time.Minute)},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			status := &v1alpha1.MigrateStatus{SourceClusterStatus: tt.source, TargetClusterStatus: tt.targets}
			setProgress(status)
			if d := cmp.Diff(tt.all, status.Progress); d != "" {
				t.Error(d)
			}
			var each []*progress
			if status.SourceClusterStatus != nil {
				each = append(each, status.SourceClusterStatus.Progress)
			}
			for _, target := range status.TargetClusterStatus {
				each = append(each, target.Progress)
			}
			if d := cmp.Diff(tt.each, each); d != "" {
				t.Error(d)
			}
			if Compare(status, &v1alpha1.MigrateStatus{SourceClusterStatus: tt.source, TargetClusterStatus: tt.targets}) == Transition {
				t.Error("progress is a transition")
			}
		})
	}
}
