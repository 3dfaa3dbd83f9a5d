// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-base/metrics/legacyregistry"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// gathered returns the metrics of migrations by name and labels: values, and of histograms the number of observations.
// Parallel tests don't change them, because they start after the sequential ones.
func gathered(t *testing.T) map[string]float64 {
	t.Helper()
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			name, ours := strings.CutPrefix(family.GetName(), "migrate_")
			for _, label := range metric.GetLabel() {
				name += " " + label.GetValue()
			}
			if ours {
				values[name] = metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + float64(metric.GetHistogram().GetSampleCount())
			}
		}
	}
	return values
}

// changes returns the metrics of migrations that have changed, each with by how much.
func changes(before, after map[string]float64) (changed []string) {
	for name, value := range after {
		if by := value - before[name]; by != 0 {
			changed = append(changed, fmt.Sprintf("%s %+g", name, by))
		}
	}
	for name, value := range before {
		if _, ok := after[name]; !ok && value != 0 {
			changed = append(changed, fmt.Sprintf("%s %+g", name, -value))
		}
	}
	slices.Sort(changed)
	return changed
}

// TestDriverMeasuresMigrations migrates to two targets.
func TestDriverMeasuresMigrations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		before := gathered(t)
		stop := w.drive()
		w.apply(m2, m3)
		time.Sleep(processingTime)
		stop()
		measured := slices.DeleteFunc(changes(before, gathered(t)), func(change string) bool {
			return change == "wait_duration_seconds Connecting +1" // which another sync may overtake
		})
		if diff := cmp.Diff([]string{
			"clusters_ended_total Completed BackupCompleted backup +1",
			"clusters_ended_total Completed RestoreCompleted restore +2",
			"items_total Created +6",
			"migration_duration_seconds Completed +1",
			"migrations_ended_total Completed +1",
			"stage_duration_seconds Completed backup +1",
			"stage_duration_seconds Completed restore +2",
			"wait_duration_seconds BackupStarting +1",
			"wait_duration_seconds RestoreStarting +2",
			"wait_duration_seconds WaitingForBackup +2",
		}, measured); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// TestGaugesFollowTheDriver stops a driver while a migration is under way.
func TestGaugesFollowTheDriver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.members[m2].hang = true
		before := gathered(t)
		stop := w.drive()
		w.apply(m2)
		time.Sleep(processingTime)
		leading := gathered(t)
		stop()
		if got := leading["migrations RestoreInProgress"] + leading["migrations Pending"] + leading["migrations BackupInProgress"]; got != 1 {
			t.Errorf("%v Migrates are counted", got)
		}
		for name, value := range gathered(t) {
			if strings.HasPrefix(name, "migrations ") && value != before[name] {
				t.Errorf("after the term, %s is %v", name, value)
			}
		}
	})
}

func TestMeasureWaitsAndLosses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := gathered(t)
		l := newLoop(newWorld(t).driver().Config, &sharings{})
		defer l.queue.ShutDown()
		at := metav1.NewTime(time.Now())
		target := func(phase v1alpha1.MigratePhase, reason string) v1alpha1.ClusterStatus {
			return v1alpha1.ClusterStatus{ClusterName: "m2", ClusterKind: "AttachedCluster", Phase: phase, Reason: reason, LastTransitionTime: &at}
		}
		state := func(cluster v1alpha1.ClusterStatus) *v1alpha1.Migrate {
			m := &v1alpha1.Migrate{}
			m.Status.Phase = v1alpha1.MigratePhaseRestoreInProgress
			m.Status.TargetClusterStatus = []v1alpha1.RestoreDetails{{ClusterStatus: cluster}}
			return m
		}
		waits, other := state(target("Pending", "MemberUnreachable")), state(target("Pending", "StorageNotShared"))
		lost := state(target("PartiallyFailed", "ResultsUnavailable"))
		lost.Status.TargetClusterStatus[0].Items = &v1alpha1.ItemCounts{Total: 8, Created: 5, Kept: 2, Failed: 1}
		lost.Status.TargetClusterStatus[0].Volumes = &v1alpha1.VolumeCounts{Total: 3, Moved: 2, Bytes: 4096}
		for _, step := range []struct{ before, after *v1alpha1.Migrate }{{waits, waits}, {waits, other}, {other, lost}, {lost, lost}} {
			l.measure(step.before, step.after)
		}
		if diff := cmp.Diff([]string{
			"clusters_ended_total PartiallyFailed ResultsUnavailable restore +1",
			"items_total Created +5", "items_total Failed +1", "items_total Kept +2",
			"results_unavailable_total +1",
			"volume_bytes_total +4096", "volumes_total Moved +2", "volumes_total WithoutData +1",
			"wait_duration_seconds MemberUnreachable +1", "wait_duration_seconds StorageNotShared +1",
		}, changes(before, gathered(t))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestGaugesOfLiveMigrates(t *testing.T) {
	condition := func(kind string, status metav1.ConditionStatus, reason string) metav1.Condition {
		return metav1.Condition{Type: kind, Status: status, Reason: reason}
	}
	migrate := func(phase v1alpha1.MigratePhase, conditions ...metav1.Condition) *v1alpha1.Migrate {
		return &v1alpha1.Migrate{Status: v1alpha1.MigrateStatus{Phase: phase, Conditions: conditions}}
	}
	registerMetrics()
	countNoneLive()
	defer countNoneLive()
	before := gathered(t)
	countLive(migrate("Pending", condition("Ready", "False", "FleetNotFound"), condition("Stalled", "True", "ProgressDeadlineExceeded")), 1)
	countLive(migrate("BackupInProgress", condition("Ready", "False", "BackupInProgress")), 1)
	countLive(migrate("Failed", condition("Stalled", "True", "Failed")), 1)
	if diff := cmp.Diff([]string{
		"migrations BackupInProgress +1", "migrations Pending +1", "migrations_pending FleetNotFound +1", "migrations_stalled +1",
	}, changes(before, gathered(t))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
