// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package modelvelero

import (
	"slices"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"k8s.io/apimachinery/pkg/types"
)

// round is one look of backup_sync_controller through the bucket behind a location:
// it lists the bucket, then the cluster, creates what the cluster lacks, deletes
// what the list of the bucket lacked, and last notes the time.
type round struct {
	location string
	// names is the list of the bucket; time has gone on since.
	names []string
	// missing are the names of Backups yet to be created.
	missing []string
	// volumes are PodVolumeBackups yet to be created.
	volumes []*velerov1.PodVolumeBackup
	// orphans are the Backups yet to be deleted; they are listed once.
	orphans []*velerov1.Backup
	listed  bool
}

func (s *Server) syncSteps(c *Cluster, now time.Time) []Step {
	if s.round != nil && c.Location(s.round.location) == nil {
		s.round = nil
	}
	if s.round != nil {
		return []Step{s.continueSync(c, now)}
	}
	var steps []Step
	for _, l := range c.Locations {
		last := l.Status.LastSyncedTime
		if isAvailable(l) && s.StorageErr == "" && (last == nil || !now.Before(last.Add(s.options.SyncPeriod))) {
			steps = append(steps, Step{What: "looks through the bucket", done: func(Object, error) { s.beginSync(c, l) }})
		}
	}
	return steps
}

func (s *Server) beginSync(c *Cluster, l *velerov1.BackupStorageLocation) {
	s.round = &round{location: l.Name, names: s.bucket.Names()}
	for _, name := range s.round.names {
		if c.Backup(name) == nil {
			s.round.missing = append(s.round.missing, name)
		}
	}
}

// continueSync is the next write of a round.
func (s *Server) continueSync(c *Cluster, now time.Time) Step {
	r := s.round
	switch {
	case len(r.volumes) > 0:
		volume := r.volumes[0]
		return Step{
			What: "syncs PodVolumeBackup " + volume.Name, After: volume,
			done: func(Object, error) { r.volumes = r.volumes[1:] },
		}
	case len(r.missing) > 0:
		return s.syncBackup(r)
	case !r.listed:
		return Step{What: "looks for Backups that are not in the bucket", done: func(Object, error) {
			r.listed, r.orphans = true, orphans(c, r)
		}}
	case len(r.orphans) > 0:
		orphan := r.orphans[0]
		return Step{
			What: "deletes Backup " + orphan.Name + ", which is not in the bucket", Before: orphan,
			done: func(Object, error) { r.orphans = r.orphans[1:] },
		}
	}
	location := c.Location(r.location)
	after := location.DeepCopy()
	after.Status.LastSyncedTime = at(now)
	return Step{What: "has looked through the bucket", Before: location, After: after, done: func(Object, error) { s.round = nil }}
}

// syncBackup creates the next Backup that the cluster lacks, if what is in the
// bucket is finished.
func (s *Server) syncBackup(r *round) Step {
	name := r.missing[0]
	found, ok := s.bucket.get(name)
	if !ok || !isSynced(found.backup.Status.Phase) {
		return Step{What: "finds Backup " + name + " unfinished in the bucket", done: func(Object, error) { r.missing = r.missing[1:] }}
	}
	backup := found.backup.DeepCopy()
	backup.UID, backup.ResourceVersion, backup.Namespace = "", "", ""
	backup.OwnerReferences = nil
	backup.Spec.Hooks = velerov1.BackupHooks{}
	backup.Spec.StorageLocation = r.location
	if backup.Labels == nil {
		backup.Labels = map[string]string{}
	}
	backup.Labels[velerov1.StorageLocationLabel] = labelValue(r.location)
	return Step{What: "syncs Backup " + name, After: backup, done: func(created Object, err error) {
		r.missing = r.missing[1:]
		if err != nil {
			return
		}
		for _, v := range found.volumes {
			r.volumes = append(r.volumes, syncedVolume(v, r.location, created.GetUID()))
		}
	}}
}

func isSynced(p velerov1.BackupPhase) bool {
	return p == velerov1.BackupPhaseCompleted || p == velerov1.BackupPhasePartiallyFailed || p == velerov1.BackupPhaseFailed
}

func syncedVolume(v *velerov1.PodVolumeBackup, location string, owner types.UID) *velerov1.PodVolumeBackup {
	v = v.DeepCopy()
	v.UID, v.ResourceVersion, v.Namespace = "", "", ""
	for i := range v.OwnerReferences {
		v.OwnerReferences[i].UID = owner
	}
	v.Labels[velerov1.BackupUIDLabel] = string(owner)
	v.Spec.BackupStorageLocation = location
	return v
}

// orphans are the Backups that by their label must be in the bucket, and that were
// not when the round began.
func orphans(c *Cluster, r *round) []*velerov1.Backup {
	var found []*velerov1.Backup
	for _, b := range c.Backups {
		ended := b.Status.Phase == velerov1.BackupPhaseCompleted || b.Status.Phase == velerov1.BackupPhasePartiallyFailed
		if b.Labels[velerov1.StorageLocationLabel] == labelValue(r.location) && ended && !slices.Contains(r.names, b.Name) {
			found = append(found, b)
		}
	}
	return found
}
