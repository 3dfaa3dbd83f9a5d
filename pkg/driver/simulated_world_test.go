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

// fault is a fault of a write.
type fault int

const (
	none         fault = iota
	crashBefore        // the driver crashes before the write
	crashAfter         // the driver crashes after the write
	rejected           // the write fails with an error
	timedOut           // the write fails with a timeout
	responseLost       // the write succeeds, but the driver gets an error
	late               // the driver gets a timeout, and the write succeeds later
)

// faults are all faults; those in which the write succeeds come first.
var faults = []fault{crashAfter, responseLost, late, crashBefore, rejected, timedOut}

func (f fault) String() string {
	return [...]string{"none", "crash before", "crash after", "rejected", "timed out", "response lost", "late"}[f]
}

// callTimeout is the duration of a call without a response.
const callTimeout = 10 * time.Second

// simulation is a deterministic simulation of a migration: it runs the syncs and calls of the real
// loop, the steps of the modelled Veleros and the deliveries of watches one by one, in an order that
// random decides. Other steps may run between any two requests of a driver.
type simulation struct {
	random *rand.Rand
	clock  *clocktesting.FakeClock
	trace  []traceLine
	// failure is the first check that failed.
	failure string

	etcd
	script   *veleroScript
	clusters []migration.Cluster
	members  map[migration.Cluster]*simulatedMember
	bucket   *modelvelero.Bucket
	host     simulatedHost
	drivers  []*simulatedDriver
	// started is the number of drivers started so far.
	started int

	// steps is the number of steps of finish.
	steps int
	// writes is the number of attempted writes. plan has the faults of some, by number; one
	// in faultRate of the others has a random fault.
	writes    int
	plan      map[int]fault
	faultRate int
	// late are the writes that will succeed later.
	late []func()
	// interleave is the average number of requests between which other steps run; 0 means
	// none. depth is the number of interrupted requests.
	interleave, depth int
	// calm is set when no more faults are injected.
	calm bool
	// concurrent is set after two drivers ran at the same time.
	concurrent bool
	// otherEndAllowed is set after a disturbance that may change the end of the migration.
	otherEndAllowed bool
	// resultsFailing is since when the results of a member can't be read, and resultsFailed are those of
	// which they could not be read for longer than the progress deadline.
	resultsFailing map[migration.Cluster]time.Time
	resultsFailed  map[migration.Cluster]bool
	// waits is set if the Migrate waits for the workloads.
	waits bool
	// maps is set if the Migrate maps StorageClasses; every other one then moves no data of volumes.
	maps bool
	// waited is set after the TTL of the Backup has passed.
	waited bool
	// modified are the objects that another client changed, created or deleted.
	modified map[objectID]bool
	// others is the number of Backups of others so far.
	others int
	// volumesLost is set if a Backup may lack PodVolumeBackups.
	volumesLost bool
	// foreign are the objects, by UID, that another client created with the driver's names.
	// phaseEdited are the objects with a phase that Velero did not set.
	foreign, phaseEdited map[types.UID]bool
}

type objectID struct {
	cluster migration.Cluster
	key     modelvelero.Key
}

// veleroScript determines the phases of the Backup and the Restores, their number of items, and how
// many of these each target has with other content, so that they are kept.
type veleroScript struct {
	backup   []velerov1.BackupPhase
	restores map[migration.Cluster][]velerov1.RestorePhase
	items    int
	kept     map[migration.Cluster]int
	// waits is set if the Migrate waits for the workloads, and unready has the targets whose
	// workloads are never ready.
	waits   bool
	unready map[migration.Cluster]bool
	// maps is set if the Migrate maps StorageClasses, which the targets must have, and lacks is how often
	// a target reports that it does not.
	maps  bool
	lacks map[migration.Cluster]int
	// lost has the targets whose lists are missing in the storage.
	lost map[migration.Cluster]bool
	// private is set if the locations alone don't show that the clusters share a storage.
	private bool
}

var allTargets = []migration.Cluster{m2, m3, {Kind: migration.KindAttachedCluster, Name: "m4"}}

// volumes is the number of PodVolumeBackups of each Backup.
const volumes = 2

// newSimulation returns a simulation of a Migrate from m1 to a number of targets.
func newSimulation(random *rand.Rand, targets int, script veleroScript) *simulation {
	s := &simulation{
		random: random, plan: map[int]fault{}, modified: map[objectID]bool{}, foreign: map[types.UID]bool{}, phaseEdited: map[types.UID]bool{},
		script:   &script,
		clock:    clocktesting.NewFakeClock(time.Date(2023, 10, 28, 15, 55, 13, 0, time.UTC)),
		clusters: append([]migration.Cluster{m1}, allTargets[:targets]...),
		members:  map[migration.Cluster]*simulatedMember{},
		bucket:   modelvelero.NewBucket(),

		resultsFailing: map[migration.Cluster]time.Time{}, resultsFailed: map[migration.Cluster]bool{}, waits: script.waits, maps: script.maps,
	}
	for _, c := range s.clusters {
		s.members[c] = newSimulatedMember(s, c)
	}
	s.host.inventory = s.completeInventory()
	s.createMigrate()
	s.startDriver()
	return s
}

// traceLine is a line of the trace. It is formatted only if it is printed.
type traceLine struct {
	format string
	args   []any
}

func (s *simulation) tracef(format string, args ...any) {
	s.trace = append(s.trace, traceLine{format, args})
}

// failf records a failed check, unless one has failed before.
func (s *simulation) failf(format string, args ...any) {
	if s.failure == "" {
		s.failure = fmt.Sprintf(format, args...)
		s.tracef("CHECK FAILED: %s", s.failure)
	}
}

func (s *simulation) randomCluster() migration.Cluster {
	return s.clusters[s.random.IntN(len(s.clusters))]
}

// faultOf returns the fault of a write.
func (s *simulation) faultOf(write int) fault {
	if f, ok := s.plan[write]; ok {
		return f
	}
	if s.faultRate > 0 && s.random.IntN(s.faultRate) == 0 {
		return faults[s.random.IntN(len(faults))]
	}
	return none
}

// runOthers runs random other steps between two requests.
func (s *simulation) runOthers() {
	if s.interleave == 0 || s.depth >= 2 {
		return
	}
	s.depth++
	defer func() { s.depth-- }()
	for s.random.IntN(s.interleave) == 0 {
		if s.random.IntN(2) == 0 {
			s.veleroStep(s.randomCluster())
		} else {
			s.step()
		}
	}
}

// step takes a random step of a driver, or delivers a late write. It returns false if there is
// neither.
func (s *simulation) step() bool {
	var steps []func()
	for _, d := range s.drivers {
		steps = append(steps, d.steps()...)
	}
	if len(s.late) > 0 {
		steps = append(steps, s.deliverLateWrite)
	}
	if len(steps) == 0 {
		return false
	}
	steps[s.random.IntN(len(steps))]()
	return true
}

// deliverLateWrite makes a write succeed after its driver got a timeout.
func (s *simulation) deliverLateWrite() {
	write := s.late[0]
	s.late = s.late[1:]
	write()
}

// advanceToNext advances the clock to the next due key of a queue, by at most 10 s.
func (s *simulation) advanceToNext() {
	wait := 10 * time.Second
	for _, d := range s.drivers {
		for _, at := range d.queue.later {
			wait = min(wait, max(at.Sub(s.clock.Now()), time.Millisecond))
		}
	}
	s.advance(wait)
}

// advance advances the clock, and queues the keys that are due.
func (s *simulation) advance(d time.Duration) {
	s.clock.Step(d)
	for _, d := range s.drivers {
		d.queue.wake(s.clock.Now())
	}
}

// veleroStep takes a step of the garbage collector of a cluster, or of its Velero. It returns false if
// there is none.
func (s *simulation) veleroStep(c migration.Cluster) bool {
	m := s.members[c]
	if m.stopped {
		return false
	}
	if m.memory.CollectGarbage() {
		s.tracef("the garbage collector of %s deletes an object", c.Name)
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
		// A PodVolumeBackup of an earlier Backup of that name exists until the garbage
		// collector deletes it.
		m.syncInterrupted = true
	}
	if _, backup := step.Before.(*velerov1.Backup); backup && step.After == nil {
		// Velero's sync also deletes a Backup that was added to the bucket during the sync.
		s.otherEndAllowed = true
	}
	s.tracef("Velero in %s: %s%s", c.Name, step.What, orError(err))
	return true
}

// isRoutine reports whether Velero takes a step periodically. The event of such a step would trigger
// a sync that the driver had forgotten.
func isRoutine(step modelvelero.Step) bool {
	before, location := step.Before.(*velerov1.BackupStorageLocation)
	return location && before.Status.Phase == step.After.(*velerov1.BackupStorageLocation).Status.Phase ||
		step.Before == nil && step.After == nil
}

// needsSync reports whether a target waits for Velero's periodic sync.
func (s *simulation) needsSync() bool {
	return s.stored != nil && slices.ContainsFunc(s.stored.Status.TargetClusterStatus, func(target v1alpha1.RestoreDetails) bool {
		return target.Reason == v1alpha1.ReasonWaitingForBackupSync
	})
}

// orError returns err as a suffix, which is empty if err is nil.
func orError(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

// finishTimeout bounds the time to the end without disturbances. It is longer than the longest backoff
// and a sync, and shorter than the progress deadline and allowedInterval, which would trigger a sync
// that the driver had forgotten.
const finishTimeout = 4 * time.Minute

// finish takes steps without disturbances until done returns true. It fails after finishTimeout.
func (s *simulation) finish(done func() bool) {
	s.faultRate, s.calm = 0, true
	started, waited := s.clock.Now(), s.waited
	for s.failure == "" && !done() {
		if s.waited != waited {
			started, waited = s.clock.Now(), s.waited
		}
		if s.clock.Since(started) > finishTimeout {
			s.failf("invariant 9: no end after %s without disturbances", finishTimeout)
			return
		}
		s.cleanUp()
		s.steps++
		progress := s.step()
		for _, c := range s.clusters {
			if s.random.IntN(3) == 0 || !progress {
				progress = s.veleroStep(c) || progress
			}
		}
		if !progress {
			s.advanceToNext()
		} else if s.random.IntN(3) == 0 {
			s.advance(time.Duration(s.random.IntN(1000)) * time.Millisecond)
		}
	}
}

// ended reports whether the Migrate has ended or was deleted, and the drivers have nothing to do.
func (s *simulation) ended() bool {
	return (s.stored == nil || migration.IsTerminal(s.stored.Status.Phase)) && s.quiet()
}

// quiet reports whether the drivers have nothing to do, and no late write is pending.
func (s *simulation) quiet() bool {
	return len(s.late) == 0 && !slices.ContainsFunc(s.drivers, func(d *simulatedDriver) bool {
		return len(d.queue.ready)+len(d.calls) > 0 || d.delivered < len(s.versions)
	})
}

// write performs a write of a driver, possibly with a fault.
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
	case rejected:
		return errors.New("rejected")
	case timedOut:
		s.clock.Step(callTimeout)
		return context.DeadlineExceeded
	case late:
		s.clock.Step(callTimeout)
		s.late = append(s.late, func() { s.tracef("late write %d arrives%s", n, orError(do())) })
		return context.DeadlineExceeded
	}
	err := do()
	switch f {
	case crashAfter:
		panic(crashed{d})
	case responseLost:
		return errors.New("the response was lost")
	}
	if err != nil {
		s.tracef("write %d: %v", n, err)
	}
	return err
}

// request is called before each request of a driver. It panics if the driver has crashed.
func (d *simulatedDriver) request() {
	d.confirmed.Store(0)
	d.s.runOthers()
	if d.dead {
		panic(crashed{d})
	}
}

// uidSuffix is the suffix of all UIDs of Migrates.
const uidSuffix = "-1727"

// createMigrate creates the Migrate with a new UID.
func (s *simulation) createMigrate() {
	s.incarnation++
	m := &v1alpha1.Migrate{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: "app", UID: types.UID(fmt.Sprintf("%08x%s", 0xc948154c+s.incarnation, uidSuffix)),
			CreationTimestamp: metav1.NewTime(s.clock.Now()),
		},
		Spec: v1alpha1.MigrateSpec{
			SourceCluster: v1alpha1.Destination{Fleet: "f", Clusters: []corev1.ObjectReference{{Kind: m1.Kind, Name: m1.Name}}},
			TargetCluster: v1alpha1.Destination{Fleet: "f"},
			Requester:     &v1alpha1.Requester{Username: "jane"},
		},
	}
	if s.maps {
		volumes := &v1alpha1.VolumePolicy{StorageClassMapping: map[string]string{"fast": "slow"}}
		if s.incarnation%2 == 0 {
			volumes.Data = v1alpha1.VolumeDataNone
		}
		m.Spec.Policy = &v1alpha1.MigratePolicy{Volumes: volumes}
	}
	if s.waits {
		m.Spec.WaitForWorkloads = &v1alpha1.WaitForWorkloads{TimeoutSeconds: 20}
	}
	// Every other Migrate names no targets, so that all members of the fleet are targets.
	if s.incarnation%2 == 1 {
		for _, c := range s.clusters[1:] {
			m.Spec.TargetCluster.Clusters = append(m.Spec.TargetCluster.Clusters, corev1.ObjectReference{Kind: c.Kind, Name: c.Name})
		}
	}
	s.store(m)
}
