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

// inquire is what a member said last, nil if that is nothing or older than it is good
// for. Then the member is asked beside the loop, which gets what it said before, and
// the Migrate is turned again with the answer. No answer, nil, is asked for again
// after the same time.
func inquire[T any](l *loop, t *track, q *inquiries[T], c migration.Cluster, goodFor time.Duration, ask func(before *T) *T) *T {
	i := q.of(c)
	q.mutex.Lock()
	defer q.mutex.Unlock()
	if wait := i.at.Add(goodFor).Sub(l.Clock.Now()); wait > 0 {
		l.queue.AddAfter(t.key, wait)
		return i.said
	}
	if i.asking {
		return nil
	}
	i.asking = true
	before := i.said
	l.beside(t.key, func() {
		var said *T
		defer func() { // also if ask panics: it is asked again after the same time
			q.note(c, said, l.Clock.Now())
			l.queue.Add(t.key)
		}()
		said = ask(before)
	})
	return nil
}

// note keeps what a member said.
func (q *inquiries[T]) note(c migration.Cluster, said *T, now time.Time) {
	i := q.of(c)
	q.mutex.Lock()
	defer q.mutex.Unlock()
	i.asking, i.at, i.said = false, now, said
}

// last is what a member said last, and when.
func (q *inquiries[T]) last(c migration.Cluster) (said *T, at time.Time) {
	i := q.of(c)
	q.mutex.Lock()
	defer q.mutex.Unlock()
	return i.said, i.at
}

// of is the question to a member.
func (q *inquiries[T]) of(c migration.Cluster) *inquiry[T] {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	if q.byCluster == nil {
		q.byCluster = map[migration.Cluster]*inquiry[T]{}
	}
	if q.byCluster[c] == nil {
		q.byCluster[c] = &inquiry[T]{}
	}
	return q.byCluster[c]
}

// forget drops what the member said.
func (q *inquiries[T]) forget(c migration.Cluster) {
	i := q.of(c)
	q.mutex.Lock()
	defer q.mutex.Unlock()
	i.at, i.said = time.Time{}, nil
}
