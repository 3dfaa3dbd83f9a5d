// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package cache

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/klog/v2"

	"kurator.dev/migrate-apiserver/pkg/member/internal/client"
	"kurator.dev/migrate-apiserver/pkg/member/internal/limits"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// access is the fault of having no connection. It sorts before the names of resources, which
// are the faults of their watches.
const access = "access"

// Cache keeps the objects of registered Migrates in one Velero of a member.
type Cache struct {
	client  *client.Client
	log     klog.Logger
	ctx     context.Context
	cancel  context.CancelFunc
	stopped chan struct{}

	backups   *store[*velerov1.Backup]
	restores  *store[*velerov1.Restore]
	locations *store[*velerov1.BackupStorageLocation]
	// running has the Backups that Velero runs, of everybody. They are watched once that is requested.
	running   *store[*velerov1.Backup]
	requested chan struct{}

	mu            sync.Mutex
	registrations map[*Registration]struct{}
	// server identifies the API server of the last Connection.
	server string
	// listed has the resources that were listed at least once.
	listed sets.Set[string]
	// faults are the current faults, by access or resource; since is when the first began.
	faults map[string]error
	since  time.Time
}

// New returns a Cache whose objects are taken from a quota. It makes no calls.
func New(cl *client.Client, kept *limits.Quota) *Cache {
	c := &Cache{
		client:        cl,
		log:           klog.Background().WithName("member").WithValues("cluster", cl.String()),
		stopped:       make(chan struct{}),
		registrations: map[*Registration]struct{}{},
		listed:        sets.New[string](),
		faults:        map[string]error{},
		requested:     make(chan struct{}),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.backups = newStore(kind[*velerov1.Backup]{
		resource: watched[0], maxObjects: maxKeptObjects, maxSize: maxKept,
		owner: ownerOf[*velerov1.Backup], trim: trimBackup, differs: versionDiffers[*velerov1.Backup],
	}, kept, c.changed)
	c.restores = newStore(kind[*velerov1.Restore]{
		resource: watched[1], maxObjects: maxKeptObjects, maxSize: maxKept,
		owner: ownerOf[*velerov1.Restore], trim: trimRestore, differs: versionDiffers[*velerov1.Restore],
	}, kept, c.changed)
	c.locations = newStore(kind[*velerov1.BackupStorageLocation]{
		resource: watched[2], maxObjects: maxLocations, maxSize: maxKeptLocations,
		owner: func(*velerov1.BackupStorageLocation) types.UID { return "" }, trim: trimLocation, differs: locationDiffers,
	}, kept, c.changed)
	c.locations.retain("")
	c.running = newStore(kind[*velerov1.Backup]{
		resource: runningBackups, maxObjects: maxRunning, maxSize: maxKeptRunning,
		owner: func(*velerov1.Backup) types.UID { return "" },
		keeps: func(b *velerov1.Backup) bool { return velero.IsRunning(b.Status.Phase) },
		trim:  trimRunning,
		// A change of its progress concerns nobody.
		differs: func(before, after *velerov1.Backup) bool { return before.UID != after.UID },
	}, kept, func(sets.Set[types.UID]) { c.runningChanged() })
	c.running.retain("")
	return c
}

func ownerOf[T object](obj T) types.UID { return velero.MigrateUID(obj) }

// trimBackup keeps those fields of a Backup that are read. The filter, which may be long, is
// that of the Migrate.
func trimBackup(b *velerov1.Backup) {
	b.ManagedFields, b.OwnerReferences = nil, nil
	b.Spec = velerov1.BackupSpec{
		StorageLocation: b.Spec.StorageLocation, TTL: b.Spec.TTL,
		SnapshotMoveData: b.Spec.SnapshotMoveData, CSISnapshotTimeout: b.Spec.CSISnapshotTimeout,
	}
}

// trimRestore keeps those fields of a Restore that are read.
func trimRestore(r *velerov1.Restore) {
	r.ManagedFields, r.OwnerReferences = nil, nil
	r.Spec = velerov1.RestoreSpec{BackupName: r.Spec.BackupName}
}

// trimRunning keeps the name, the phase, the Migrate and the time of the creation of a Backup, and adds the
// time at which it was received, which is that of its last change.
func trimRunning(b *velerov1.Backup) {
	*b = velerov1.Backup{
		ObjectMeta: metav1.ObjectMeta{
			Name: b.Name, Namespace: b.Namespace, UID: b.UID, ResourceVersion: b.ResourceVersion, CreationTimestamp: b.CreationTimestamp,
			Labels: map[string]string{velero.MigrateUIDLabel: string(velero.MigrateUID(b))},
		},
		Status: velerov1.BackupStatus{Phase: b.Status.Phase, StartTimestamp: &metav1.Time{Time: time.Now()}},
	}
}

func trimLocation(l *velerov1.BackupStorageLocation) { l.ManagedFields, l.Annotations = nil, nil }

func versionDiffers[T object](before, after T) bool {
	return before.GetResourceVersion() != after.GetResourceVersion() || before.GetUID() != after.GetUID()
}

// locationDiffers ignores the time of the last validation, which Velero records once a
// minute, but not the time of the last sync of backups.
func locationDiffers(before, after *velerov1.BackupStorageLocation) bool {
	return before.UID != after.UID ||
		before.Status.Phase != after.Status.Phase ||
		before.Status.Message != after.Status.Message ||
		!before.Status.LastSyncedTime.Equal(after.Status.LastSyncedTime) ||
		!equality.Semantic.DeepEqual(before.Spec, after.Spec) ||
		!equality.Semantic.DeepEqual(before.Labels, after.Labels)
}

// Registration is the interest in the objects of one Migrate.
type Registration struct {
	uid      types.UID
	onChange func(uid types.UID)
	// onRunning is called after a change of the Backups that Velero runs; nil if they are not
	// requested.
	onRunning func()
}

// Register keeps the objects of the Migrate with a UID until Unregister. onChange is called
// without locks: with the UID after one of its Backups or Restores changed, or with an empty
// one after the state of the member or a BackupStorageLocation changed.
func (c *Cache) Register(uid types.UID, onChange func(uid types.UID)) *Registration {
	r := &Registration{uid: uid, onChange: onChange}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.registrations[r] = struct{}{}
	c.backups.retain(uid)
	c.restores.retain(uid)
	return r
}

// Unregister ends a registration, and returns how many are left. Its onChange may still be
// running.
func (c *Cache) Unregister(r *Registration) (left int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.registrations[r]; ok {
		c.backups.release(r.uid)
		c.restores.release(r.uid)
	}
	delete(c.registrations, r)
	return len(c.registrations)
}

// Observe returns the objects of a Migrate as the watches have brought them; false before the
// first lists are complete, unless a fault is known. Err has the same text for the same fault.
func (c *Cache) Observe(of migration.Objects) (migration.Member, bool) {
	var seen migration.Member
	backups, hasBackups := c.backups.of(of.UID)
	restores, hasRestores := c.restores.of(of.UID)
	of.Pick(&seen, backups, restores)
	seen.Backup, seen.Restore = seen.Backup.DeepCopy(), seen.Restore.DeepCopy()
	for _, l := range c.locations.all() {
		seen.Locations = append(seen.Locations, *l.DeepCopy())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	seen.Err, seen.Since = c.fault(), c.since
	return seen, seen.Err != nil || c.isComplete() && hasBackups && hasRestores
}

// isComplete reports whether all that is always watched was listed. The caller holds the lock.
func (c *Cache) isComplete() bool { return c.listed.HasAll(watched...) }

// Running returns the Backups that Velero runs, or why they can't be read; false before either is known.
// The first call begins to watch them. onChange is called without locks after one was added or removed.
func (c *Cache) Running(r *Registration, onChange func()) (migration.Running, bool) {
	c.mu.Lock()
	select {
	case <-c.requested:
	default:
		close(c.requested)
	}
	r.onRunning = onChange
	running := migration.Running{Server: c.server, Err: c.faults[runningBackups]}
	listed := c.listed.Has(runningBackups)
	c.mu.Unlock()
	if running.Err != nil {
		return running, true
	}
	backups, complete := c.running.of("")
	if !listed || !complete {
		return migration.Running{}, false
	}
	for _, b := range backups {
		running.Backups = append(running.Backups, migration.RunningBackup{
			Name: b.Name, MigrateUID: velero.MigrateUID(b), Phase: b.Status.Phase,
			Created: b.CreationTimestamp.Time, Moved: b.Status.StartTimestamp.Time,
		})
	}
	return running, true
}

// CreatedBackup adds a Backup that was created in the member.
func (c *Cache) CreatedBackup(backup *velerov1.Backup) {
	if velero.MigrateUID(backup) != "" {
		c.backups.created(backup)
		c.running.created(backup)
	}
}

// CreatedRestore adds a Restore that was created in the member.
func (c *Cache) CreatedRestore(restore *velerov1.Restore) {
	if velero.MigrateUID(restore) != "" {
		c.restores.created(restore)
	}
}

// fault returns the fault to report: that of the connection before those of the watches. That of the
// Backups that Velero runs is no fault of the member: only Migrates that wait for their turn need
// them. The caller holds the lock.
func (c *Cache) fault() error {
	for _, name := range slices.Sorted(maps.Keys(c.faults)) {
		if name != runningBackups {
			return c.faults[name]
		}
	}
	return nil
}

// failed records a fault.
func (c *Cache) failed(name string, err error) {
	c.transition(func() {
		if c.fault() == nil {
			c.since = time.Now()
		}
		c.faults[name] = err
	})
}

// works records that a fault is over.
func (c *Cache) works(name string) {
	c.transition(func() {
		delete(c.faults, name)
		if c.fault() == nil {
			c.since = time.Time{}
		}
	})
}

// wasListed records that a resource has been listed.
func (c *Cache) wasListed(name string) {
	c.transition(func() { c.listed.Insert(name) })
}

// transition changes the state, and reports that to all registrations if it can be observed.
func (c *Cache) transition(change func()) {
	c.mu.Lock()
	before, complete := c.fault(), c.isComplete()
	runningErr, runningListed := text(c.faults[runningBackups]), c.listed.Has(runningBackups)
	change()
	after := c.fault()
	differs := text(before) != text(after) || complete != c.isComplete()
	runningDiffers := runningErr != text(c.faults[runningBackups]) || runningListed != c.listed.Has(runningBackups)
	c.mu.Unlock()
	if c.ctx.Err() != nil {
		return
	}
	if runningDiffers {
		c.runningChanged()
	}
	if !differs {
		return
	}
	switch {
	case before == nil && after != nil:
		c.log.Info("Member unreachable", "err", after)
	case before != nil && after == nil:
		c.log.Info("Member reachable again")
	}
	c.changed(sets.New[types.UID](""))
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// changed calls the registrations that some owners concern.
func (c *Cache) changed(uids sets.Set[types.UID]) {
	c.mu.Lock()
	registrations := slices.Collect(maps.Keys(c.registrations))
	c.mu.Unlock()
	for _, r := range registrations {
		for _, uid := range []types.UID{"", r.uid} {
			if uids.Has(uid) {
				r.onChange(uid)
			}
		}
	}
}

// runningChanged calls the registrations that have requested the Backups that Velero runs.
func (c *Cache) runningChanged() {
	c.mu.Lock()
	var notify []func()
	for r := range c.registrations {
		if r.onRunning != nil {
			notify = append(notify, r.onRunning)
		}
	}
	c.mu.Unlock()
	for _, f := range notify {
		f()
	}
}
