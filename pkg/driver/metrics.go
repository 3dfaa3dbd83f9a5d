// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"sync"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
	_ "k8s.io/component-base/metrics/prometheus/clientgo/leaderelection" // of the Lease
	_ "k8s.io/component-base/metrics/prometheus/workqueue"               // of the queue of the loop

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// The metrics of migrations. Only the leader changes them. The labels have few values: phases, and reasons of v1alpha1.
var (
	migrationsByPhase = metrics.NewGaugeVec(&metrics.GaugeOpts{
		Namespace: "migrate", Name: "migrations", StabilityLevel: metrics.ALPHA,
		Help: "Migrates that have not ended, by phase. Only the leader counts them.",
	}, []string{"phase"})
	migrationsPending = metrics.NewGaugeVec(&metrics.GaugeOpts{
		Namespace: "migrate", Name: "migrations_pending", StabilityLevel: metrics.ALPHA,
		Help: "Migrates in phase Pending, by the reason of condition Ready. Only the leader counts them.",
	}, []string{"reason"})
	migrationsStalled = metrics.NewGauge(&metrics.GaugeOpts{
		Namespace: "migrate", Name: "migrations_stalled", StabilityLevel: metrics.ALPHA,
		Help: "Migrates that have not ended and whose condition Stalled is True. Only the leader counts them.",
	})
	migrationsEnded = metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace: "migrate", Name: "migrations_ended_total", StabilityLevel: metrics.ALPHA,
		Help: "Migrations whose end this replica recorded, by phase.",
	}, []string{"phase"})
	migrationDuration = metrics.NewHistogramVec(&metrics.HistogramOpts{
		Namespace: "migrate", Name: "migration_duration_seconds", StabilityLevel: metrics.ALPHA,
		Help:    "Time from the creation or retry of a Migrate to its end, by phase.",
		Buckets: metrics.ExponentialBuckets(1, 2, 16),
	}, []string{"phase"})
	stageDuration = metrics.NewHistogramVec(&metrics.HistogramOpts{
		Namespace: "migrate", Name: "stage_duration_seconds", StabilityLevel: metrics.ALPHA,
		Help:    "Time that Velero took for a Backup or a Restore, by stage (backup or restore) and the phase of the cluster.",
		Buckets: metrics.ExponentialBuckets(1, 2, 16),
	}, []string{"stage", "phase"})
	waitDuration = metrics.NewHistogramVec(&metrics.HistogramOpts{
		Namespace: "migrate", Name: "wait_duration_seconds", StabilityLevel: metrics.ALPHA,
		Help:    "Time for which a cluster of a migration was Pending for a reason, by that reason.",
		Buckets: metrics.ExponentialBuckets(1, 2, 16),
	}, []string{"reason"})
	clustersEnded = metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace: "migrate", Name: "clusters_ended_total", StabilityLevel: metrics.ALPHA,
		Help: "Ends of the Backup in a source or the Restore in a target that this replica recorded, by stage (backup or restore), phase and reason.",
	}, []string{"stage", "phase", "reason"})
	restoredItems = metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace: "migrate", Name: "items_total", StabilityLevel: metrics.ALPHA,
		Help: "Items of targets that have ended, by what became of them. Those of a retry count again.",
	}, []string{"outcome"})
	restoredVolumes = metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace: "migrate", Name: "volumes_total", StabilityLevel: metrics.ALPHA,
		Help: "Volumes of targets that have ended, by what became of their data. Those of a retry count again.",
	}, []string{"outcome"})
	volumeBytes = metrics.NewCounter(&metrics.CounterOpts{
		Namespace: "migrate", Name: "volume_bytes_total", StabilityLevel: metrics.ALPHA,
		Help: "Size of the volume data that is in targets that have ended, as far as Velero reports it. That of a retry counts again.",
	})
	resultsUnread = metrics.NewCounter(&metrics.CounterOpts{
		Namespace: "migrate", Name: "results_unavailable_total", StabilityLevel: metrics.ALPHA,
		Help: "Ends of clusters that were recorded without Velero's lists, because these could not be read.",
	})
	memberWriteErrors = metrics.NewCounter(&metrics.CounterOpts{
		Namespace: "migrate", Name: "member_write_errors_total", StabilityLevel: metrics.ALPHA,
		Help: "Failed writes into member clusters, which are retried.",
	})
	liveReadDuration = metrics.NewHistogramVec(&metrics.HistogramOpts{
		Namespace: "migrate", Name: "live_read_duration_seconds", StabilityLevel: metrics.ALPHA,
		Help:    "Time of the reads of the members for migrates/status, by result: success or error.",
		Buckets: metrics.ExponentialBuckets(0.005, 2, 14),
	}, []string{"result"})

	registerMetrics = sync.OnceFunc(func() {
		legacyregistry.MustRegister(
			migrationsByPhase, migrationsPending, migrationsStalled, migrationsEnded, migrationDuration, stageDuration, waitDuration, clustersEnded,
			restoredItems, restoredVolumes, volumeBytes, resultsUnread, memberWriteErrors, liveReadDuration)
	})
)

// countLive adds n to the gauges of Migrates that have not ended for one in the state of m.
func countLive(m *v1alpha1.Migrate, n float64) {
	if migration.IsTerminal(m.Status.Phase) {
		return
	}
	migrationsByPhase.WithLabelValues(string(m.Status.Phase)).Add(n)
	if ready := apimeta.FindStatusCondition(m.Status.Conditions, v1alpha1.ConditionReady); m.Status.Phase == v1alpha1.MigratePhasePending && ready != nil {
		migrationsPending.WithLabelValues(ready.Reason).Add(n)
	}
	if apimeta.IsStatusConditionTrue(m.Status.Conditions, v1alpha1.ConditionStalled) {
		migrationsStalled.Add(n)
	}
}

// countNoneLive empties these gauges: this replica counts no longer, or not yet.
func countNoneLive() {
	migrationsByPhase.Reset()
	migrationsPending.Reset()
	migrationsStalled.Set(0)
}

// measure updates the metrics by what has changed between two recorded statuses.
func (l *loop) measure(before, after *v1alpha1.Migrate) {
	now := l.Clock.Now()
	longest := now.Sub(after.CreationTimestamp.Time) + time.Second // the times of objects are whole seconds
	for _, is := range migration.ClusterStatuses(&after.Status) {
		if was := migration.StatusIn(&before.Status, migration.ClusterOf(*is)); was != nil {
			measureWait(was, is, now)
		}
	}
	ended := func(is *v1alpha1.ClusterStatus) bool {
		was := migration.StatusIn(&before.Status, migration.ClusterOf(*is))
		return migration.IsTerminal(is.Phase) && (was == nil || !migration.IsTerminal(was.Phase))
	}
	if source := after.Status.SourceClusterStatus; source != nil && ended(&source.ClusterStatus) {
		measureEnd(v1alpha1.MigrateStageBackup, &source.ClusterStatus)
		if b := source.BackupStatusInCluster; b != nil {
			measureStage(v1alpha1.MigrateStageBackup, source.Phase, b.StartTimestamp, b.CompletionTimestamp, longest)
		}
	}
	for i := range after.Status.TargetClusterStatus {
		target := &after.Status.TargetClusterStatus[i]
		if !ended(&target.ClusterStatus) {
			continue
		}
		measureEnd(v1alpha1.MigrateStageRestore, &target.ClusterStatus)
		if r := target.RestoreStatusInCluster; r != nil {
			measureStage(v1alpha1.MigrateStageRestore, target.Phase, r.StartTimestamp, r.CompletionTimestamp, longest)
		}
		measureArrival(&target.ClusterStatus)
	}
	if migration.IsTerminal(after.Status.Phase) {
		phase := string(after.Status.Phase)
		migrationsEnded.WithLabelValues(phase).Inc()
		migrationDuration.WithLabelValues(phase).Observe(now.Sub(migration.StartTime(after)).Seconds())
	}
}

// measureWait observes how long a cluster was Pending for a reason that is over.
func measureWait(was, is *v1alpha1.ClusterStatus, now time.Time) {
	if was.Phase == v1alpha1.MigratePhasePending && was.LastTransitionTime != nil && (is.Phase != was.Phase || is.Reason != was.Reason) {
		waitDuration.WithLabelValues(was.Reason).Observe(now.Sub(was.LastTransitionTime.Time).Seconds())
	}
}

func measureEnd(stage string, c *v1alpha1.ClusterStatus) {
	clustersEnded.WithLabelValues(stage, string(c.Phase), c.Reason).Inc()
	if c.Reason == v1alpha1.ReasonResultsUnavailable {
		resultsUnread.Inc()
	}
}

func measureStage(stage string, phase v1alpha1.MigratePhase, began, ended *metav1.Time, longest time.Duration) {
	if began == nil || ended == nil {
		return
	}
	// These are what the member says.
	if took := ended.Sub(began.Time); took >= 0 && took <= longest {
		stageDuration.WithLabelValues(stage, string(phase)).Observe(took.Seconds())
	}
}

// measureArrival adds what has become of the items and volumes of a target.
func measureArrival(c *v1alpha1.ClusterStatus) {
	if counts := c.Items; counts != nil {
		for outcome, n := range map[v1alpha1.ItemOutcome]int64{
			v1alpha1.ItemCreated: counts.Created, v1alpha1.ItemUpdated: counts.Updated, v1alpha1.ItemUnchanged: counts.Unchanged,
			v1alpha1.ItemKept: counts.Kept, v1alpha1.ItemFailed: counts.Failed, v1alpha1.ItemLeftOut: counts.LeftOut,
		} {
			restoredItems.WithLabelValues(string(outcome)).Add(float64(n))
		}
	}
	if counts := c.Volumes; counts != nil {
		restoredVolumes.WithLabelValues(string(v1alpha1.VolumeMoved)).Add(float64(counts.Moved))
		restoredVolumes.WithLabelValues(string(v1alpha1.ItemWithoutData)).Add(float64(counts.Total - counts.Moved))
		volumeBytes.Add(float64(counts.Bytes))
	}
}

func measureLiveRead(took time.Duration, err error) {
	result := "success"
	if err != nil {
		result = "error"
	}
	liveReadDuration.WithLabelValues(result).Observe(took.Seconds())
}
