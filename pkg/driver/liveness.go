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
	// syncLimit bounds the duration of a sync, and the time without a sync while Migrates are
	// queued. A replica that exceeds it is not live. A sync waits for the storage only, at
	// most twice for storageTimeout, so after twice that it is stuck. Calls to members run in
	// the background, with deadlines.
	syncLimit = 4 * storageTimeout
	// renewLimit is the time for which a leader stays live after its Lease expired, as in
	// kube-controller-manager.
	renewLimit = 20 * time.Second
	// maxShownActivities is the largest number of activities that an error names.
	maxShownActivities = 10
)

// LivenessChecks returns health checks that fail if a restart is needed: the loop is stuck, or the
// leader neither renews its Lease nor stops.
func (d *Driver) LivenessChecks() []healthz.HealthChecker {
	return []healthz.HealthChecker{
		healthz.NamedCheck("migrate-driver-loop", func(*http.Request) error {
			if l := d.currentLoop(); l != nil {
				return l.checkLive()
			}
			return nil
		}),
		d.leadership,
	}
}

// checkLive returns an error if a sync takes longer than syncLimit, or if the queue has not been empty
// for that time and no sync has started.
func (l *loop) checkLive() error {
	now := l.Clock.Now()
	if oldest := l.syncs.list(); len(oldest) > 0 && now.Sub(oldest[0].since) > syncLimit {
		return fmt.Errorf("the sync of Migrate %s is stuck: it has been running for more than %s", oldest[0], syncLimit)
	}
	return l.stalls.check(l.queue.Len(), l.syncs.count(), now)
}

// stallDetector detects that no worker takes Migrates from the queue.
type stallDetector struct {
	mutex sync.Mutex
	// since is the time of the first of the latest consecutive checks that found a Migrate
	// queued and no new sync; zero if the last check did not. syncs is the number of syncs
	// that had started by then.
	since time.Time
	syncs int
}

// check returns an error if Migrates have been queued for more than syncLimit without a new sync.
// queued is the length of the queue, and syncs the number of syncs that have started so far.
func (d *stallDetector) check(queued, syncs int, now time.Time) error {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	switch {
	case queued == 0 || syncs != d.syncs:
		d.syncs, d.since = syncs, time.Time{}
	case d.since.IsZero():
		d.since = now
	case now.Sub(d.since) > syncLimit:
		return fmt.Errorf("%d Migrates are queued, and none has been synced since %s", queued, d.since.Format(time.RFC3339))
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

// activities holds the running activities of one kind. It is safe for concurrent use.
type activities struct {
	clock clock.PassiveClock

	mutex   sync.Mutex
	started int
	running map[int]activity
}

func newActivities(c clock.PassiveClock) *activities {
	return &activities{clock: c, running: map[int]activity{}}
}

// begin adds an activity, which lasts until end is called.
func (a *activities) begin(key types.NamespacedName) (end func()) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.started++
	id := a.started
	a.running[id] = activity{key, a.clock.Now()}
	return func() {
		a.mutex.Lock()
		defer a.mutex.Unlock()
		delete(a.running, id)
	}
}

// count returns the number of activities that have started so far.
func (a *activities) count() int {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return a.started
}

// list returns the running activities, the oldest first.
func (a *activities) list() []activity {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return slices.SortedFunc(maps.Values(a.running), func(a, b activity) int {
		return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.key.String(), b.key.String()))
	})
}

// String returns the number of running activities and the oldest maxShownActivities.
func (a *activities) String() string {
	all := a.list()
	var names []string
	for _, one := range all[:min(len(all), maxShownActivities)] {
		names = append(names, one.String())
	}
	return fmt.Sprintf("%d [%s]", len(all), strings.Join(names, ", "))
}
