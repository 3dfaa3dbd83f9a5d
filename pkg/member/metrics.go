// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

// Nothing is counted by member: there may be any number of them, and tenants
// make them.
var (
	requests = metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace: "migrate", Subsystem: "member", Name: "requests_total", StabilityLevel: metrics.ALPHA,
		Help: "Requests to member clusters, by verb and by the status code of the answer, which is none if there was no answer.",
	}, []string{"verb", "code"})
	requestDuration = metrics.NewHistogramVec(&metrics.HistogramOpts{
		Namespace: "migrate", Subsystem: "member", Name: "request_duration_seconds", StabilityLevel: metrics.ALPHA,
		Help:    "Time until a member cluster began to answer a request, by verb.",
		Buckets: metrics.ExponentialBuckets(0.002, 2.5, 11),
	}, []string{"verb"})
	membersWatched = metrics.NewGauge(&metrics.GaugeOpts{
		Namespace: "migrate", Subsystem: "member", Name: "watched", StabilityLevel: metrics.ALPHA,
		Help: "Member clusters that are watched for live migrations.",
	})
	limitsExceeded = metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace: "migrate", Subsystem: "member", Name: "limits_exceeded_total", StabilityLevel: metrics.ALPHA,
		Help: "How often a member cluster exceeded a limit and was left alone for it, by the limit: answer (the size of an answer or event), events (by a watch in a time), objects (kept in memory), pages (of a list) or foreign (objects that were not asked for).",
	}, []string{"limit"})
	cacheSize = metrics.NewGauge(&metrics.GaugeOpts{
		Namespace: "migrate", Subsystem: "member", Name: "cache_bytes", StabilityLevel: metrics.ALPHA,
		Help: "Estimated memory of the objects of all member clusters that are kept.",
	})

	registerMetrics = sync.OnceFunc(func() {
		legacyregistry.MustRegister(requests, requestDuration, membersWatched, limitsExceeded, cacheSize)
	})
)

// measure counts a request; resp is nil if there was no answer.
func measure(req *http.Request, resp *http.Response, took time.Duration) {
	verb, code := strings.ToLower(req.Method), "none"
	if isWatch(req) {
		verb = "watch"
	}
	if resp != nil {
		code = strconv.Itoa(resp.StatusCode)
	}
	requests.WithLabelValues(verb, code).Inc()
	requestDuration.WithLabelValues(verb).Observe(took.Seconds())
}
