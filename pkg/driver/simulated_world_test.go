// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/test/modelvelero"
)

// fault is how a write goes wrong.
type fault int

const (
	none        fault = iota
	crashBefore       // the driver dies before the write is made
	crashAfter        // the driver dies after it
	refused           // the write fails, and the driver gets the error
	timedOut          // the write is not made, and the driver learns nothing for a while
	answerLost        // the write succeeds, and the driver gets an error
	late              // the driver gets a timeout, and the write succeeds after that
)

// faults are all of them; those of which the write is made come first.
var faults = []fault{crashAfter, answerLost, late, crashBefore, refused, timedOut}

func (f fault) String() string {
	return [...]string{"none", "crash before", "crash after", "refused", "timed out", "answer lost", "late"}[f]
}

// callTimeout is how long a call takes that is not answered.
const callTimeout = 10 * time.Second

// simulation is a world in which nothing happens by itself: the real loop's syncs
// and calls, the steps of the modelled Veleros and the deliveries of watches are
// all taken one by one, so the same choices always lead to the same end. Between
// any two requests of a driver the others may go on.
type simulation struct {
	random *rand.Rand
	clock  *clocktesting.FakeClock
	trace  []traced
	// failure is the first check that failed.
	failure string

	etcd
	clusters []migration.Cluster
	members  map[migration.Cluster]*simulatedMember
	bucket   *modelvelero.Bucket
	host     simulatedHost
	drivers  []*simulatedDriver
	// started is how many drivers there have been.
	started int

	// steps counts those of finish.
	steps int
	// writes counts the writes that were tried; plan says which go wrong, and
	// faultRate that one of so many others does.
	writes    int
	plan      map[int]fault
	faultRate int
	// late are writes that are yet to arrive.
	late []func()
	// interleave is the number of requests, on average, between which something else
	// happens; depth is the number of requests in progress.
	interleave, depth int
	// calm is set when no more faults are injected.
	calm bool
	// two is set if two drivers ran at the same time.
	two bool
	// excused is set if something was done for which a migration may end otherwise
	// than its Veleros were meant to let it end.
	excused bool
	// waited is set when the data's TTL has passed.
	waited bool
	// touched are the objects that another client changed, created or deleted.
	touched map[objectID]bool
	// volumesLost is set if it is unknown what belongs to a Backup.
	volumesLost bool
	// foreign are the objects, by UID, that another client created with our names.
	// edited are those that have a phase which Velero did not give them.
	foreign, edited map[types.UID]bool
}

type objectID struct {
	cluster migration.Cluster
	key     modelvelero.Key
}

// ways are how the work of the Veleros of a simulation is meant to go.
type ways struct {
	backup   []velerov1.BackupPhase
	restores map[migration.Cluster][]velerov1.RestorePhase
	items    int
}

var allTargets = []migration.Cluster{m2, m3, {Kind: migration.KindAttachedCluster, Name: "m4"}}

// volumes is how many PodVolumeBackups belong to each Backup.
const volumes = 2

// newSimulation is one of a Migrate from m1 to so many targets.
func newSimulation(random *rand.Rand, targets int, w ways) *simulation {
	s := &simulation{
		random: random, plan: map[int]fault{}, touched: map[objectID]bool{}, foreign: map[types.UID]bool{}, edited: map[types.UID]bool{},
		clock:    clocktesting.NewFakeClock(time.Date(2023, 10, 28, 15, 55, 13, 0, time.UTC)),
		clusters: append([]migration.Cluster{m1}, allTargets[:targets]...),
		members:  map[migration.Cluster]*simulatedMember{},
		bucket:   modelvelero.NewBucket(),
	}
	for _, c := range s.clusters {
		s.members[c] = newSimulatedMember(s, c, w)
	}
	s.host.inventory = s.wholeFleet()
	s.createMigrate()
	s.startDriver()
	return s
}

// traced is a line of the trace, which is formatted when it is read.
type traced struct {
	format string
	args   []any
}

func (s *simulation) tracef(format string, args ...any) {
	s.trace = append(s.trace, traced{format, args})
}

// failf notes that a check failed; the first one counts.
func (s *simulation) failf(format string, args ...any) {
	if s.failure == "" {
		s.failure = fmt.Sprintf(format, args...)
		s.tracef("CHECK FAILED: %s", s.failure)
	}
}

func (s *simulation) someCluster() migration.Cluster {
	return s.clusters[s.random.IntN(len(s.clusters))]
}

func (s *simulation) faultOf(write int) fault {
	if f, planned := s.plan[write]; planned {
		return f
	}
	if s.faultRate > 0 && s.random.IntN(s.faultRate) == 0 {
		return faults[s.random.IntN(len(faults))]
	}
	return none
}

// meanwhile is between two requests: others go on.
func (s *simulation) meanwhile() {
	if s.interleave == 0 || s.depth >= 2 {
		return
	}
	s.depth++
	defer func() { s.depth-- }()
	for s.random.IntN(s.interleave) == 0 {
		if s.random.IntN(2) == 0 {
			s.veleroStep(s.someCluster())
		} else {
			s.step()
		}
	}
}

// step does one of the things that a driver has to do, or delivers to it. It is not
// done where there is nothing.
func (s *simulation) step() bool {
	var possible []func()
	for _, d := range s.drivers {
		possible = append(possible, d.possible()...)
	}
	if len(s.late) > 0 {
		possible = append(possible, s.arrive)
	}
	if len(possible) == 0 {
		return false
	}
	possible[s.random.IntN(len(possible))]()
	return true
}

// arrive has a write arrive that its driver has given up.
func (s *simulation) arrive() {
	arrived := s.late[0]
	s.late = s.late[1:]
	arrived()
}

// pass lets time pass until something is due, or for a while.
func (s *simulation) pass() {
	const most = 10 * time.Second
	wait := most
	for _, d := range s.drivers {
		for _, at := range d.queue.later {
			wait = min(wait, max(at.Sub(s.clock.Now()), time.Millisecond))
		}
	}
	s.elapse(wait)
}

// elapse lets time pass, and what is due then be ready.
func (s *simulation) elapse(d time.Duration) {
	s.clock.Step(d)
	for _, d := range s.drivers {
		d.queue.wake(s.clock.Now())
	}
}

// veleroStep has the Velero in a cluster take one step, or its garbage collector.
func (s *simulation) veleroStep(c migration.Cluster) bool {
	m := s.members[c]
	if m.stopped {
		return false
	}
	if m.memory.Collect() {
		s.tracef("the garbage collector of %s", c.Name)
		return true
	}
	objects, _ := m.memory.Read(context.Background())
	steps := m.velero.Steps(objects, s.clock.Now())
	if s.calm && !s.needsSync() {
		steps = slices.DeleteFunc(steps, isRoutine)
	}
	if len(steps) == 0 {
		return false
	}
	step := steps[s.random.IntN(len(steps))]
	err := modelvelero.Take(context.Background(), m.memory, step)
	if _, volume := step.After.(*velerov1.PodVolumeBackup); volume && err != nil {
		// One of an earlier Backup of that name is in the way, and is collected after.
		m.syncBroken = true
	}
	if _, backup := step.Before.(*velerov1.Backup); backup && step.After == nil {
		// Velero's sync also deletes one that came into the bucket while it was looking.
		s.excused = true
	}
	s.tracef("Velero in %s: %s%s", c.Name, step.What, orError(err))
	return true
}

// isRoutine reports whether a step is one that a Velero repeats periodically,
// and whose event wakes a driver that has forgotten something.
func isRoutine(step modelvelero.Step) bool {
	before, location := step.Before.(*velerov1.BackupStorageLocation)
	return location && before.Status.Phase == step.After.(*velerov1.BackupStorageLocation).Status.Phase ||
		step.Before == nil && step.After == nil
}

// needsSync reports whether something waits for what Velero does periodically.
func (s *simulation) needsSync() bool {
	return s.stored != nil && slices.ContainsFunc(s.stored.Status.TargetClusterStatus, func(target v1alpha1.RestoreDetails) bool {
		return target.Reason == v1alpha1.ReasonWaitingForBackupSync
	})
}

func orError(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

// patience is how long an undisturbed end may take: longer than the longest retry
// and a sync, shorter than what wakes whoever was forgotten, which are the progress
// deadline and allowedInterval.
const patience = 4 * time.Minute

// finish lets everything happen, undisturbed, for long enough; until says when it
// is.
func (s *simulation) finish(until func() bool) {
	s.faultRate, s.calm = 0, true
	began, waited := s.clock.Now(), s.waited
	for s.failure == "" && !until() {
		if s.waited != waited {
			began, waited = s.clock.Now(), s.waited
		}
		if s.clock.Since(began) > patience {
			s.failf("invariant 9: no end after %s undisturbed", patience)
			return
		}
		s.administer()
		s.steps++
		moved := s.step()
		for _, c := range s.clusters {
			if s.random.IntN(3) == 0 || !moved {
				moved = s.veleroStep(c) || moved
			}
		}
		if !moved {
			s.pass()
		} else if s.random.IntN(3) == 0 {
			s.elapse(time.Duration(s.random.IntN(1000)) * time.Millisecond)
		}
	}
}

// ended reports whether the Migrate has ended, or is gone, and nothing more happens.
func (s *simulation) ended() bool {
	return (s.stored == nil || migration.IsTerminal(s.stored.Status.Phase)) && s.quiet()
}

func (s *simulation) quiet() bool {
	return len(s.late) == 0 && !slices.ContainsFunc(s.drivers, func(d *simulatedDriver) bool {
		return len(d.queue.ready)+len(d.calls) > 0 || d.heard < len(s.versions)
	})
}

// write makes a write of a driver, or has it go wrong.
func (d *simulatedDriver) write(what fmt.Stringer, do func() error) error {
	d.request()
	s := d.s
	n := s.writes
	s.writes++
	f := s.faultOf(n)
	s.tracef("driver %d, write %d: %v (fault: %v)", d.number, n, what, f)
	switch f {
	case crashBefore:
		panic(crashed{d})
	case refused:
		return errors.New("refused")
	case timedOut:
		s.clock.Step(callTimeout)
		return context.DeadlineExceeded
	case late:
		s.clock.Step(callTimeout)
		s.late = append(s.late, func() { s.tracef("write %d arrives%s", n, orError(do())) })
		return context.DeadlineExceeded
	}
	err := do()
	switch f {
	case crashAfter:
		panic(crashed{d})
	case answerLost:
		return errors.New("the answer was lost")
	}
	if err != nil {
		s.tracef("write %d: %v", n, err)
	}
	return err
}

// request is before each request of a driver: one that is dead makes none.
func (d *simulatedDriver) request() {
	d.confirmed.Store(0)
	d.s.meanwhile()
	if d.dead {
		panic(crashed{d})
	}
}

// uidEnd is how every UID of a Migrate ends.
const uidEnd = "-1727"

func (s *simulation) createMigrate() {
	s.incarnation++
	m := &v1alpha1.Migrate{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: "app", UID: types.UID(fmt.Sprintf("%08x%s", 0xc948154c+s.incarnation, uidEnd)),
			CreationTimestamp: metav1.NewTime(s.clock.Now()),
		},
		Spec: v1alpha1.MigrateSpec{
			SourceCluster: v1alpha1.Destination{Fleet: "f", Clusters: []corev1.ObjectReference{{Kind: m1.Kind, Name: m1.Name}}},
			TargetCluster: v1alpha1.Destination{Fleet: "f"},
			Requester:     &v1alpha1.Requester{Username: "jane"},
		},
	}
	// Every other Migrate leaves its targets to the fleet.
	if s.incarnation%2 == 1 {
		for _, c := range s.clusters[1:] {
			m.Spec.TargetCluster.Clusters = append(m.Spec.TargetCluster.Clusters, corev1.ObjectReference{Kind: c.Kind, Name: c.Name})
		}
	}
	s.store(m)
}
