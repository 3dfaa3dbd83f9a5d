// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/klog/v2"

	"kurator.dev/migrate-apiserver/pkg/migration"
)

// Watch is somebody's interest in a member. It is made by Pool.Watch.
type Watch struct {
	member   *Member
	watcher  *watcher
	uid      types.UID
	onChange func(uid types.UID)
}

// Stop ends the interest. The member's watches are closed with the last one.
func (w *Watch) Stop() {
	w.member.unwatch(w)
}

// Observe tells what the member has for the Migrate of the Watch, as far as the watches
// have heard; false if it has not said anything yet and nothing is known to prevent
// it. Err has the same text while the fault is the same.
func (w *Watch) Observe(of migration.Objects) (migration.Member, bool) {
	return w.watcher.observe(of)
}

// watch adds an interest, and opens the watches with the first one.
func (m *Member) watch(uid types.UID, onChange func(uid types.UID)) *Watch {
	m.mu.Lock()
	defer m.mu.Unlock()
	begin := m.watcher == nil
	if begin {
		m.watcher = newWatcher(m)
	}
	w := &Watch{member: m, watcher: m.watcher, uid: uid, onChange: onChange}
	m.watcher.add(w)
	if begin {
		go m.watcher.run()
	}
	return w
}

func (m *Member) unwatch(w *Watch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used = time.Now()
	if w.watcher.remove(w) > 0 {
		return
	}
	w.watcher.stop()
	if m.watcher == w.watcher {
		m.watcher = nil
	}
}

// watching returns the watcher; nil if nobody is interested in the member.
func (m *Member) watching() *watcher {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.watcher
}

// access is the fault of not having a connection, beside those of the watches and of
// filling in, which go by their resource and come behind it.
const access = "access"

// watcher watches the Velero objects of one member for all who are interested.
type watcher struct {
	member  *Member
	log     klog.Logger
	ctx     context.Context
	stop    context.CancelFunc
	stopped chan struct{}

	backups   *objects[*velerov1.Backup]
	restores  *objects[*velerov1.Restore]
	locations *objects[*velerov1.BackupStorageLocation]

	mu         sync.Mutex
	interested map[*Watch]struct{}
	// listed are the resources that were listed at least once.
	listed sets.Set[string]
	// faults are what is wrong now, by where; since is when the first of them began.
	faults map[string]error
	since  time.Time
}

func newWatcher(m *Member) *watcher {
	w := &watcher{
		member:     m,
		log:        klog.Background().WithName("member").WithValues("cluster", m.String()),
		stopped:    make(chan struct{}),
		interested: map[*Watch]struct{}{},
		listed:     sets.New[string](),
		faults:     map[string]error{},
	}
	w.ctx, w.stop = context.WithCancel(context.Background())
	w.backups = newObjects(kind[*velerov1.Backup]{
		resource: watched[0], maxObjects: maxKeptObjects, maxSize: maxKept,
		owner: ownerOf[*velerov1.Backup], trim: trimBackup, differs: versionDiffers[*velerov1.Backup],
	}, m.cached, w.changed)
	w.restores = newObjects(kind[*velerov1.Restore]{
		resource: watched[1], maxObjects: maxKeptObjects, maxSize: maxKept,
		owner: ownerOf[*velerov1.Restore], trim: trimRestore, differs: versionDiffers[*velerov1.Restore],
	}, m.cached, w.changed)
	w.locations = newObjects(kind[*velerov1.BackupStorageLocation]{
		resource: watched[2], maxObjects: maxLocations, maxSize: maxKeptLocations,
		owner: func(*velerov1.BackupStorageLocation) types.UID { return "" }, trim: trimLocation, differs: locationDiffers,
	}, m.cached, w.changed)
	w.locations.want("")
	return w
}

func ownerOf[T object](obj T) types.UID { return migrateOf(obj) }

// The filter of a Backup or Restore is what its Migrate says, and may be long; nobody reads
// it back from a member. What else an object's spec may have, and its managed fields, we
// don't set.
func trimBackup(b *velerov1.Backup) {
	b.ManagedFields, b.OwnerReferences = nil, nil
	b.Spec = velerov1.BackupSpec{
		StorageLocation: b.Spec.StorageLocation, TTL: b.Spec.TTL,
		SnapshotMoveData: b.Spec.SnapshotMoveData, CSISnapshotTimeout: b.Spec.CSISnapshotTimeout,
	}
}

func trimRestore(r *velerov1.Restore) {
	r.ManagedFields, r.OwnerReferences = nil, nil
	r.Spec = velerov1.RestoreSpec{BackupName: r.Spec.BackupName}
}

func trimLocation(l *velerov1.BackupStorageLocation) { l.ManagedFields, l.Annotations = nil, nil }

func versionDiffers[T object](before, after T) bool {
	return before.GetResourceVersion() != after.GetResourceVersion() || before.GetUID() != after.GetUID()
}

// locationDiffers ignores that Velero validates each location once a minute and
// notes when, but not when it has found what backups there are.
func locationDiffers(before, after *velerov1.BackupStorageLocation) bool {
	return before.UID != after.UID ||
		before.Status.Phase != after.Status.Phase ||
		before.Status.Message != after.Status.Message ||
		!before.Status.LastSyncedTime.Equal(after.Status.LastSyncedTime) ||
		!equality.Semantic.DeepEqual(before.Spec, after.Spec) ||
		!equality.Semantic.DeepEqual(before.Labels, after.Labels)
}

func (w *watcher) add(interest *Watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.interested[interest] = struct{}{}
	w.backups.want(interest.uid)
	w.restores.want(interest.uid)
}

// remove returns how many are left.
func (w *watcher) remove(interest *Watch) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, is := w.interested[interest]; is {
		w.backups.unwant(interest.uid)
		w.restores.unwant(interest.uid)
	}
	delete(w.interested, interest)
	return len(w.interested)
}

func (w *watcher) observe(of migration.Objects) (migration.Member, bool) {
	var seen migration.Member
	backups, hasBackups := w.backups.of(of.UID)
	restores, hasRestores := w.restores.of(of.UID)
	of.Pick(&seen, backups, restores)
	seen.Backup, seen.Restore = seen.Backup.DeepCopy(), seen.Restore.DeepCopy()
	for _, l := range w.locations.all() {
		seen.Locations = append(seen.Locations, *l.DeepCopy())
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	seen.Err, seen.Since = w.fault(), w.since
	return seen, seen.Err != nil || len(w.listed) == len(watched) && hasBackups && hasRestores
}

func (w *watcher) createdBackup(backup *velerov1.Backup) {
	if migrateOf(backup) != "" {
		w.backups.created(backup)
	}
}

func (w *watcher) createdRestore(restore *velerov1.Restore) {
	if migrateOf(restore) != "" {
		w.restores.created(restore)
	}
}

// fault is what is shown of the faults: the connection's before a watch's. The
// caller holds the lock.
func (w *watcher) fault() error {
	for _, name := range slices.Sorted(maps.Keys(w.faults)) {
		return w.faults[name]
	}
	return nil
}

// failed notes a fault.
func (w *watcher) failed(name string, err error) {
	w.transition(func() {
		if len(w.faults) == 0 {
			w.since = time.Now()
		}
		w.faults[name] = err
	})
}

// works notes that a fault is over, if there was one.
func (w *watcher) works(name string) {
	w.transition(func() {
		delete(w.faults, name)
		if len(w.faults) == 0 {
			w.since = time.Time{}
		}
	})
}

// wasListed notes that a resource has been listed.
func (w *watcher) wasListed(name string) {
	w.transition(func() { w.listed.Insert(name) })
}

// transition changes the state, and tells everybody if that can be observed.
func (w *watcher) transition(change func()) {
	w.mu.Lock()
	before, complete := w.fault(), len(w.listed) == len(watched)
	change()
	after := w.fault()
	differs := text(before) != text(after) || complete != (len(w.listed) == len(watched))
	w.mu.Unlock()
	if !differs || w.ctx.Err() != nil {
		return
	}
	switch {
	case before == nil && after != nil:
		w.log.Info("Member can't be asked", "err", after)
	case before != nil && after == nil:
		w.log.Info("Member can be asked again")
	}
	w.changed(sets.New[types.UID](""))
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// changed tells everybody whom it concerns.
func (w *watcher) changed(uids sets.Set[types.UID]) {
	w.mu.Lock()
	interested := make([]*Watch, 0, len(w.interested))
	for interest := range w.interested {
		interested = append(interested, interest)
	}
	w.mu.Unlock()
	for _, interest := range interested {
		for _, uid := range []types.UID{"", interest.uid} {
			if uids.Has(uid) {
				interest.onChange(uid)
			}
		}
	}
}
