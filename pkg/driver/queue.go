// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// front is the number of Migrates at the front of a queue that are synced after each change of it. One
// at place n is also synced n times queueInterval after its last sync, at least frontInterval, so that
// a long queue causes few status updates.
const front, queueInterval, frontInterval = 10, 100 * time.Millisecond, 5 * time.Second

// queues are the queues of Migrates before the Veleros of their sources. The zero value is empty.
type queues struct {
	mutex     sync.Mutex
	byVelero  map[queueID]*migration.Queue
	positions map[types.UID]position
	// departures counts the Migrates that have left.
	departures int
}

// queueID identifies the Velero of a queue: by the API server of its cluster, and its namespace.
type queueID struct{ server, namespace string }

// position is the queue of a Migrate, and its place there at its last sync; zero before its queue is
// known.
type position struct {
	queueID
	place int
}

// queueUp adds m to the queue of its source, if it needs a turn there, and sets its turn. Otherwise it
// removes m.
func (l *loop) queueUp(s *migrateState, m *v1alpha1.Migrate, seen migration.Observation) {
	source, ticket, inQueue := migration.TicketOf(m, seen)
	watch, watched := s.watches[source]
	if id := retryID(source); s.retries.IsInBackOffSinceUpdate(id, l.Clock.Now()) {
		l.queue.AddAfter(s.key, s.retries.Get(id))
		inQueue = inQueue && ticket.Admitted // its Backup exists
	}
	if !inQueue || !watched {
		l.leaveQueue(s)
		return
	}
	departures := l.queues.departed()
	running, known := watch.Running(func() {
		if l.queues.isAtFront(s.uid) {
			l.queue.Add(s.key)
		}
	})
	member := seen.Members[source]
	switch {
	case !known:
		l.queues.expect(s.uid)
		return
	case running.Err != nil:
		l.leaveQueue(s)
		l.queues.expect(s.uid)
		member.Turn = &migration.Turn{Err: running.Err}
		seen.Members[source] = member
		return
	}
	id := queueID{running.Server, watch.velero.Namespace}
	if l.queues.isElsewhere(s.uid, id) {
		l.leaveQueue(s)
	}
	turn, ok := l.queues.join(id, ticket, running.Backups, departures, seen.Plan.Of(source).ConcurrentBackups, l.Clock.Now())
	if !ok {
		l.queueUp(s, m, seen)
		return
	}
	if turn.Place > 0 {
		l.queue.AddAfter(s.key, max(time.Duration(turn.Place)*queueInterval, frontInterval))
	}
	member.Turn = &turn
	seen.Members[source] = member
}

// leaveQueue removes a Migrate from its queue, and queues those that are at the front for a sync.
func (l *loop) leaveQueue(s *migrateState) {
	for _, next := range l.queues.leave(s.uid) {
		l.queue.Add(next)
	}
}

// leaveQueueOf removes a Migrate whose sync has failed from its queue, which it joins again at its next
// sync: it must not hold up others. It stays while its Backup is being created.
func (l *loop) leaveQueueOf(key types.NamespacedName) {
	l.mutex.Lock()
	s := l.states[key]
	l.mutex.Unlock()
	if s != nil && !s.isWriting() {
		l.leaveQueue(s)
	}
}

// departed returns the number of Migrates that have left a queue.
func (q *queues) departed() int {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	return q.departures
}

// join adds a Migrate to a queue, and returns its turn. It returns false if a Migrate has left since there
// were so many departures: its Backup may be one that runs, and is not among those that were read before.
func (q *queues) join(id queueID, ticket migration.Ticket, running []migration.RunningBackup, departures, limit int, now time.Time) (migration.Turn, bool) {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	if q.departures != departures {
		return migration.Turn{}, false
	}
	if q.byVelero == nil {
		q.byVelero = map[queueID]*migration.Queue{}
	}
	if q.byVelero[id] == nil {
		q.byVelero[id] = &migration.Queue{}
	}
	turn := q.byVelero[id].Join(ticket, running, limit, now)
	q.setPosition(ticket.UID, position{id, turn.Place})
	return turn, true
}

// expect remembers a Migrate whose queue is not known yet.
func (q *queues) expect(uid types.UID) {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	if _, is := q.positions[uid]; !is {
		q.setPosition(uid, position{})
	}
}

func (q *queues) setPosition(uid types.UID, p position) {
	if q.positions == nil {
		q.positions = map[types.UID]position{}
	}
	q.positions[uid] = p
}

// leave removes a Migrate from its queue, and returns those at the front of it.
func (q *queues) leave(uid types.UID) (next []types.NamespacedName) {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	of := q.positions[uid]
	delete(q.positions, uid)
	queue := q.byVelero[of.queueID]
	if queue == nil || !queue.Leave(uid) {
		return nil
	}
	q.departures++
	if queue.IsEmpty() {
		delete(q.byVelero, of.queueID)
	}
	waiting := queue.Waiting()
	for _, ticket := range waiting[:min(len(waiting), front)] {
		next = append(next, types.NamespacedName{Namespace: ticket.Namespace, Name: ticket.Name})
	}
	return next
}

// isElsewhere reports whether a Migrate is in another queue: its source may have got another address.
func (q *queues) isElsewhere(uid types.UID, id queueID) bool {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	of := q.positions[uid].queueID
	return of != queueID{} && of != id
}

// isAtFront reports whether a change of its queue concerns a Migrate.
func (q *queues) isAtFront(uid types.UID) bool {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	of, is := q.positions[uid]
	return is && of.place <= front
}
