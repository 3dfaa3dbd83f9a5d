// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"sync"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

var (
	migrationsEnded = metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace: "migrate", Name: "migrations_ended_total", StabilityLevel: metrics.ALPHA,
		Help: "Migrations whose end this replica recorded, by phase.",
	}, []string{"phase"})
	migrationDuration = metrics.NewHistogramVec(&metrics.HistogramOpts{
		Namespace: "migrate", Name: "migration_duration_seconds", StabilityLevel: metrics.ALPHA,
		Help:    "Time from the creation or retry of a Migrate to its end, by phase.",
		Buckets: metrics.ExponentialBuckets(1, 2, 16),
	}, []string{"phase"})
	memberWriteErrors = metrics.NewCounter(&metrics.CounterOpts{
		Namespace: "migrate", Name: "member_write_errors_total", StabilityLevel: metrics.ALPHA,
		Help: "Failed writes into member clusters, which are retried.",
	})

	registerMetrics = sync.OnceFunc(func() {
		legacyregistry.MustRegister(migrationsEnded, migrationDuration, memberWriteErrors)
	})
)

// countEnd updates the metrics if the migration has just ended.
func (l *loop) countEnd(after *v1alpha1.Migrate) {
	if !migration.IsTerminal(after.Status.Phase) {
		return
	}
	phase := string(after.Status.Phase)
	migrationsEnded.WithLabelValues(phase).Inc()
	migrationDuration.WithLabelValues(phase).Observe(l.Clock.Since(migration.StartTime(after)).Seconds())
}
