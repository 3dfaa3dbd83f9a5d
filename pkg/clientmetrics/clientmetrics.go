// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package clientmetrics

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	clientmetrics "k8s.io/client-go/tools/metrics"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

const (
	// host is the value of the label of requests to the host cluster, which name none.
	host = "host"
	// others is that of clusters beyond the first maxClusters, so that tenants can't make any number of series.
	others      = "others"
	maxClusters = 500
)

var (
	requests = metrics.NewCounterVec(&metrics.CounterOpts{
		Name: "rest_client_requests_total", StabilityLevel: metrics.ALPHA,
		Help: "HTTP requests to other API servers, by status code, method, and cluster: host, or the namespace and name of a member's cluster object.",
	}, []string{"code", "method", "cluster"})
	duration = metrics.NewHistogramVec(&metrics.HistogramOpts{
		Name: "rest_client_request_duration_seconds", StabilityLevel: metrics.ALPHA,
		Help:    "Time from a request to another API server to the headers of its answer, by verb and cluster.",
		Buckets: []float64{0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60},
	}, []string{"verb", "cluster"})
	retries = metrics.NewCounterVec(&metrics.CounterOpts{
		Name: "rest_client_request_retries_total", StabilityLevel: metrics.ALPHA,
		Help: "Repeated requests to other API servers, by status code, verb, and cluster.",
	}, []string{"code", "verb", "cluster"})
)

var register = sync.OnceFunc(func() {
	legacyregistry.MustRegister(requests, duration, retries)
	clientmetrics.Register(clientmetrics.RegisterOpts{RequestResult: results{}, RequestLatency: latencies{}, RequestRetry: repeated{}})
})

// Register exports the metrics of all clients of the process, once.
func Register() { register() }

type clusterKey struct{}

// WithCluster returns a context for the requests to a cluster, which is named by its namespace and name.
func WithCluster(ctx context.Context, namespace, name string) context.Context {
	return context.WithValue(ctx, clusterKey{}, namespace+"/"+name)
}

// labels are the clusters that have series.
var labels = bounded{known: map[string]bool{}}

type bounded struct {
	mutex sync.Mutex
	known map[string]bool
}

// of returns the value of the label for the cluster of a context.
func (b *bounded) of(ctx context.Context) string {
	cluster, ok := ctx.Value(clusterKey{}).(string)
	if !ok {
		return host
	}
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if !b.known[cluster] {
		if len(b.known) == maxClusters {
			return others
		}
		b.known[cluster] = true
	}
	return cluster
}

// known returns the status code of an answer, "<error>" without one, and "other" for any number that is none: members choose it.
func known(code string) string {
	if n, err := strconv.Atoi(code); err == nil && http.StatusText(n) == "" {
		return "other"
	}
	return code
}

type results struct{}

func (results) Increment(ctx context.Context, code, method, _ string) {
	requests.WithLabelValues(known(code), method, labels.of(ctx)).Inc()
}

type latencies struct{}

func (latencies) Observe(ctx context.Context, verb string, _ url.URL, latency time.Duration) {
	duration.WithLabelValues(verb, labels.of(ctx)).Observe(latency.Seconds())
}

type repeated struct{}

func (repeated) IncrementRetry(ctx context.Context, code, method, _ string) {
	retries.WithLabelValues(known(code), method, labels.of(ctx)).Inc()
}
