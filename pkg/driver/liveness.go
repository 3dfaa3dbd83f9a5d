// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/utils/clock"
)

const (
	// syncLimit is the longest time that a sync may take, or the queue may wait without one,
	// while the replica is live. A sync waits for the storage only, at most twice for
	// storageTimeout, so after twice that it is stuck. Calls to members run in the
	// background, with deadlines.
	syncLimit = 4 * storageTimeout
	// renewLimit is the time for which a leader stays live after its Lease expired, as in
	// kube-controller-manager.
	renewLimit = 20 * time.Second
	// shownActivities is the largest number of activities that an error names.
	shownActivities = 10
)

// LivenessChecks returns checks that fail when only a restart helps: the loop is stuck, or the leader
// neither renews its Lease nor stops.
func (d *Driver) LivenessChecks() []healthz.HealthChecker {
	return []healthz.HealthChecker{
		healthz.NamedCheck("migrate-driver-loop", func(*http.Request) error {
			if l := d.leads(); l != nil {
				return l.checkLive()
			}
			return nil
		}),
		d.leadership,
	}
}

// checkLive fails if a sync takes longer than syncLimit, or if the queue was not empty for as long
// without a new sync.
func (l *loop) checkLive() error {
	now := l.Clock.Now()
	if oldest := l.syncs.list(); len(oldest) > 0 && now.Sub(oldest[0].since) > syncLimit {
		return fmt.Errorf("the sync of Migrate %s has not returned for more than %s; it takes milliseconds", oldest[0], syncLimit)
	}
	return l.service.check(l.queue.Len(), l.syncs.count(), now)
}

// service detects a queue from which nothing is taken, by its checks.
type service struct {
	mutex sync.Mutex
	// waiting is the time of the first check in a row that found the queue not empty and no
	// new sync; zero if the last one did not. begun is the number of syncs at that time.
	waiting time.Time
	begun   int
}

func (s *service) check(queued, begun int, now time.Time) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	switch {
	case queued == 0 || begun != s.begun:
		s.begun, s.waiting = begun, time.Time{}
	case s.waiting.IsZero():
		s.waiting = now
	case now.Sub(s.waiting) > syncLimit:
		return fmt.Errorf("%d Migrates are queued, and none has been synced since %s", queued, s.waiting.Format(time.RFC3339))
	}
	return nil
}

// activity is a sync or call for a Migrate.
type activity struct {
	key   types.NamespacedName
	since time.Time
}

func (a activity) String() string {
	return fmt.Sprintf("%s (since %s)", a.key, a.since.Format(time.RFC3339))
}

// activities are the running ones of one kind.
type activities struct {
	clock clock.PassiveClock

	mutex   sync.Mutex
	begun   int
	running map[int]activity
}

func newActivities(c clock.PassiveClock) *activities {
	return &activities{clock: c, running: map[int]activity{}}
}

// begin adds an activity until end is called.
func (a *activities) begin(key types.NamespacedName) (end func()) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.begun++
	id := a.begun
	a.running[id] = activity{key, a.clock.Now()}
	return func() {
		a.mutex.Lock()
		defer a.mutex.Unlock()
		delete(a.running, id)
	}
}

// count returns the number of activities that have begun so far.
func (a *activities) count() int {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return a.begun
}

// list returns the running activities, the oldest first.
func (a *activities) list() []activity {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return slices.SortedFunc(maps.Values(a.running), func(a, b activity) int {
		return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.key.String(), b.key.String()))
	})
}

// String returns the number of running activities and names the oldest shownActivities.
func (a *activities) String() string {
	all := a.list()
	var names []string
	for _, one := range all[:min(len(all), shownActivities)] {
		names = append(names, one.String())
	}
	return fmt.Sprintf("%d [%s]", len(all), strings.Join(names, ", "))
}
