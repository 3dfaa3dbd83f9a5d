// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package metrics has the metrics of the calls to members, and of what is kept of them.
// None has a label for the member: there may be any number of them, and tenants make
// them. It is used by the packages of member, and imports nothing of ours.
package metrics

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

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
	// MembersWatched is how many members are watched.
	MembersWatched = metrics.NewGauge(&metrics.GaugeOpts{
		Namespace: "migrate", Subsystem: "member", Name: "watched", StabilityLevel: metrics.ALPHA,
		Help: "Member clusters that are watched for live migrations.",
	})
	// MembersUnreachable is how many members did not answer their last call.
	MembersUnreachable = metrics.NewGauge(&metrics.GaugeOpts{
		Namespace: "migrate", Subsystem: "member", Name: "unreachable", StabilityLevel: metrics.ALPHA,
		Help: "Member clusters that are watched for live migrations and did not answer their last call.",
	})
	// LimitsExceeded counts by limit how often a member exceeded one.
	LimitsExceeded = metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace: "migrate", Subsystem: "member", Name: "limits_exceeded_total", StabilityLevel: metrics.ALPHA,
		Help: "How often a member cluster exceeded a limit and was left alone for it, by the limit: answer (the size of an answer or event), events (by a watch in a time), objects (kept in memory), pages (of a list) or foreign (objects that were not asked for).",
	}, []string{"limit"})
	// CacheSize is the estimated size of the objects of all members that are kept, in bytes.
	CacheSize = metrics.NewGauge(&metrics.GaugeOpts{
		Namespace: "migrate", Subsystem: "member", Name: "cache_bytes", StabilityLevel: metrics.ALPHA,
		Help: "Estimated memory of the objects of all member clusters that are kept.",
	})
)

var register = sync.OnceFunc(func() {
	legacyregistry.MustRegister(requests, requestDuration, MembersWatched, MembersUnreachable, LimitsExceeded, CacheSize)
})

// Register registers the metrics with the registry of Kubernetes' components, once.
func Register() { register() }

// ObserveRequest counts a request and how long its answer took to begin; resp is nil if
// there was none.
func ObserveRequest(req *http.Request, resp *http.Response, took time.Duration) {
	verb, code := strings.ToLower(req.Method), "none"
	if req.URL.Query().Get("watch") != "" {
		verb = "watch"
	}
	if resp != nil {
		code = "other" // a member may answer any number
		if http.StatusText(resp.StatusCode) != "" {
			code = strconv.Itoa(resp.StatusCode)
		}
	}
	requests.WithLabelValues(verb, code).Inc()
	requestDuration.WithLabelValues(verb).Observe(took.Seconds())
}
