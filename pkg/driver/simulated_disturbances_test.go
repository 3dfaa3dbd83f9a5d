// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"k8s.io/utils/ptr"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/velero"
	"kurator.dev/migrate-apiserver/test/modelvelero"
)

// disturbances are the faults and edits of a simulation, which has a random half of them. A chosen
// disturbance happens once in rare attempts.
var disturbances = []struct {
	name string
	rare int
	do   func(*simulation)
}{
	{"driver crash", 1, func(s *simulation) { s.crash(s.drivers[s.random.IntN(len(s.drivers))]) }},
	{"second driver", 1, func(s *simulation) {
		if len(s.drivers) < 2 {
			s.startDriver()
		}
	}},
	{"stalled watch", 2, (*simulation).stallWatch},
	{"unreachable member", 1, func(s *simulation) { s.setFault(errDown) }},
	{"rejected credentials", 2, func(s *simulation) { s.setFault(errCredentials) }},
	{"seconds pass", 1, func(s *simulation) { s.clock.Step(time.Duration(s.random.IntN(5000)) * time.Millisecond) }},
	{"minutes pass", 4, func(s *simulation) { s.clock.Step(time.Duration(s.random.IntN(15)) * time.Minute) }},
	{"host inventory", 1, (*simulation).disturbHost},
	{"spurious event", 1, (*simulation).spuriousEvent},
	{"live read", 1, (*simulation).readLive},
	{"stopped Velero", 2, func(s *simulation) {
		m := s.members[s.randomCluster()]
		m.stopped = !m.stopped
		s.tracef("Velero in %s is stopped: %v", m.cluster.Name, m.stopped)
	}},
	{"Velero restart", 4, (*simulation).restartVelero},
	{"object storage", 6, (*simulation).disturbStorage},
	{"deleted object", 8, func(s *simulation) { s.modifyRandom(deleteObject) }},
	{"removed label", 8, func(s *simulation) { s.modifyRandom(removeLabels) }},
	{"edited phase", 8, func(s *simulation) { s.modifyRandom(writePhase) }},
	{"recreated object", 8, func(s *simulation) { s.modifyRandom(recreateObject) }},
	{"deleted PodVolumeBackup", 8, (*simulation).deleteVolume},
	{"foreign object", 8, (*simulation).createForeign},
	{"Backup of others", 2, (*simulation).createOthersBackup},
	{"cancellation", 30, (*simulation).cancel},
	{"retry", 4, func(s *simulation) { s.retry() }},
	{"edited Migrate", 10, (*simulation).disturbMigrate},
}

// disturb takes a number of random steps, with random disturbances among them.
func (s *simulation) disturb(steps int) {
	var chosen []func(*simulation)
	var rare []int
	for _, d := range disturbances {
		if s.random.IntN(2) == 0 {
			chosen, rare = append(chosen, d.do), append(rare, d.rare)
		}
	}
	s.faultRate = []int{0, 5, 15}[s.random.IntN(3)]
	s.interleave = []int{0, 3, 8}[s.random.IntN(3)]
	for range steps {
		if s.failure != "" {
			return
		}
		switch i := s.random.IntN(40); {
		case i < len(chosen):
			if s.random.IntN(rare[i]) == 0 {
				chosen[i](s)
			}
		case i < 28:
			s.veleroStep(s.randomCluster())
		default:
			if !s.step() {
				s.advanceToNext()
			}
		}
	}
}

// heal ends all disturbances except those of one cluster, which may be empty.
func (s *simulation) heal(except migration.Cluster) {
	s.tracef("all disturbances end, except in %q", except.Name)
	inventory := s.completeInventory()
	if except.Name != "" && !s.host.inventory.Clusters[except].Ready {
		inventory.Clusters[except] = migration.ClusterState{VeleroNamespace: veleroNamespace}
	}
	s.setHost("no faults", inventory)
	for _, c := range s.clusters {
		m := s.members[c]
		if m.healed = c != except; !m.healed {
			continue
		}
		m.fault = nil
		m.velero.StorageErr = ""
		m.stopped = false
		objects, _ := m.memory.Read(context.Background())
		m.velero.Resync(objects)
		if objects.Location("default").Spec.AccessMode != "" {
			m.setAccess("")
		}
	}
	for _, d := range s.drivers {
		d.stalled = false
		for c, v := range d.caches {
			v.stalled = v.stalled && c == except
		}
	}
	if s.stored != nil && s.stored.DeletionTimestamp != nil {
		s.store(nil)
	}
	if s.stored != nil && ptr.Deref(s.stored.Spec.Suspend, false) {
		s.setSuspended(false)
	}
}

// cancel cancels the Migrate, if it has not ended.
func (s *simulation) cancel() {
	if s.stored == nil || migration.IsTerminal(s.stored.Status.Phase) || s.stored.Status.Cancellation != nil {
		return
	}
	s.tracef("the Migrate is canceled")
	m := s.stored.DeepCopy()
	m.Status.Cancellation = &v1alpha1.Cancellation{Time: metav1.NewTime(s.clock.Now()), Username: "jane"}
	s.store(m)
}

// retry begins a new attempt, from the existing or a new Backup. It returns false if there can be none.
func (s *simulation) retry() bool {
	from := []v1alpha1.RetryBackup{v1alpha1.RetryBackupExisting, v1alpha1.RetryBackupNew}
	if s.random.IntN(2) == 0 {
		slices.Reverse(from)
	}
	return slices.ContainsFunc(from, s.retryFrom)
}

// retryFrom begins a new attempt from a Backup. It returns false if there can be none.
func (s *simulation) retryFrom(from v1alpha1.RetryBackup) bool {
	if s.stored == nil {
		return false
	}
	m := s.stored.DeepCopy()
	status, err := migration.Retry(m, from, "jane", s.clock.Now())
	if err != nil {
		return false
	}
	s.tracef("the Migrate is retried with the Backup %s: attempt %d", from, status.Attempt())
	s.checkRetry(&m.Status, &status)
	m.Status, s.waited = status, false
	s.store(m)
	return true
}

// setSuspended suspends or resumes the Migrate.
func (s *simulation) setSuspended(suspended bool) {
	s.tracef("the Migrate is suspended: %t", suspended)
	m := s.stored.DeepCopy()
	m.Spec.Suspend = &suspended
	m.Generation++
	s.store(m)
}

// cleanUp does what the Migrate's status asks of an administrator: it removes obstacles that another
// client left. Without it some disturbances would never end.
func (s *simulation) cleanUp() {
	for _, c := range s.clusters {
		if m := s.members[c]; m.healed {
			for _, object := range m.memory.Objects() {
				s.cleanUpObject(objectID{c, modelvelero.KeyOf(object)}, object)
			}
		}
	}
	s.completeHandoffs()
	s.waitForExpiry()
}

// cleanUpObject restores a removed label, and deletes a foreign object and one that another client
// moved to a phase that Velero does not continue from.
func (s *simulation) cleanUpObject(id objectID, object modelvelero.Object) {
	var done bool
	switch o := object.(type) {
	case *velerov1.Backup:
		done = o.Status.Phase == velerov1.BackupPhaseCompleted || id.cluster == m1 && phaseOfBackup[o.Status.Phase] != ""
	case *velerov1.Restore:
		done = phaseOfRestore[o.Status.Phase] != ""
	default:
		return
	}
	switch foreign := s.foreign[object.GetUID()]; {
	case object.GetDeletionTimestamp() != nil:
	case foreign, s.phaseEdited[object.GetUID()] && !done:
		s.tracef("the administrator deletes %s %s in %s", id.key.Kind, id.key.Name, id.cluster.Name)
		s.remove(id)
	case object.GetLabels()[velero.MigrateUIDLabel] == "" && !isOfOthers(object):
		s.tracef("the administrator restores the label of %s %s in %s", id.key.Kind, id.key.Name, id.cluster.Name)
		s.modified[id] = true
		after := object.DeepCopyObject().(modelvelero.Object)
		metav1.SetMetaDataLabel(metaOf(after), velero.MigrateUIDLabel, uidIn(id.key.Name))
		_ = s.members[id.cluster].memory.Patch(context.Background(), object, after)
	}
}

// uidIn returns the UID of the Migrate of a name.
func uidIn(name string) string {
	const digits = 8
	for _, part := range strings.Split(name, "-") {
		if _, err := strconv.ParseUint(part, 16, 32); err == nil && len(part) == digits {
			return part + uidSuffix
		}
	}
	return ""
}

// metaOf returns the metadata of a Backup or Restore.
func metaOf(object modelvelero.Object) *metav1.ObjectMeta {
	if b, ok := object.(*velerov1.Backup); ok {
		return &b.ObjectMeta
	}
	return &object.(*velerov1.Restore).ObjectMeta
}

// completeHandoffs deletes handed-over Backups in targets that can't be completed because the source
// has lost the missing objects. Then Velero's sync creates all of them.
func (s *simulation) completeHandoffs() {
	for _, c := range s.clusters[1:] {
		if !s.members[c].healed {
			continue
		}
		target, _ := s.members[c].memory.Read(context.Background())
		source, _ := s.members[m1].memory.Read(context.Background())
		for _, b := range target.Backups {
			var existing []velerov1.PodVolumeBackup
			for _, v := range target.PodVolumeBackups {
				existing = append(existing, *v)
			}
			from := source.Backup(b.Name)
			if velero.IsHandedOver(b) && !velero.IsHandoffComplete(b, existing) && (from == nil || s.modified[objectID{m1, modelvelero.KeyOf(from)}]) {
				s.tracef("the administrator deletes the incomplete Backup %s in %s", b.Name, c.Name)
				s.modified[objectID{c, modelvelero.KeyOf(b)}] = true
				s.remove(objectID{c, modelvelero.KeyOf(b)})
			}
		}
	}
}

// waitForExpiry lets the TTL of the Backup pass if its data was deleted, or if another client set its
// phase to Completed. Only the expiry ends such a migration.
func (s *simulation) waitForExpiry() {
	if s.stored == nil || s.waited || !s.quiet() {
		return
	}
	source := s.stored.Status.SourceClusterStatus
	if source == nil || source.Phase != "Completed" || s.bucket.HasCompleted(source.BackupNameInCluster) {
		return
	}
	s.waited = true
	s.tracef("31 days pass")
	s.clock.Step(31 * 24 * time.Hour)
}

// setFault makes a random member unreachable with an error, or reachable again.
func (s *simulation) setFault(fault error) {
	m := s.members[s.randomCluster()]
	if m.fault != nil {
		fault = nil
	}
	m.fault = fault
	s.tracef("calls to %s have the result%s", m.cluster.Name, orError(fault))
}

// restartVelero restarts a random Velero.
func (s *simulation) restartVelero() {
	m := s.members[s.randomCluster()]
	s.tracef("Velero in %s restarts", m.cluster.Name)
	s.otherEndAllowed = true
	// Velero never completes a sync that was interrupted between a Backup and its
	// PodVolumeBackups.
	m.syncInterrupted = true
	m.restart()
}

// disturbStorage changes the object storage of a random member.
func (s *simulation) disturbStorage() {
	m := s.members[s.randomCluster()]
	s.otherEndAllowed = true
	switch s.random.IntN(4) {
	case 0:
		m.velero.StorageErr = "connection refused"
		s.tracef("the storage of %s is unreachable", m.cluster.Name)
	case 1:
		m.velero.StorageErr = ""
		s.tracef("the storage of %s is reachable", m.cluster.Name)
	case 2:
		s.tracef("the storage of %s is read-only", m.cluster.Name)
		m.setAccess(velerov1.BackupStorageLocationAccessModeReadOnly)
	default:
		for _, name := range s.bucket.Names() {
			s.tracef("%s is deleted from the bucket", name)
			s.bucket.Delete(name)
		}
	}
}

// setAccess sets the access mode of the default location.
func (m *simulatedMember) setAccess(mode velerov1.BackupStorageLocationAccessMode) {
	before := m.current(modelvelero.Key{Kind: "BackupStorageLocation", Name: "default"}).(*velerov1.BackupStorageLocation)
	after := before.DeepCopy()
	after.Spec.AccessMode = mode
	_ = m.memory.Patch(context.Background(), before, after)
}

// stallWatch stalls a watch of a driver, of the Migrates or of a member, or resumes it. A stalled watch
// delivers nothing, so its cache may become arbitrarily old.
func (s *simulation) stallWatch() {
	d := s.drivers[s.random.IntN(len(s.drivers))]
	if s.random.IntN(2) == 0 {
		d.stalled = !d.stalled
		s.tracef("the watch of Migrates of driver %d is stalled: %v", d.number, d.stalled)
		return
	}
	c := s.randomCluster()
	if v := d.caches[c]; v != nil {
		v.stalled = !v.stalled
		s.tracef("the watch of %s of driver %d is stalled: %v", c.Name, d.number, v.stalled)
	}
}

// spuriousEvent delivers events without a change to a random driver.
func (s *simulation) spuriousEvent() {
	d := s.drivers[s.random.IntN(len(s.drivers))]
	s.tracef("driver %d receives a spurious event", d.number)
	d.queue.Add(migrateKey)
	for _, c := range s.clusters {
		if v := d.caches[c]; v != nil && s.random.IntN(2) == 0 {
			v.onChange("")
		}
	}
}

// readLive reads the live status without interleaving: the driver reads the members concurrently, so
// the order would not be deterministic.
func (s *simulation) readLive() {
	if s.stored == nil {
		return
	}
	interleave := s.interleave
	s.interleave = 0
	defer func() { s.interleave = interleave }()
	d := s.drivers[s.random.IntN(len(s.drivers))]
	m := s.stored.DeepCopy()
	live, err := (&Driver{Config: d.loop.Config}).LiveStatus(context.Background(), m)
	if err != nil {
		s.failf("LiveStatus: %v", err)
		return
	}
	s.tracef("a user reads the live status: %s", describe(live))
	s.checkLive(m, live)
}

// modifyRandom modifies a random Backup or Restore as another client.
func (s *simulation) modifyRandom(modify func(s *simulation, id objectID, object modelvelero.Object)) {
	s.modifyObject(s.randomCluster(), "", modify)
}

// modifyObject modifies a random object of a kind in a cluster; an empty kind means Backup or Restore.
func (s *simulation) modifyObject(c migration.Cluster, kind string, modify func(s *simulation, id objectID, object modelvelero.Object)) {
	var found []objectID
	for _, object := range s.members[c].memory.Objects() {
		key := modelvelero.KeyOf(object)
		matches := key.Kind == kind || kind == "" && (key.Kind == "Backup" || key.Kind == "Restore")
		if matches && object.GetDeletionTimestamp() == nil {
			found = append(found, objectID{c, key})
		}
	}
	if len(found) == 0 {
		return
	}
	id := found[s.random.IntN(len(found))]
	s.modified[id] = true
	modify(s, id, s.members[c].current(id.key))
}

func deleteObject(s *simulation, id objectID, _ modelvelero.Object) {
	s.tracef("another client deletes %s %s in %s", id.key.Kind, id.key.Name, id.cluster.Name)
	s.remove(id)
}

func (s *simulation) remove(id objectID) {
	m := s.members[id.cluster]
	_ = m.memory.Delete(context.Background(), m.current(id.key))
}

func removeLabels(s *simulation, id objectID, object modelvelero.Object) {
	s.tracef("another client removes the labels of %s %s in %s", id.key.Kind, id.key.Name, id.cluster.Name)
	after := object.DeepCopyObject().(modelvelero.Object)
	after.SetLabels(nil)
	_ = s.members[id.cluster].memory.Patch(context.Background(), object, after)
}

func writePhase(s *simulation, id objectID, object modelvelero.Object) {
	after := object.DeepCopyObject().(modelvelero.Object)
	phase := []string{"New", "InProgress", "PhaseOfTomorrow", "Failed", "Completed"}[s.random.IntN(5)]
	switch o := after.(type) {
	case *velerov1.Backup:
		o.Status.Phase = velerov1.BackupPhase(phase)
		s.volumesLost = true
		if o.Status.Expiration == nil {
			o.Status.Expiration = &metav1.Time{Time: s.clock.Now().Add(30 * 24 * time.Hour)}
		}
		if o.Status.Progress == nil {
			o.Status.Progress = &velerov1.BackupProgress{TotalItems: 1, ItemsBackedUp: 1}
		}
	case *velerov1.Restore:
		o.Status.Phase = velerov1.RestorePhase(phase)
	}
	s.phaseEdited[object.GetUID()] = true
	s.tracef("another client sets phase %s of %s %s in %s", phase, id.key.Kind, id.key.Name, id.cluster.Name)
	_ = s.members[id.cluster].memory.Patch(context.Background(), object, after)
}

// recreateObject deletes an object and creates a copy of it.
func recreateObject(s *simulation, id objectID, object modelvelero.Object) {
	s.tracef("another client recreates %s %s in %s", id.key.Kind, id.key.Name, id.cluster.Name)
	s.remove(id)
	recreated := object.DeepCopyObject().(modelvelero.Object)
	recreated.SetFinalizers(nil)
	recreated.SetResourceVersion("")
	created, err := s.members[id.cluster].memory.Create(context.Background(), recreated)
	if err != nil {
		return
	}
	// The copy may lack PodVolumeBackups.
	s.volumesLost = s.volumesLost || id.key.Kind == "Backup"
	s.foreign[created.GetUID()] = s.foreign[object.GetUID()]
	s.phaseEdited[created.GetUID()] = true
}

// deleteVolume deletes a PodVolumeBackup in a random target.
func (s *simulation) deleteVolume() {
	c := s.clusters[1+s.random.IntN(len(s.clusters)-1)]
	for _, object := range s.members[c].memory.Objects() {
		if key := modelvelero.KeyOf(object); key.Kind == "PodVolumeBackup" {
			s.tracef("another client deletes PodVolumeBackup %s in %s", key.Name, c.Name)
			s.volumesLost = true
			s.remove(objectID{c, key})
			return
		}
	}
}

// createForeign creates an object with a name that the driver uses, but without its label.
func (s *simulation) createForeign() {
	if s.stored == nil {
		return
	}
	c := s.randomCluster()
	var object modelvelero.Object = &velerov1.Restore{ObjectMeta: metav1.ObjectMeta{Name: velero.ObjectName(c.Name, s.stored)}}
	if c == m1 || s.random.IntN(2) == 0 {
		object = &velerov1.Backup{
			ObjectMeta: metav1.ObjectMeta{Name: velero.ObjectName(m1.Name, s.stored)},
			Status:     velerov1.BackupStatus{Phase: velerov1.BackupPhaseCompleted, Progress: &velerov1.BackupProgress{TotalItems: 7, ItemsBackedUp: 7}},
		}
	}
	if len(s.members[c].history[modelvelero.KeyOf(object)]) > 0 {
		// A foreign object that replaces the driver's looks like the driver's without its
		// label.
		return
	}
	if created, err := s.members[c].memory.Create(context.Background(), object); err == nil {
		s.foreign[created.GetUID()] = true
		s.modified[objectID{c, modelvelero.KeyOf(object)}] = true
		s.tracef("another client creates the foreign object %s in %s", object.GetName(), c.Name)
	}
}

// createOthersBackup creates a Backup in the source that has nothing to do with a Migrate. Velero ends it.
func (s *simulation) createOthersBackup() {
	s.others++
	name := fmt.Sprintf("%s%d", othersPrefix, s.others)
	if _, err := s.members[m1].memory.Create(context.Background(), &velerov1.Backup{ObjectMeta: metav1.ObjectMeta{Name: name}}); err == nil {
		s.tracef("another client creates Backup %s", name)
	}
}

// othersPrefix is the prefix of the names of the Backups of others.
const othersPrefix = "nightly-"

func isOfOthers(object metav1.Object) bool { return strings.HasPrefix(object.GetName(), othersPrefix) }

// disturbMigrate deletes the Migrate, without or with a finalizer, annotates, suspends or recreates it.
func (s *simulation) disturbMigrate() {
	switch {
	case s.stored == nil:
		s.tracef("the Migrate is recreated")
		s.createMigrate()
	case s.random.IntN(3) == 0:
		s.tracef("the Migrate is annotated")
		m := s.stored.DeepCopy()
		m.Annotations = map[string]string{"n": strconv.Itoa(len(s.versions))}
		s.store(m)
	case s.random.IntN(3) == 0:
		s.setSuspended(!ptr.Deref(s.stored.Spec.Suspend, false))
	case s.random.IntN(3) == 0 && s.stored.DeletionTimestamp == nil:
		s.tracef("the Migrate is being deleted")
		m := s.stored.DeepCopy()
		m.DeletionTimestamp = &metav1.Time{Time: s.clock.Now()}
		s.store(m)
	default:
		s.tracef("the Migrate is deleted")
		s.store(nil)
		if s.random.IntN(2) == 0 {
			s.tracef("the Migrate is recreated")
			s.createMigrate()
		}
	}
}
