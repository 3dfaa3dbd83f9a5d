// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"strconv"
	"strings"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/velero"
	"kurator.dev/migrate-apiserver/test/modelvelero"
)

// disturbances are what may happen to a migration; each simulation has some of them.
// The number is its rarity.
var disturbances = []struct {
	name string
	rare int
	do   func(*simulation)
}{
	{"a driver dies", 1, func(s *simulation) { s.crash(s.drivers[s.random.IntN(len(s.drivers))]) }},
	{"a second driver", 1, func(s *simulation) {
		if len(s.drivers) < 2 {
			s.startDriver()
		}
	}},
	{"a watch stalls or goes on", 2, (*simulation).stallWatch},
	{"a member goes or comes", 1, func(s *simulation) { s.setFault(errDown) }},
	{"credentials", 2, func(s *simulation) { s.setFault(errCredentials) }},
	{"time", 1, func(s *simulation) { s.clock.Step(time.Duration(s.random.IntN(5000)) * time.Millisecond) }},
	{"a long time", 4, func(s *simulation) { s.clock.Step(time.Duration(s.random.IntN(15)) * time.Minute) }},
	{"the host", 1, (*simulation).disturbHost},
	{"a spurious event", 1, (*simulation).spuriousEvent},
	{"a reader", 1, (*simulation).readLive},
	{"Velero stops or goes on", 2, func(s *simulation) {
		m := s.members[s.someCluster()]
		m.stopped = !m.stopped
		s.tracef("Velero in %s is stopped: %v", m.cluster.Name, m.stopped)
	}},
	{"Velero is restarted", 4, (*simulation).restartVelero},
	{"storage", 6, (*simulation).disturbStorage},
	{"a deletion", 8, func(s *simulation) { s.touch(deleteObject) }},
	{"a label", 8, func(s *simulation) { s.touch(takeLabelOff) }},
	{"a phase", 8, func(s *simulation) { s.touch(writePhase) }},
	{"a copy", 8, func(s *simulation) { s.touch(makeAgain) }},
	{"a volume", 8, (*simulation).deleteVolume},
	{"a foreign object", 8, (*simulation).makeForeign},
	{"the Migrate", 10, (*simulation).disturbMigrate},
}

// disturb takes so many random steps, among disturbances of which each is there in
// every other simulation.
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
			s.veleroStep(s.someCluster())
		default:
			if !s.step() {
				s.pass()
			}
		}
	}
}

// heal ends all disturbances but those of one cluster.
func (s *simulation) heal(but migration.Cluster) {
	s.tracef("all is well again, except in %q", but.Name)
	inventory := s.wholeFleet()
	if but.Name != "" && !s.host.inventory.Clusters[but].Ready {
		inventory.Clusters[but] = migration.ClusterState{VeleroNamespace: veleroNamespace}
	}
	s.setHost("all is well", inventory)
	for _, c := range s.clusters {
		m := s.members[c]
		if m.healed = c != but; !m.healed {
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
		for c, v := range d.views {
			v.stalled = v.stalled && c == but
		}
	}
	if s.stored != nil && s.stored.DeletionTimestamp != nil {
		s.store(nil)
	}
}

// administer does what an administrator does by the status: removes what another client
// left in the way. It stands for the end of a disturbance.
func (s *simulation) administer() {
	for _, c := range s.clusters {
		if m := s.members[c]; m.healed {
			for _, object := range m.memory.Objects() {
				s.tidy(objectID{c, modelvelero.KeyOf(object)}, object)
			}
		}
	}
	s.completeHandoffs()
	s.waitForExpiry()
}

// tidy puts back a label that was taken off, and takes away what is not ours or has
// come to a phase from which Velero does not go on.
func (s *simulation) tidy(id objectID, object modelvelero.Object) {
	var done bool
	switch o := object.(type) {
	case *velerov1.Backup:
		done = o.Status.Phase == velerov1.BackupPhaseCompleted || id.cluster == m1 && backupMeans[o.Status.Phase] != ""
	case *velerov1.Restore:
		done = restoreMeans[o.Status.Phase] != ""
	default:
		return
	}
	switch foreign := s.foreign[object.GetUID()]; {
	case object.GetDeletionTimestamp() != nil:
	case foreign, s.edited[object.GetUID()] && !done:
		s.tracef("somebody takes %s %s in %s away", id.key.Kind, id.key.Name, id.cluster.Name)
		s.remove(id)
	case object.GetLabels()[velero.MigrateUIDLabel] == "":
		s.tracef("somebody puts the label back on %s %s in %s", id.key.Kind, id.key.Name, id.cluster.Name)
		s.touched[id] = true
		after := object.DeepCopyObject().(modelvelero.Object)
		suffix := id.key.Name[strings.LastIndex(id.key.Name, "-")+1:]
		metav1.SetMetaDataLabel(metaOf(after), velero.MigrateUIDLabel, suffix+uidEnd)
		_ = s.members[id.cluster].memory.Patch(context.Background(), object, after)
	}
}

func metaOf(object modelvelero.Object) *metav1.ObjectMeta {
	if b, ok := object.(*velerov1.Backup); ok {
		return &b.ObjectMeta
	}
	return &object.(*velerov1.Restore).ObjectMeta
}

// completeHandoffs takes a handed-over Backup away that can't be completed, because
// the source no longer has what is missing; Velero's sync brings all of it then.
func (s *simulation) completeHandoffs() {
	for _, c := range s.clusters[1:] {
		if !s.members[c].healed {
			continue
		}
		target, _ := s.members[c].memory.Read(context.Background())
		source, _ := s.members[m1].memory.Read(context.Background())
		for _, b := range target.Backups {
			var there []velerov1.PodVolumeBackup
			for _, v := range target.PodVolumeBackups {
				there = append(there, *v)
			}
			from := source.Backup(b.Name)
			if velero.IsHandedOver(b) && !velero.IsHandoffComplete(b, there) && (from == nil || s.touched[objectID{m1, modelvelero.KeyOf(from)}]) {
				s.tracef("somebody takes the incomplete Backup %s in %s away", b.Name, c.Name)
				s.touched[objectID{c, modelvelero.KeyOf(b)}] = true
				s.remove(objectID{c, modelvelero.KeyOf(b)})
			}
		}
	}
}

// waitForExpiry lets the time pass for which Velero keeps a Backup, where its data is
// gone, or another client marked it as complete: nothing else can end a migration that has not been restored.
func (s *simulation) waitForExpiry() {
	if s.stored == nil || s.waited || !s.quiet() {
		return
	}
	source := s.stored.Status.SourceClusterStatus
	if source == nil || source.Phase != "Completed" || s.bucket.HasCompleted(source.BackupNameInCluster) {
		return
	}
	s.waited = true
	s.tracef("a month passes")
	s.clock.Step(31 * 24 * time.Hour)
}

func (s *simulation) setFault(fault error) {
	m := s.members[s.someCluster()]
	if m.fault != nil {
		fault = nil
	}
	m.fault = fault
	s.tracef("%s can be asked%s", m.cluster.Name, orError(fault))
}

func (s *simulation) restartVelero() {
	m := s.members[s.someCluster()]
	s.tracef("Velero in %s is restarted", m.cluster.Name)
	s.excused = true
	// A round of the sync that was broken off between a Backup and its volumes is
	// never made good by Velero.
	m.syncBroken = true
	m.restart()
}

func (s *simulation) disturbStorage() {
	m := s.members[s.someCluster()]
	s.excused = true
	switch s.random.IntN(4) {
	case 0:
		m.velero.StorageErr = "connection refused"
		s.tracef("%s has lost its storage", m.cluster.Name)
	case 1:
		m.velero.StorageErr = ""
		s.tracef("%s has its storage", m.cluster.Name)
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

func (m *simulatedMember) setAccess(mode velerov1.BackupStorageLocationAccessMode) {
	before := m.now(modelvelero.Key{Kind: "BackupStorageLocation", Name: "default"}).(*velerov1.BackupStorageLocation)
	after := before.DeepCopy()
	after.Spec.AccessMode = mode
	_ = m.memory.Patch(context.Background(), before, after)
}

// stallWatch has a driver hear nothing of the Migrate, or of a cluster, until that is
// done to it again: what it knows comes to be of any age.
func (s *simulation) stallWatch() {
	d := s.drivers[s.random.IntN(len(s.drivers))]
	if s.random.IntN(2) == 0 {
		d.stalled = !d.stalled
		s.tracef("the watch of Migrates of driver %d is stalled: %v", d.number, d.stalled)
		return
	}
	c := s.someCluster()
	if v := d.views[c]; v != nil {
		v.stalled = !v.stalled
		s.tracef("the watch of %s of driver %d is stalled: %v", c.Name, d.number, v.stalled)
	}
}

// spuriousEvent has a driver hear of what it knows.
func (s *simulation) spuriousEvent() {
	d := s.drivers[s.random.IntN(len(s.drivers))]
	s.tracef("driver %d hears something again", d.number)
	d.queue.Add(migrateKey)
	for _, c := range s.clusters {
		if v := d.views[c]; v != nil && s.random.IntN(2) == 0 {
			v.onChange("")
		}
	}
}

// readLive reads the live status while nothing else happens: the
// members are asked at once, so what would happen first would be left to luck.
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
		s.failf("the live status can't be read: %v", err)
		return
	}
	s.tracef("somebody reads the live status: %s", describe(live))
	s.checkLive(m, live)
}

// touch does something to a Backup or Restore of ours.
func (s *simulation) touch(how func(s *simulation, id objectID, object modelvelero.Object)) {
	s.touchAny(s.someCluster(), "", how)
}

// touchAny does something to one of the objects of a kind, or of either, in a cluster.
func (s *simulation) touchAny(c migration.Cluster, kind string, how func(s *simulation, id objectID, object modelvelero.Object)) {
	var found []objectID
	for _, object := range s.members[c].memory.Objects() {
		key := modelvelero.KeyOf(object)
		ours := key.Kind == kind || kind == "" && (key.Kind == "Backup" || key.Kind == "Restore")
		if ours && object.GetDeletionTimestamp() == nil {
			found = append(found, objectID{c, key})
		}
	}
	if len(found) == 0 {
		return
	}
	id := found[s.random.IntN(len(found))]
	s.touched[id] = true
	how(s, id, s.members[c].now(id.key))
}

func deleteObject(s *simulation, id objectID, _ modelvelero.Object) {
	s.tracef("somebody deletes %s %s in %s", id.key.Kind, id.key.Name, id.cluster.Name)
	s.remove(id)
}

func (s *simulation) remove(id objectID) {
	m := s.members[id.cluster]
	_ = m.memory.Delete(context.Background(), m.now(id.key))
}

func takeLabelOff(s *simulation, id objectID, object modelvelero.Object) {
	s.tracef("somebody takes the label off %s %s in %s", id.key.Kind, id.key.Name, id.cluster.Name)
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
	s.edited[object.GetUID()] = true
	s.tracef("somebody writes phase %s into %s %s in %s", phase, id.key.Kind, id.key.Name, id.cluster.Name)
	_ = s.members[id.cluster].memory.Patch(context.Background(), object, after)
}

// makeAgain deletes an object and creates a copy of it.
func makeAgain(s *simulation, id objectID, object modelvelero.Object) {
	s.tracef("somebody makes %s %s in %s again", id.key.Kind, id.key.Name, id.cluster.Name)
	s.remove(id)
	again := object.DeepCopyObject().(modelvelero.Object)
	again.SetFinalizers(nil)
	again.SetResourceVersion("")
	created, err := s.members[id.cluster].memory.Create(context.Background(), again)
	if err != nil {
		return
	}
	// It is unknown what belonged to the Backup that was copied.
	s.volumesLost = s.volumesLost || id.key.Kind == "Backup"
	s.foreign[created.GetUID()] = s.foreign[object.GetUID()]
	s.edited[created.GetUID()] = true
}

// deleteVolume deletes a PodVolumeBackup in a target.
func (s *simulation) deleteVolume() {
	c := s.clusters[1+s.random.IntN(len(s.clusters)-1)]
	for _, object := range s.members[c].memory.Objects() {
		if key := modelvelero.KeyOf(object); key.Kind == "PodVolumeBackup" {
			s.tracef("somebody deletes PodVolumeBackup %s in %s", key.Name, c.Name)
			s.volumesLost = true
			s.remove(objectID{c, key})
			return
		}
	}
}

// makeForeign makes an object of a name of ours that is not ours.
func (s *simulation) makeForeign() {
	if s.stored == nil {
		return
	}
	c := s.someCluster()
	var object modelvelero.Object = &velerov1.Restore{ObjectMeta: metav1.ObjectMeta{Name: velero.ObjectName(c.Name, s.stored)}}
	if c == m1 || s.random.IntN(2) == 0 {
		object = &velerov1.Backup{
			ObjectMeta: metav1.ObjectMeta{Name: velero.ObjectName(m1.Name, s.stored)},
			Status:     velerov1.BackupStatus{Phase: velerov1.BackupPhaseCompleted, Progress: &velerov1.BackupProgress{TotalItems: 7, ItemsBackedUp: 7}},
		}
	}
	if len(s.members[c].history[modelvelero.KeyOf(object)]) > 0 {
		// One that replaces ours can't be distinguished from ours without its label.
		return
	}
	if created, err := s.members[c].memory.Create(context.Background(), object); err == nil {
		s.foreign[created.GetUID()] = true
		s.touched[objectID{c, modelvelero.KeyOf(object)}] = true
		s.tracef("somebody makes an object %s in %s", object.GetName(), c.Name)
	}
}

// disturbMigrate deletes the Migrate, has it wait for a finalizer, changes its
// metadata, or makes it again.
func (s *simulation) disturbMigrate() {
	switch {
	case s.stored == nil:
		s.tracef("the Migrate is made again")
		s.createMigrate()
	case s.random.IntN(3) == 0:
		s.tracef("the Migrate is annotated")
		m := s.stored.DeepCopy()
		m.Annotations = map[string]string{"n": strconv.Itoa(len(s.versions))}
		s.store(m)
	case s.random.IntN(3) == 0 && s.stored.DeletionTimestamp == nil:
		s.tracef("the Migrate is being deleted")
		m := s.stored.DeepCopy()
		m.DeletionTimestamp = &metav1.Time{Time: s.clock.Now()}
		s.store(m)
	default:
		s.tracef("the Migrate is deleted")
		s.store(nil)
		if s.random.IntN(2) == 0 {
			s.tracef("the Migrate is made again")
			s.createMigrate()
		}
	}
}
