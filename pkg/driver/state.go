// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/util/flowcontrol"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// migrateState is the state of one attempt of a live Migrate in the loop. Only one worker at a time syncs a
// Migrate. The mutex protects the fields that the worker shares with background writes.
type migrateState struct {
	key     types.NamespacedName
	uid     types.UID
	attempt int32
	// recorded is the time of the last status update, or of the first sync after the creation.
	recorded time.Time
	watches  map[migration.Cluster]openWatch

	// Background reads: live reads of objects that a watch lacks, diagnoses of Velero, access
	// checks, prerequisites, the results of objects, and the workloads of Restores.
	confirmations inquiries[confirmation]
	diagnoses     inquiries[migration.Diagnosis]
	accesses      inquiries[migration.Access]
	prerequisites inquiries[migration.Checked]
	results       inquiries[migration.Results]
	workloads     inquiries[migration.Workloads]
	previews      inquiries[v1alpha1.MigratePreviewStatus]
	// ended holds the members whose object has ended with errors that are still being read.
	ended map[migration.Cluster]*endedMember

	// retries holds the backoffs of failed writes, by retryID.
	retries *flowcontrol.Backoff

	mutex   sync.Mutex
	writing map[migration.Cluster]bool
	// writeErrs are the errors of the last writes.
	writeErrs map[migration.Cluster]error
}

// openWatch is a watch of a Velero.
type openWatch struct {
	Watch
	velero migration.Velero
}

// endedMember is a member as first observed after the end of its object.
type endedMember struct {
	request migration.ResultsRequest
	member  migration.Member
	since   time.Time
}

// stateOf returns the state of m, and creates it if needed. A Migrate that was retried, or recreated with
// the same name, gets a new state.
func (l *loop) stateOf(m *v1alpha1.Migrate) *migrateState {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	key := keyOf(m)
	s := l.states[key]
	if s != nil && s.uid == m.UID && s.attempt == m.Status.Attempt() {
		return s
	}
	if s != nil {
		l.drop(s)
	}
	s = &migrateState{
		key:       key,
		uid:       m.UID,
		attempt:   m.Status.Attempt(),
		watches:   map[migration.Cluster]openWatch{},
		writing:   map[migration.Cluster]bool{},
		writeErrs: map[migration.Cluster]error{},
		ended:     map[migration.Cluster]*endedMember{},
		retries:   flowcontrol.NewBackOff(firstRetry, lastRetry),
	}
	s.retries.Clock = l.Clock
	if m.Status.ObservedGeneration == 0 {
		s.recorded = l.Clock.Now()
	}
	l.states[key] = s
	return s
}

// forget drops the state of a Migrate.
func (l *loop) forget(key types.NamespacedName) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if s := l.states[key]; s != nil {
		l.drop(s)
	}
}

// forgetAll drops the states of all Migrates.
func (l *loop) forgetAll() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for _, s := range l.states {
		l.drop(s)
	}
}

// drop closes the watches of a Migrate, removes it from its queue and deletes its state.
func (l *loop) drop(s *migrateState) {
	s.watch(nil, nil)
	l.leaveQueue(s)
	delete(l.states, s.key)
}

// retryID returns the key of a cluster in retries.
func retryID(c migration.Cluster) string { return c.Kind + "/" + c.Name }

// watch opens watches of the given Veleros and closes all others.
func (s *migrateState) watch(veleros []migration.Velero, open func(migration.Velero) Watch) {
	wanted := sets.New(veleros...)
	for c, w := range s.watches {
		if !wanted.Has(w.velero) {
			w.Stop()
			delete(s.watches, c)
		}
	}
	for _, v := range veleros {
		if _, is := s.watches[v.Cluster]; !is {
			s.watches[v.Cluster] = openWatch{open(v), v}
		}
	}
}

// beginWrite marks a write into a cluster as in progress. It returns false if one already is.
func (s *migrateState) beginWrite(c migration.Cluster) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.writing[c] {
		return false
	}
	s.writing[c] = true
	return true
}

// isWriting reports whether a write is in progress.
func (s *migrateState) isWriting() bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return len(s.writing) > 0
}

// endWrite ends a write into a cluster, and stores its error.
func (s *migrateState) endWrite(c migration.Cluster, err error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	delete(s.writing, c)
	s.writeErrs[c] = err
}

// writeErr returns the error of the last write into a cluster.
func (s *migrateState) writeErr(c migration.Cluster) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.writeErrs[c]
}
