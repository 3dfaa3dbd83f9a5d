// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"cmp"
	"sync"
	"time"

	"kurator.dev/migrate-apiserver/pkg/migration"
)

// inquiries holds the background reads of one kind for one Migrate, with the last answer for each
// cluster.
type inquiries[T any] struct {
	mutex     sync.Mutex
	byCluster map[migration.Cluster]*inquiry[T]
}

// inquiry is a background read of one cluster.
type inquiry[T any] struct {
	running bool
	at      time.Time
	answer  *T
	// generation counts what makes the answer of a running read obsolete.
	generation int
}

// inquire returns the last answer for c while it is younger than ttl. Otherwise it calls read in the
// background with the last answer, and returns nil; the Migrate is queued when read has returned. A
// nil answer is also kept for ttl.
func inquire[T any](l *loop, s *migrateState, q *inquiries[T], c migration.Cluster, ttl time.Duration, read func(last *T) *T) *T {
	i := q.of(c)
	q.mutex.Lock()
	defer q.mutex.Unlock()
	if wait := i.at.Add(ttl).Sub(l.Clock.Now()); wait > 0 {
		l.queue.AddAfter(s.key, wait)
		return i.answer
	}
	if i.running {
		return nil
	}
	i.running = true
	last, generation := i.answer, i.generation
	l.async(s.key, func() {
		var answer *T
		defer func() { // also if read panics
			q.finish(c, generation, answer, l.Clock.Now())
			l.queue.Add(s.key)
		}()
		answer = read(last)
	})
	return nil
}

// inquireOrLast is inquire, but returns the last answer while read is running.
func inquireOrLast[T any](l *loop, s *migrateState, q *inquiries[T], c migration.Cluster, ttl time.Duration, read func(last *T) *T) *T {
	last, _ := q.last(c)
	return cmp.Or(inquire(l, s, q, c, ttl, read), last)
}

// finish ends a background read of c, and stores its answer unless that is obsolete.
func (q *inquiries[T]) finish(c migration.Cluster, generation int, answer *T, now time.Time) {
	i := q.of(c)
	q.mutex.Lock()
	defer q.mutex.Unlock()
	i.running = false
	if i.generation == generation {
		i.at, i.answer = now, answer
	}
}

// store stores a newer answer for c than that of a running read.
func (q *inquiries[T]) store(c migration.Cluster, answer *T, now time.Time) {
	i := q.of(c)
	q.mutex.Lock()
	defer q.mutex.Unlock()
	i.at, i.answer = now, answer
	i.generation++
}

// last returns the last answer for c and its time.
func (q *inquiries[T]) last(c migration.Cluster) (answer *T, at time.Time) {
	i := q.of(c)
	q.mutex.Lock()
	defer q.mutex.Unlock()
	return i.answer, i.at
}

// of returns the inquiry for c.
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

// forget drops the answer for c.
func (q *inquiries[T]) forget(c migration.Cluster) {
	i := q.of(c)
	q.mutex.Lock()
	defer q.mutex.Unlock()
	i.at, i.answer = time.Time{}, nil
}
