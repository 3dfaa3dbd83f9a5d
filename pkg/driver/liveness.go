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
	// syncLimit is how long a sync may run, or the queue wait with none begun, before the
	// replica is not live. A sync waits for nothing but the storage, at most twice for
	// storageTimeout, so after twice that it stands still. Calls to members don't count:
	// they run in the background, with deadlines.
	syncLimit = 4 * storageTimeout
	// renewLimit is how long after its Lease ran out a leader that does not notice stays
	// live: as in kube-controller-manager.
	renewLimit = 20 * time.Second
	// shownActivities bounds how many activities an error names.
	shownActivities = 10
)

// LivenessChecks are those that fail when only a restart helps: the loop stands still,
// or the leader neither renews its Lease nor stops.
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

// checkLive fails when a sync has run for more than syncLimit, or the queue has waited
// for as long between checks and no sync was begun.
func (l *loop) checkLive() error {
	now := l.Clock.Now()
	if oldest := l.syncs.list(); len(oldest) > 0 && now.Sub(oldest[0].since) > syncLimit {
		return fmt.Errorf("the sync of Migrate %s, which takes milliseconds, has not returned for more than %s", oldest[0], syncLimit)
	}
	return l.service.check(l.queue.Len(), l.syncs.count(), now)
}

// service notices a queue that nothing is taken from. It is filled by the checks of it.
type service struct {
	mutex sync.Mutex
	// waiting is since when the checks have found the queue not empty and no sync begun,
	// zero if the last did not; begun is how many syncs there had been then.
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

// activity is something that runs for a Migrate, or for all.
type activity struct {
	key   types.NamespacedName
	since time.Time
}

func (a activity) String() string {
	return fmt.Sprintf("%s (since %s)", a.key, a.since.Format(time.RFC3339))
}

// activities are those of one kind that run now.
type activities struct {
	clock clock.PassiveClock

	mutex   sync.Mutex
	begun   int
	running map[int]activity
}

func newActivities(c clock.PassiveClock) *activities {
	return &activities{clock: c, running: map[int]activity{}}
}

// begin notes one, until end is called.
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

// count is how many have ever begun.
func (a *activities) count() int {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return a.begun
}

// list is those that run, the oldest first.
func (a *activities) list() []activity {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return slices.SortedFunc(maps.Values(a.running), func(a, b activity) int {
		return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.key.String(), b.key.String()))
	})
}

// String names those that run, the oldest first and at most shownActivities.
func (a *activities) String() string {
	all := a.list()
	var names []string
	for _, one := range all[:min(len(all), shownActivities)] {
		names = append(names, one.String())
	}
	return fmt.Sprintf("%d [%s]", len(all), strings.Join(names, ", "))
}
