// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"
	"k8s.io/component-base/metrics"

	"kurator.dev/migrate-apiserver/pkg/migration"
)

// What a member may take of our memory, as a meter estimates it, which is about twice
// what real objects take. The objects of Velero that are ours have 2 to 20 KiB, and what
// is kept of them (see trim) about 2 KiB.
const (
	// maxObject is for an object or an event of a watch: etcd holds objects of up to
	// 1.5 MiB, and 8 MiB are enough for 75,000 short names in one of these.
	maxObject = 8 << 20
	// maxPage is for a page of a list, of 100 to 500 objects.
	maxPage = 16 << 20
	// maxList is for a list that is not read by pages, and for all that one discovery
	// reads: 2,000 PodVolumeBackups, or the resources of hundreds of API groups.
	maxList = 32 << 20
	// maxReading is for all answers of a member that are being read at a time, a page
	// of each kind among them: with less, none of them might be read to its limit. And
	// maxReadingOfAll is for those of all members, of each what is above freeReading.
	maxReading, maxReadingOfAll, freeReading = 3 * maxPage, 128 << 20, 1 << 20

	// maxKept is for the objects of one Migrate in one member that are kept: its Backup
	// or its Restore, and what else carries its label.
	maxKept = 1 << 20
	// maxKeptObjects is how many objects of one kind are kept of a Migrate in a member,
	// which are one, or a few if others carry its label.
	maxKeptObjects = 16
	// maxLocations is how many BackupStorageLocations are kept of a member, and
	// maxKeptLocations is for all of them: each may have a bundle of certificates.
	maxLocations, maxKeptLocations = 100, 4 << 20
	// maxCache is for all objects of a member that are kept, which are 10,000 or more,
	// and maxCacheOfAll for those of all members, of each what is above freeCache.
	maxCache, maxCacheOfAll, freeCache = 32 << 20, 128 << 20, 1 << 20

	// pageSize is how many objects are listed at a time.
	pageSize = 100
	// maxPages is how many pages a list may have: those of 100,000 objects that were
	// left behind by Migrates that have ended.
	maxPages = 1000
	// maxForeign is how many objects may come in a list or by a watch that were not
	// asked for. An API server sends none.
	maxForeign = 100
	// maxVersion and maxContinue bound the resource version of an object and the token
	// of a next page, which are sent back, in bytes.
	maxVersion, maxContinue = 256, 16 << 10
	// eventsPerSecond and eventsAtOnce bound all events of one watch: a hundred
	// objects a second, and some hundred at once, or one as large as may be.
	eventsPerSecond, eventsAtOnce = 1 << 20, maxObject

	// maxGroupVersions is how many versions of API groups a discovery asks for one by
	// one, where the member does not answer with all of them.
	maxGroupVersions = 1000
	// maxQuestions is how many things a review asks about.
	maxQuestions = 50_000

	// maxHeader bounds the header of an answer, in bytes.
	maxHeader = 64 << 10
	// receiveBuffer is how much of an answer is received before it is read, in bytes.
	receiveBuffer = 512 << 10
)

// limit is which of the limits a member exceeded.
type limit string

const (
	limitAnswer  limit = "answer"
	limitEvents  limit = "events"
	limitObjects limit = "objects"
	limitPages   limit = "pages"
	limitForeign limit = "foreign"
)

// limitError says that a member exceeded one of the limits.
type limitError struct {
	limit limit
	text  string
}

func exceeds(l limit, format string, args ...any) *limitError {
	return &limitError{l, fmt.Sprintf(format, args...)}
}

// Error has the same text for the same fault.
func (e *limitError) Error() string { return e.text }

// Unwrap returns migration.ErrLimitExceeded.
func (e *limitError) Unwrap() error { return migration.ErrLimitExceeded }

// errBusy says that an answer is not read because so much else is being read. It says
// nothing about the member.
var errBusy = fmt.Errorf("too many large answers of clusters are being read at this moment: %w", errAbandoned)

// mebibytes writes a size for a person.
func mebibytes(n int64) string { return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20)) }

// quota is how much of our memory a member may take, of what all may.
type quota struct {
	what string
	// max is for the member, maxAll for all. What a member has up to free is not counted
	// in what all have, so that none can take it from another.
	max, maxAll, free int64
	all               *semaphore.Weighted
	// gauge shows what is taken by all; may be nil.
	gauge *metrics.Gauge

	mu    sync.Mutex
	taken int64
	// counted is how much of it is counted in what all have.
	counted int64
}

// take takes n bytes. It is a limitError if that is more than the member, or all of
// them, may have.
func (q *quota) take(n int64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.taken+n > q.max {
		return exceeds(limitObjects, "%s take more than %s of memory here", q.what, mebibytes(q.max))
	}
	if more := max(q.taken+n-q.free, 0) - q.counted; more > 0 {
		if !q.all.TryAcquire(more) {
			return exceeds(limitObjects, "%s, with those of other clusters, take more than %s of memory here", q.what, mebibytes(q.maxAll))
		}
		q.counted += more
	}
	q.add(n)
	return nil
}

// give gives back n bytes.
func (q *quota) give(n int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.add(-n)
	if less := q.counted - max(q.taken-q.free, 0); less > 0 {
		q.all.Release(less)
		q.counted -= less
	}
}

func (q *quota) add(n int64) {
	q.taken += n
	if q.gauge != nil {
		q.gauge.Add(float64(n))
	}
}

// allowance is how much memory the answers of one call, or one event of a watch, may
// take.
type allowance struct {
	what    string
	most    int64
	reading *quota
	// rate bounds all events of a watch; nil for a call.
	rate *rate.Limiter

	mu          sync.Mutex
	used, taken int64
	// err is why no more is read.
	err error
}

type allowanceKey struct{}

// allowing has the answers of a call that is made with the context take up to most. What
// they are is for a person.
func (m *Member) allowing(ctx context.Context, what string, most int64) context.Context {
	return context.WithValue(ctx, allowanceKey{}, &allowance{what: what, most: most, reading: &m.reading})
}

// allowanceOf returns the allowance of a call; nil if it has none yet.
func allowanceOf(ctx context.Context) *allowance {
	a, _ := ctx.Value(allowanceKey{}).(*allowance)
	return a
}

// isWatch says whether the allowance is for each event of a watch.
func (a *allowance) isWatch() bool { return a.rate != nil }

// use notes that what is read takes n bytes more. An error is a limitError or errBusy,
// and stays.
func (a *allowance) use(n int64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.used += n
	switch {
	case a.err != nil:
	case a.used > a.most:
		a.err = exceeds(limitAnswer, "%s takes more than %s of memory here", a.what, mebibytes(a.most))
	case a.rate != nil && !a.rate.AllowN(time.Now(), int(n)):
		a.err = exceeds(limitEvents, "%s and those before take more than %s of memory here and then %s a second",
			a.what, mebibytes(eventsAtOnce), mebibytes(eventsPerSecond))
	default:
		if a.reading.take(n) != nil {
			a.err = errBusy
			return a.err
		}
		a.taken += n
	}
	return a.err
}

// fail has nothing more be read.
func (a *allowance) fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err == nil {
		a.err = err
	}
}

// failed returns why no more is read; nil if that is not so.
func (a *allowance) failed() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

// release begins anew: what was read is handed on, or dropped.
func (a *allowance) release() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reading.give(a.taken)
	a.used, a.taken = 0, 0
}
