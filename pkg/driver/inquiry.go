// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"sync"
	"time"

	"kurator.dev/migrate-apiserver/pkg/migration"
)

// inquiries are the questions of one kind that members are asked for one Migrate,
// and what each said last.
type inquiries[T any] struct {
	mutex     sync.Mutex
	byCluster map[migration.Cluster]*inquiry[T]
}

type inquiry[T any] struct {
	asking bool
	at     time.Time
	said   *T
}

// inquire is what a member said last, nil if nothing yet. If that is older than
// every, the member is asked beside the loop, which gets what it said before, and
// the Migrate is turned again with the answer.
func inquire[T any](l *loop, t *track, q *inquiries[T], c migration.Cluster, every time.Duration, ask func(before *T) T) *T {
	said, wait := q.last(c, l.Clock.Now(), every)
	switch {
	case wait > 0:
		l.queue.AddAfter(t.key, wait)
	case q.start(c):
		l.beside(func() {
			q.finish(c, ask(said), l.Clock.Now())
			l.queue.Add(t.key)
		})
	}
	return said
}

// last is what the member said last, and how long it is still good for.
func (q *inquiries[T]) last(c migration.Cluster, now time.Time, every time.Duration) (said *T, wait time.Duration) {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	i := q.byCluster[c]
	if i == nil || i.said == nil {
		return nil, 0
	}
	return i.said, i.at.Add(every).Sub(now)
}

// start says whether the member may be asked: nobody does so already.
func (q *inquiries[T]) start(c migration.Cluster) bool {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	if q.byCluster == nil {
		q.byCluster = map[migration.Cluster]*inquiry[T]{}
	}
	i := q.byCluster[c]
	if i == nil {
		i = &inquiry[T]{}
		q.byCluster[c] = i
	}
	if i.asking {
		return false
	}
	i.asking = true
	return true
}

func (q *inquiries[T]) finish(c migration.Cluster, said T, now time.Time) {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	i := q.byCluster[c]
	i.asking, i.at, i.said = false, now, &said
}

// forget drops what the member said.
func (q *inquiries[T]) forget(c migration.Cluster) {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	if i := q.byCluster[c]; i != nil {
		i.said = nil
	}
}
