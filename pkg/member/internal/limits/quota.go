// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"sync"

	"golang.org/x/sync/semaphore"
	basemetrics "k8s.io/component-base/metrics"

	"kurator.dev/migrate-apiserver/pkg/member/internal/metrics"
)

// Total bounds the memory that all members take for one purpose.
type Total struct {
	what string
	// max bounds one member, maxAll all of them. What a member takes up to free does not
	// count in maxAll, so that no member can take it from another.
	max, maxAll, free int64
	all               *semaphore.Weighted
	// gauge is the metric of what all have taken; may be nil.
	gauge *basemetrics.Gauge
}

// NewReading returns the Total of answers that are being read.
func NewReading() *Total {
	return &Total{
		what: "its answers that are being read", max: maxReading, maxAll: maxReadingOfAll, free: freeReading,
		all: semaphore.NewWeighted(maxReadingOfAll),
	}
}

// NewKept returns the Total of kept objects, whose metric is metrics.CacheSize.
func NewKept() *Total {
	return &Total{
		what: "its objects that are kept", max: maxKept, maxAll: maxKeptOfAll, free: freeKept,
		all: semaphore.NewWeighted(maxKeptOfAll), gauge: metrics.CacheSize,
	}
}

// Quota returns the quota of a new member.
func (t *Total) Quota() *Quota { return &Quota{total: t} }

// Quota is the part of a Total that one member may take.
type Quota struct {
	total *Total

	mu    sync.Mutex
	taken int64
	// counted is the part of taken that counts in maxAll.
	counted int64
}

// Take takes n bytes. It returns an Error if the member, or all of them, would exceed the limit.
func (q *Quota) Take(n int64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := q.total
	if q.taken+n > t.max {
		return Exceeded(Objects, "%s take more than %s of memory here", t.what, Mebibytes(t.max))
	}
	if more := max(q.taken+n-t.free, 0) - q.counted; more > 0 {
		if !t.all.TryAcquire(more) {
			return Exceeded(Objects, "%s, with those of other clusters, take more than %s of memory here", t.what, Mebibytes(t.maxAll))
		}
		q.counted += more
	}
	q.add(n)
	return nil
}

// Give returns n bytes.
func (q *Quota) Give(n int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.add(-n)
	if less := q.counted - max(q.taken-q.total.free, 0); less > 0 {
		q.total.all.Release(less)
		q.counted -= less
	}
}

func (q *Quota) add(n int64) {
	q.taken += n
	if q.total.gauge != nil {
		q.total.gauge.Add(float64(n))
	}
}
