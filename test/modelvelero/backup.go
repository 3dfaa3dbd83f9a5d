// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package modelvelero

import (
	"fmt"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// DefaultBackupPhases returns the phases of a Backup that succeeds and has no data
// operations.
func DefaultBackupPhases() []velerov1.BackupPhase {
	return []velerov1.BackupPhase{
		velerov1.BackupPhaseQueued, velerov1.BackupPhaseReadyToStart, velerov1.BackupPhaseInProgress,
		velerov1.BackupPhaseFinalizing, velerov1.BackupPhaseCompleted,
	}
}

// backupSteps returns the next step of a Backup in the queue, while it runs, or when it
// has expired.
func (s *Server) backupSteps(c *Cluster, b *velerov1.Backup, now time.Time) []Step {
	if steps := s.expire(c, b, now); steps != nil {
		return steps
	}
	next, ok := nextPhase(s.options.BackupPhases(b), b.Status.Phase)
	switch now := b.Status.Phase; {
	case !ok || isBackupTerminal(now):
		return nil
	case now == velerov1.BackupPhaseReadyToStart && !s.dequeued[b.Name]:
		return nil
	case now != velerov1.BackupPhaseReadyToStart && isActive(next) && !mayStart(c, b):
		return nil
	case now == velerov1.BackupPhaseInProgress && s.StorageErr == "":
		if step, ok := s.runBackup(c, b); ok {
			return []Step{step}
		}
	case s.StorageErr != "" && (now == velerov1.BackupPhaseFinalizing || now == velerov1.BackupPhaseFinalizingPartiallyFailed):
		// backup_finalizer_controller retries until the storage is available.
		return nil
	}
	return []Step{s.moveBackup(c, b, next, now)}
}

func isBackupTerminal(p velerov1.BackupPhase) bool {
	switch p {
	case velerov1.BackupPhaseCompleted, velerov1.BackupPhasePartiallyFailed, velerov1.BackupPhaseFailed,
		velerov1.BackupPhaseFailedValidation, velerov1.BackupPhaseDeleting:
		return true
	}
	return false
}

// isActive reports whether only one Backup at a time may be in a phase.
func isActive(p velerov1.BackupPhase) bool {
	return p == velerov1.BackupPhaseReadyToStart || p == velerov1.BackupPhaseInProgress
}

// mayStart reports whether no other Backup is active or before b in the queue, as
// backup_queue_controller checks.
func mayStart(c *Cluster, b *velerov1.Backup) bool {
	for _, other := range c.Backups {
		earlier := other.Status.Phase == velerov1.BackupPhaseQueued && b.Status.Phase == velerov1.BackupPhaseQueued &&
			other.Status.QueuePosition < b.Status.QueuePosition
		if other.Name != b.Name && (isActive(other.Status.Phase) || earlier) {
			return false
		}
	}
	return true
}

// runBackup returns the next step of a Backup that is InProgress, if any: the creation of
// a PodVolumeBackup, or an update of its progress.
func (s *Server) runBackup(c *Cluster, b *velerov1.Backup) (Step, bool) {
	if s.bucket.Has(b.Name) {
		return Step{}, false
	}
	for i := range s.options.Volumes {
		if v := podVolumeBackup(i+1, b); named(c.PodVolumeBackups, v.Name) == nil {
			return Step{What: "PodVolumeBackup " + v.Name, After: v}, true
		}
	}
	if b.Status.Progress == nil && s.options.Items > 1 {
		after := b.DeepCopy()
		after.Status.Progress = &velerov1.BackupProgress{TotalItems: s.options.Items, ItemsBackedUp: s.options.Items / 2}
		return Step{What: "Backup " + b.Name + " is half done", Before: b, After: after}, true
	}
	return Step{}, false
}

// podVolumeBackup returns the PodVolumeBackup number n of a Backup, of the only volume of pod n.
func podVolumeBackup(n int, b *velerov1.Backup) *velerov1.PodVolumeBackup {
	controller := true
	return &velerov1.PodVolumeBackup{
		ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("%s-%d", b.Name, n),
			Labels: map[string]string{
				velerov1.BackupNameLabel: labelValue(b.Name),
				velerov1.BackupUIDLabel:  string(b.UID),
			},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: velerov1.SchemeGroupVersion.String(), Kind: "Backup", Name: b.Name, UID: b.UID, Controller: &controller,
			}},
		},
		Spec: velerov1.PodVolumeBackupSpec{
			BackupStorageLocation: b.Spec.StorageLocation,
			Pod:                   corev1.ObjectReference{Kind: "Pod", Namespace: "default", Name: fmt.Sprintf("pod-%d", n)},
			Volume:                "data",
			UploaderType:          "kopia",
		},
		Status: velerov1.PodVolumeBackupStatus{Phase: velerov1.PodVolumeBackupPhaseCompleted, SnapshotID: fmt.Sprintf("snapshot-%d", n)},
	}
}

// moveBackup returns the step to the next phase of a Backup, or to a failure.
func (s *Server) moveBackup(c *Cluster, b *velerov1.Backup, next velerov1.BackupPhase, now time.Time) Step {
	after := b.DeepCopy()
	status := &after.Status
	if b.Status.Phase == velerov1.BackupPhaseQueued {
		status.QueuePosition = 0
	}
	status.Phase = next
	switch {
	case next == velerov1.BackupPhaseQueued:
		status.QueuePosition = lastPosition(c) + 1
	case next == velerov1.BackupPhaseInProgress, next == velerov1.BackupPhaseFailedValidation:
		s.prepareBackup(c, after, now)
	case b.Status.Phase == velerov1.BackupPhaseInProgress:
		s.finishBackup(b, after)
	}
	if isBackupTerminal(status.Phase) && status.Phase != velerov1.BackupPhaseFailedValidation {
		status.CompletionTimestamp = at(now)
	}
	step := Step{What: fmt.Sprintf("Backup %s is %q", b.Name, status.Phase), Before: b, After: after}
	if status.StartTimestamp != nil && b.Status.StartTimestamp != nil && status.Phase != velerov1.BackupPhaseFailed {
		volumes := volumesOf(c, b)
		step.beforeWrite = func() { s.bucket.put(after, volumes) }
	}
	step.afterWrite = func(_ Object, err error) {
		if err == nil && next == velerov1.BackupPhaseReadyToStart {
			s.dequeued[b.Name] = true
		} else if err == nil {
			delete(s.dequeued, b.Name)
		}
	}
	return step
}

func lastPosition(c *Cluster) int {
	last := 0
	for _, b := range c.Backups {
		if b.Status.Phase == velerov1.BackupPhaseQueued {
			last = max(last, b.Status.QueuePosition)
		}
	}
	return last
}

// prepareBackup follows prepareBackupRequest of backup_controller: it sets defaults and
// validates the Backup.
func (s *Server) prepareBackup(c *Cluster, b *velerov1.Backup, now time.Time) {
	status := &b.Status
	if b.Spec.StorageLocation == "" {
		b.Spec.StorageLocation = c.defaultLocation()
	}
	if b.Spec.TTL.Duration == 0 {
		b.Spec.TTL.Duration = s.options.TTL
	}
	if len(b.Spec.IncludedNamespaces) == 0 {
		b.Spec.IncludedNamespaces = []string{"*"}
	}
	metav1.SetMetaDataLabel(&b.ObjectMeta, velerov1.StorageLocationLabel, labelValue(b.Spec.StorageLocation))
	status.Version, status.FormatVersion = 1, "1.1.0"
	status.Expiration = at(now.Add(b.Spec.TTL.Duration))
	status.ValidationErrors = nil
	switch location := c.Location(b.Spec.StorageLocation); {
	case status.Phase == velerov1.BackupPhaseFailedValidation:
		status.ValidationErrors = []string{"refused by the model"}
	case location == nil:
		status.ValidationErrors = []string{fmt.Sprintf("an existing backup storage location was not specified at backup creation time and the default %s was not found", b.Spec.StorageLocation)}
	case location.Spec.AccessMode == velerov1.BackupStorageLocationAccessModeReadOnly:
		status.ValidationErrors = []string{fmt.Sprintf("backup can't be created because backup storage location %s is currently in read-only mode", location.Name)}
	case !isAvailable(location):
		status.ValidationErrors = []string{fmt.Sprintf("backup can't be created because BackupStorageLocation %s is in Unavailable status.", location.Name)}
	}
	if len(status.ValidationErrors) > 0 {
		status.Phase = velerov1.BackupPhaseFailedValidation
	} else {
		status.StartTimestamp = at(now)
	}
}

// finishBackup follows the end of runBackup of backup_controller.
func (s *Server) finishBackup(before, after *velerov1.Backup) {
	status := &after.Status
	fail := func(reason string) {
		status.Phase, status.FailureReason = velerov1.BackupPhaseFailed, "backup execution failed: "+reason
	}
	switch {
	case s.StorageErr != "":
		fail("error checking if backup already exists in object storage: " + s.StorageErr)
	case s.bucket.Has(before.Name):
		fail("backup already exists in object storage")
	case status.Phase == velerov1.BackupPhaseFailed:
		fail("failed by the model")
	default:
		status.Progress = &velerov1.BackupProgress{TotalItems: s.options.Items, ItemsBackedUp: s.options.Items}
	}
	if status.Phase == velerov1.BackupPhasePartiallyFailed || status.Phase == velerov1.BackupPhaseFinalizingPartiallyFailed {
		status.Errors = s.options.Errors
	}
}

func volumesOf(c *Cluster, b *velerov1.Backup) []*velerov1.PodVolumeBackup {
	var volumes []*velerov1.PodVolumeBackup
	for _, v := range c.PodVolumeBackups {
		if v.Labels[velerov1.BackupNameLabel] == labelValue(b.Name) {
			volumes = append(volumes, v)
		}
	}
	return volumes
}

// expire follows gc_controller and backup_deletion_controller: it deletes the Restores of an
// expired Backup, then its data and the Backup itself.
func (s *Server) expire(c *Cluster, b *velerov1.Backup, now time.Time) []Step {
	location := c.Location(b.Spec.StorageLocation)
	deleting := b.Status.Phase == velerov1.BackupPhaseDeleting
	expired := b.Status.Expiration != nil && !b.Status.Expiration.After(now) && isBackupTerminal(b.Status.Phase)
	switch {
	case location == nil || !isAvailable(location) || s.StorageErr != "",
		location.Spec.AccessMode == velerov1.BackupStorageLocationAccessModeReadOnly,
		!deleting && !expired:
		return nil
	case !deleting:
		after := b.DeepCopy()
		after.Status.Phase = velerov1.BackupPhaseDeleting
		return []Step{{What: "marks the expired Backup " + b.Name + " Deleting", Before: b, After: after}}
	}
	for _, r := range c.Restores {
		if r.Spec.BackupName == b.Name && r.DeletionTimestamp == nil {
			return []Step{{What: "deletes Restore " + r.Name + " of an expired Backup", Before: r}}
		}
	}
	return []Step{{
		What: "deletes Backup " + b.Name + " and its data", Before: b,
		beforeWrite: func() { s.bucket.Delete(b.Name) },
	}}
}
