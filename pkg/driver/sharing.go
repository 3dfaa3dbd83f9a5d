// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/clock"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

const (
	// sharingTimeout bounds one check whether two clusters share a storage.
	sharingTimeout = 6 * time.Second
	// provenSharing is the time for which a proof is remembered: an endpoint may get another address in
	// one of the clusters. The absence of a proof is remembered for unprovenSharing, or until the next sync, but at
	// least for the time of failedSharing, that after which a failed check is repeated.
	provenSharing, unprovenSharing, failedSharing = time.Hour, 10 * time.Minute, 5 * time.Second
)

// errInterrupted is the error of a check that has not returned.
var errInterrupted = errors.New("the check was interrupted")

// sharings remembers which clusters share a storage, of all Migrates, so that each pair is read once. It is
// a cache: what it forgets is read again. The zero value is empty.
type sharings struct {
	mutex sync.Mutex
	known map[sharingKey]*knownSharing
}

// sharingKey identifies two Veleros of a namespace of the host, and their locations.
type sharingKey struct{ namespace, check string }

type knownSharing struct {
	// result is the last result; nil if there is none. synced are the syncs before it.
	result *migration.Sharing
	synced string
	at     time.Time
	// running is set during a check in the background, and waiting has the Migrates to queue at its end.
	running bool
	waiting sets.Set[types.NamespacedName]
}

// validFor returns for how long the last result is valid.
func (k *knownSharing) validFor(synced string, now time.Time) time.Duration {
	ttl := unprovenSharing
	switch {
	case k.result == nil:
		return 0
	case k.result.Backup != "":
		ttl = provenSharing
	case k.result.Err != nil || k.synced != synced:
		ttl = failedSharing
	}
	return k.at.Add(ttl).Sub(now)
}

// check returns what is known about two clusters, or reads it.
func (s *sharings) check(ctx context.Context, members Members, namespace string, check migration.SharingCheck, clock clock.Clock) migration.Sharing {
	key := sharingKey{namespace, check.Key()}
	s.mutex.Lock()
	k := s.of(key, clock.Now())
	if k.validFor(check.Synced(), clock.Now()) > 0 {
		defer s.mutex.Unlock()
		return *k.result
	}
	s.mutex.Unlock()
	result := readSharing(ctx, members, namespace, check)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.of(key, clock.Now()).set(result, check, clock.Now())
	return result
}

// readSharing reads the Backups of two clusters.
func readSharing(ctx context.Context, members Members, namespace string, check migration.SharingCheck) migration.Sharing {
	ctx, cancel := context.WithTimeout(ctx, sharingTimeout)
	defer cancel()
	source, err := members.Member(namespace, check.Source).StoredBackups(ctx)
	if err != nil {
		return migration.Sharing{Err: err}
	}
	target, err := members.Member(namespace, check.Target).StoredBackups(ctx)
	if err != nil {
		return migration.Sharing{Err: err}
	}
	return check.Result(source, target)
}

func (k *knownSharing) set(result migration.Sharing, check migration.SharingCheck, now time.Time) {
	k.result, k.synced, k.at = &result, check.Synced(), now
}

// of returns the entry of a key, and forgets those that are out of date. The mutex must be held.
func (s *sharings) of(key sharingKey, now time.Time) *knownSharing {
	if k := s.known[key]; k != nil {
		return k
	}
	if s.known == nil {
		s.known = map[sharingKey]*knownSharing{}
	}
	for other, k := range s.known {
		if !k.running && now.Sub(k.at) > provenSharing {
			delete(s.known, other)
		}
	}
	s.known[key] = &knownSharing{at: now, waiting: sets.New[types.NamespacedName]()}
	return s.known[key]
}

// recall returns the last result, and for how long it is valid. If it is not valid, it returns a proof, or nil, and
// begin once; its caller must call finish. Other Migrates that recall it until then are queued at the end.
func (s *sharings) recall(key sharingKey, check migration.SharingCheck, migrate types.NamespacedName, now time.Time) (last *migration.Sharing, valid time.Duration, begin bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	k := s.of(key, now)
	if valid = k.validFor(check.Synced(), now); valid > 0 {
		return k.result, valid, false
	}
	k.waiting.Insert(migrate)
	begin = !k.running
	k.running = true
	if k.result != nil && k.result.Backup != "" {
		last = k.result
	}
	return last, 0, begin
}

// finish stores the result of a check, and returns the Migrates that wait for it.
func (s *sharings) finish(key sharingKey, check migration.SharingCheck, result migration.Sharing, now time.Time) []types.NamespacedName {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	k := s.of(key, now)
	k.set(result, check, now)
	waiting := k.waiting.UnsortedList()
	k.running, k.waiting = false, sets.New[types.NamespacedName]()
	return waiting
}

// observeSharing sets for each target whether it shares the storage of the source, where the locations alone don't
// show it. While that is being read for the first time, it is not set.
func (l *loop) observeSharing(ctx context.Context, s *migrateState, m *v1alpha1.Migrate, seen migration.Observation) {
	if !migration.IsWritable(m) {
		return
	}
	for _, c := range slices.SortedFunc(maps.Keys(seen.Members), migration.CompareClusters) {
		if check, needed := migration.SharingCheckOf(c, seen); needed {
			member := seen.Members[c]
			member.Sharing = l.sharing(ctx, s, m, check)
			seen.Members[c] = member
		}
	}
}

// sharing returns the result of a check; nil while it is being read.
func (l *loop) sharing(ctx context.Context, s *migrateState, m *v1alpha1.Migrate, check migration.SharingCheck) *migration.Sharing {
	key := sharingKey{m.Namespace, check.Key()}
	last, valid, begin := l.sharings.recall(key, check, s.key, l.Clock.Now())
	if valid > 0 {
		l.queue.AddAfter(s.key, valid)
	}
	if !begin {
		return last
	}
	l.async(s.key, func() {
		result := migration.Sharing{Err: errInterrupted} // if it panics
		defer func() {
			for _, waiting := range l.sharings.finish(key, check, result, l.Clock.Now()) {
				l.queue.Add(waiting)
			}
		}()
		result = readSharing(ctx, l.Members, m.Namespace, check)
	})
	return last
}
