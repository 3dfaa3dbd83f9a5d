// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/util/flowcontrol"

	"kurator.dev/migrate-apiserver/pkg/migration"
)

// migrateState is the state of one live Migrate in the loop. Only one worker at a time syncs a
// Migrate; the mutex protects the fields that background writes share with it.
type migrateState struct {
	key      types.NamespacedName
	uid      types.UID
	recorded time.Time
	watches  map[migration.Cluster]openWatch

	// The background reads: of objects that a watch lacks, of Velero's progress, of the
	// access to a cluster, and of the errors of an object.
	confirmations inquiries[confirmation]
	diagnoses     inquiries[migration.Diagnosis]
	accesses      inquiries[migration.Access]
	results       inquiries[migration.Results]
	// ended has the ends that are not recorded yet, because their errors are being read.
	ended map[migration.Cluster]*end

	// retries are the backoffs of failed writes, by retryID.
	retries *flowcontrol.Backoff

	mutex   sync.Mutex
	writing map[migration.Cluster]bool
	refused map[migration.Cluster]error
}

// openWatch is a watch of a Velero.
type openWatch struct {
	Watch
	velero migration.Velero
}

// end is the end of a cluster's object as first seen.
type end struct {
	request migration.ResultsRequest
	member  migration.Member
	since   time.Time
}

// stateOf returns the state of a Migrate. A Migrate that was recreated with the same name has a new
// one.
func (l *loop) stateOf(key types.NamespacedName, uid types.UID) *migrateState {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	t := l.states[key]
	if t != nil && t.uid == uid {
		return t
	}
	if t != nil {
		l.drop(t)
	}
	t = &migrateState{
		key:     key,
		uid:     uid,
		watches: map[migration.Cluster]openWatch{},
		writing: map[migration.Cluster]bool{},
		refused: map[migration.Cluster]error{},
		ended:   map[migration.Cluster]*end{},
		retries: flowcontrol.NewBackOff(firstRetry, lastRetry),
	}
	t.retries.Clock = l.Clock
	l.states[key] = t
	return t
}

func (l *loop) forget(key types.NamespacedName) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if t := l.states[key]; t != nil {
		l.drop(t)
	}
}

func (l *loop) forgetAll() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for _, t := range l.states {
		l.drop(t)
	}
}

// drop closes the watches of a Migrate and deletes its state.
func (l *loop) drop(t *migrateState) {
	t.watch(nil, nil)
	delete(l.states, t.key)
}

// retryID returns the ID of a cluster in retries.
func retryID(c migration.Cluster) string { return c.Kind + "/" + c.Name }

// watch opens watches of the given Veleros and closes all others.
func (t *migrateState) watch(veleros []migration.Velero, open func(migration.Velero) Watch) {
	wanted := sets.New(veleros...)
	for c, w := range t.watches {
		if !wanted.Has(w.velero) {
			w.Stop()
			delete(t.watches, c)
		}
	}
	for _, v := range veleros {
		if _, is := t.watches[v.Cluster]; !is {
			t.watches[v.Cluster] = openWatch{open(v), v}
		}
	}
}

// beginWrite begins a write into a cluster; it returns false if one is in progress.
func (t *migrateState) beginWrite(c migration.Cluster) bool {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.writing[c] {
		return false
	}
	t.writing[c] = true
	return true
}

func (t *migrateState) endWrite(c migration.Cluster, err error) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	delete(t.writing, c)
	t.refused[c] = err
}

func (t *migrateState) writeErr(c migration.Cluster) error {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return t.refused[c]
}
