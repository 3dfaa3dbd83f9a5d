// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package modelvelero

import (
	"slices"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"k8s.io/apimachinery/pkg/types"
)

// syncRun is one run of backup_sync_controller for a location. It lists the bucket, then the
// cluster, creates the Backups that the cluster lacks, deletes those that were not in the
// list of the bucket, and last records the time.
type syncRun struct {
	location string
	// names are the Backups in the bucket at the start of the run.
	names []string
	// missing are the names of the Backups to create.
	missing []string
	// volumes are the PodVolumeBackups to create.
	volumes []*velerov1.PodVolumeBackup
	// orphans are the Backups to delete, once listed is set.
	orphans []*velerov1.Backup
	listed  bool
}

func (s *Server) syncSteps(c *Cluster, now time.Time) []Step {
	if s.sync != nil && c.Location(s.sync.location) == nil {
		s.sync = nil
	}
	if s.sync != nil {
		return []Step{s.continueSync(c, now)}
	}
	var steps []Step
	for _, l := range c.Locations {
		last := l.Status.LastSyncedTime
		if isAvailable(l) && s.StorageErr == "" && (last == nil || !now.Before(last.Add(s.options.SyncPeriod))) {
			steps = append(steps, Step{What: "starts a sync of the bucket", afterWrite: func(Object, error) { s.startSync(c, l) }})
		}
	}
	return steps
}

func (s *Server) startSync(c *Cluster, l *velerov1.BackupStorageLocation) {
	s.sync = &syncRun{location: l.Name, names: s.bucket.Names()}
	for _, name := range s.sync.names {
		if c.Backup(name) == nil {
			s.sync.missing = append(s.sync.missing, name)
		}
	}
}

// continueSync returns the next step of the running sync.
func (s *Server) continueSync(c *Cluster, now time.Time) Step {
	r := s.sync
	switch {
	case len(r.volumes) > 0:
		volume := r.volumes[0]
		return Step{
			What: "syncs PodVolumeBackup " + volume.Name, After: volume,
			afterWrite: func(Object, error) { r.volumes = r.volumes[1:] },
		}
	case len(r.missing) > 0:
		return s.syncBackup(r)
	case !r.listed:
		return Step{What: "lists orphaned Backups", afterWrite: func(Object, error) {
			r.listed, r.orphans = true, orphans(c, r)
		}}
	case len(r.orphans) > 0:
		orphan := r.orphans[0]
		return Step{
			What: "deletes orphaned Backup " + orphan.Name, Before: orphan,
			afterWrite: func(Object, error) { r.orphans = r.orphans[1:] },
		}
	}
	location := c.Location(r.location)
	after := location.DeepCopy()
	after.Status.LastSyncedTime = at(now)
	return Step{What: "ends the sync of the bucket", Before: location, After: after, afterWrite: func(Object, error) { s.sync = nil }}
}

// syncBackup returns the step that creates the next missing Backup, or skips it if it is
// not finished in the bucket.
func (s *Server) syncBackup(r *syncRun) Step {
	name := r.missing[0]
	found, ok := s.bucket.get(name)
	if !ok || !isSynced(found.backup.Status.Phase) {
		return Step{What: "skips Backup " + name + ", which is not finished in the bucket", afterWrite: func(Object, error) { r.missing = r.missing[1:] }}
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
	return Step{What: "syncs Backup " + name, After: backup, afterWrite: func(created Object, err error) {
		r.missing = r.missing[1:]
		if err != nil {
			return
		}
		for _, v := range found.volumes {
			r.volumes = append(r.volumes, syncedVolume(v, r.location, created.GetUID()))
		}
	}}
}

// isSynced reports whether Velero syncs a Backup of a phase in the bucket.
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

// orphans returns the completed Backups with the label of the location that were not in the
// bucket when the sync started.
func orphans(c *Cluster, r *syncRun) []*velerov1.Backup {
	var found []*velerov1.Backup
	for _, b := range c.Backups {
		ended := b.Status.Phase == velerov1.BackupPhaseCompleted || b.Status.Phase == velerov1.BackupPhasePartiallyFailed
		if b.Labels[velerov1.StorageLocationLabel] == labelValue(r.location) && ended && !slices.Contains(r.names, b.Name) {
			found = append(found, b)
		}
	}
	return found
}
