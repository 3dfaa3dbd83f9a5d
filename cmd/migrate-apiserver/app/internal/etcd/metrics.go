// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

var (
	alarms = metrics.NewGaugeVec(&metrics.GaugeOpts{
		Namespace: "migrate", Name: "etcd_alarms", StabilityLevel: metrics.ALPHA,
		Help: "Members of the etcd that have raised an alarm, by type: NOSPACE (writes are refused) or CORRUPT (writes and deletes are refused).",
	}, []string{"type"})
	freeBytes = metrics.NewGauge(&metrics.GaugeOpts{
		Namespace: "migrate", Name: "etcd_disk_free_bytes", StabilityLevel: metrics.ALPHA,
		Help: "Free space of the disk of the embedded etcd's data directory.",
	})

	registerAlarms   = sync.OnceFunc(func() { legacyregistry.MustRegister(alarms) })
	registerEmbedded = sync.OnceFunc(func() {
		legacyregistry.MustRegister(freeBytes)
		legacyregistry.RawMustRegister(ownMetrics{prometheus.DefaultGatherer})
	})
)

// ownPrefixes are those of the metrics of etcd itself that are of use for an etcd with one member. Others that begin with etcd_ are
// those of its client, from k8s.io/apiserver.
var ownPrefixes = []string{"etcd_disk_", "etcd_mvcc_", "etcd_server_"}

// ownMetrics collects the metrics of the embedded etcd, by the names that dashboards and alerts for etcd know, from the registry of the
// process, in which etcd registers them. The API server serves another one.
type ownMetrics struct{ from prometheus.Gatherer }

// Describe describes nothing: what etcd has is known when it is collected.
func (ownMetrics) Describe(chan<- *prometheus.Desc) {}

// Collect sends the metrics.
func (o ownMetrics) Collect(to chan<- prometheus.Metric) {
	families, err := o.from.Gather()
	if err != nil {
		to <- prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(err), err)
	}
	for _, family := range families {
		if !slices.ContainsFunc(ownPrefixes, func(prefix string) bool { return strings.HasPrefix(family.GetName(), prefix) }) {
			continue
		}
		desc := prometheus.NewDesc(family.GetName(), family.GetHelp(), nil, nil)
		for _, metric := range family.GetMetric() {
			to <- ownMetric{desc, metric}
		}
	}
}

// ownMetric is a metric that was gathered.
type ownMetric struct {
	desc   *prometheus.Desc
	metric *dto.Metric
}

// Desc returns the description of the family.
func (m ownMetric) Desc() *prometheus.Desc { return m.desc }

// Write copies the metric.
func (m ownMetric) Write(to *dto.Metric) error {
	proto.Merge(to, m.metric)
	return nil
}
