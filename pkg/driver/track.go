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

// track is what the loop holds for one live Migrate. Only one worker at a time
// turns a Migrate; what its writes share with it is behind the mutex.
type track struct {
	key      types.NamespacedName
	uid      types.UID
	recorded time.Time
	watches  map[migration.Cluster]watchOf

	// What members are asked beside their watches: whether they have what a watch
	// lacks, whether it may be used, why Velero makes no progress, and what the errors
	// of an object are.
	confirmations inquiries[confirmation]
	diagnoses     inquiries[migration.Diagnosis]
	accesses      inquiries[migration.Access]
	results       inquiries[migration.Results]
	// ended are the ends that are seen and not recorded yet, for the errors are read
	// first.
	ended map[migration.Cluster]*end

	// retries are the pauses of the writes into a cluster that failed, by its kind and name.
	retries *flowcontrol.Backoff

	mutex   sync.Mutex
	writing map[migration.Cluster]bool
	refused map[migration.Cluster]error
}

// watchOf is a watch, and of what it is.
type watchOf struct {
	Watch
	velero migration.Velero
}

// end is the end of a cluster's object as it was first seen.
type end struct {
	request migration.ResultsRequest
	member  migration.Member
	since   time.Time
}

// track returns what is held for a Migrate. One that was created again under the
// same name begins anew.
func (l *loop) track(key types.NamespacedName, uid types.UID) *track {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	t := l.tracks[key]
	if t != nil && t.uid == uid {
		return t
	}
	if t != nil {
		l.drop(t)
	}
	t = &track{
		key:     key,
		uid:     uid,
		watches: map[migration.Cluster]watchOf{},
		writing: map[migration.Cluster]bool{},
		refused: map[migration.Cluster]error{},
		ended:   map[migration.Cluster]*end{},
		retries: flowcontrol.NewBackOff(firstRetry, lastRetry),
	}
	t.retries.Clock = l.Clock
	l.tracks[key] = t
	return t
}

func (l *loop) forget(key types.NamespacedName) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if t := l.tracks[key]; t != nil {
		l.drop(t)
	}
}

func (l *loop) forgetAll() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for _, t := range l.tracks {
		l.drop(t)
	}
}

// drop lets go of all that is held for a Migrate.
func (l *loop) drop(t *track) {
	t.watch(nil, nil)
	delete(l.tracks, t.key)
}

// retryID is what the retries of writes into a cluster are kept under.
func retryID(c migration.Cluster) string { return c.Kind + "/" + c.Name }

// watch has open watches of the given Veleros, and of no others.
func (t *track) watch(veleros []migration.Velero, open func(migration.Velero) Watch) {
	wanted := sets.New(veleros...)
	for c, w := range t.watches {
		if !wanted.Has(w.velero) {
			w.Stop()
			delete(t.watches, c)
		}
	}
	for _, v := range veleros {
		if _, is := t.watches[v.Cluster]; !is {
			t.watches[v.Cluster] = watchOf{open(v), v}
		}
	}
}

// startWriting says whether a write into a cluster may begin: none is under way.
func (t *track) startWriting(c migration.Cluster) bool {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.writing[c] {
		return false
	}
	t.writing[c] = true
	return true
}

func (t *track) stopWriting(c migration.Cluster, err error) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	delete(t.writing, c)
	t.refused[c] = err
}

func (t *track) writeErr(c migration.Cluster) error {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return t.refused[c]
}
