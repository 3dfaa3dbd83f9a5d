// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"sync"

	"golang.org/x/sync/semaphore"
	basemetrics "k8s.io/component-base/metrics"

	"kurator.dev/migrate-apiserver/pkg/member/internal/metrics"
)

// Total is how much of our memory all members may take for one purpose.
type Total struct {
	what string
	// max is for one member, maxAll for all. What a member has up to free is not counted
	// in what all have, so that none can take it from another.
	max, maxAll, free int64
	all               *semaphore.Weighted
	// gauge shows what is taken by all; may be nil.
	gauge *basemetrics.Gauge
}

// NewReading returns the Total of the answers that are being read.
func NewReading() *Total {
	return &Total{
		what: "its answers that are being read", max: maxReading, maxAll: maxReadingOfAll, free: freeReading,
		all: semaphore.NewWeighted(maxReadingOfAll),
	}
}

// NewKept returns the Total of the objects that are kept, which metrics.CacheSize shows.
func NewKept() *Total {
	return &Total{
		what: "its objects that are kept", max: maxKept, maxAll: maxKeptOfAll, free: freeKept,
		all: semaphore.NewWeighted(maxKeptOfAll), gauge: metrics.CacheSize,
	}
}

// Quota returns the quota of another member.
func (t *Total) Quota() *Quota { return &Quota{total: t} }

// Quota is how much of our memory a member may take of a Total.
type Quota struct {
	total *Total

	mu    sync.Mutex
	taken int64
	// counted is how much of it is counted in what all have.
	counted int64
}

// Take takes n bytes. It returns an Error if that is more than the member, or all of
// them, may have.
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

// Give gives back n bytes.
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
