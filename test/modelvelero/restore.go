// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package modelvelero

import (
	"fmt"
	"slices"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
)

// restoreFinalizer is on every Restore that Velero has taken up.
const restoreFinalizer = "restores.velero.io/external-resources-finalizer"

// DefaultRestorePhases is the way of a Restore that goes well and has no data
// operations.
func DefaultRestorePhases() []velerov1.RestorePhase {
	return []velerov1.RestorePhase{
		velerov1.RestorePhaseInProgress, velerov1.RestorePhaseFinalizing, velerov1.RestorePhaseCompleted,
	}
}

// restoreSteps is restore_controller, whose only worker is busy while a Restore is
// InProgress, and the controllers of the phases after that.
func (s *Server) restoreSteps(c *Cluster, r *velerov1.Restore, now time.Time) []Step {
	busy := s.isRestoring(c)
	waits := isWaiting(r)
	finalized := slices.Contains(r.Finalizers, restoreFinalizer)
	switch {
	case r.DeletionTimestamp != nil && finalized && !busy:
		after := r.DeepCopy()
		after.Finalizers = slices.DeleteFunc(after.Finalizers, func(f string) bool { return f == restoreFinalizer })
		return []Step{{What: "lets Restore " + r.Name + " go", Before: r, After: after}}
	case r.DeletionTimestamp != nil && waits, busy && waits:
		return nil
	case !finalized && waits:
		after := r.DeepCopy()
		after.Finalizers = append(after.Finalizers, restoreFinalizer)
		return []Step{{What: "takes Restore " + r.Name + " up", Before: r, After: after}}
	case r.Status.Phase == velerov1.RestorePhaseInProgress && s.restoring != string(r.UID):
		// Nobody runs it: its phase was written by somebody else.
		return nil
	}
	next, ok := following(s.options.RestorePhases(r), r.Status.Phase)
	if !ok {
		return nil
	}
	return []Step{s.moveRestore(c, r, next, now)}
}

// isWaiting says whether a Restore waits for the worker.
func isWaiting(r *velerov1.Restore) bool {
	return r.Status.Phase == "" || r.Status.Phase == velerov1.RestorePhaseNew
}

// isRestoring says whether the worker is busy.
func (s *Server) isRestoring(c *Cluster) bool {
	if s.restoring == "" {
		return false
	}
	if slices.ContainsFunc(c.Restores, func(r *velerov1.Restore) bool {
		return string(r.UID) == s.restoring && r.Status.Phase == velerov1.RestorePhaseInProgress
	}) {
		return true
	}
	s.restoring = ""
	return false
}

// moveRestore moves a Restore to its next phase, or to the failure that comes
// instead.
func (s *Server) moveRestore(c *Cluster, r *velerov1.Restore, next velerov1.RestorePhase, now time.Time) Step {
	after := r.DeepCopy()
	status := &after.Status
	status.Phase = next
	switch {
	case next == velerov1.RestorePhaseInProgress, next == velerov1.RestorePhaseFailedValidation:
		if status.ValidationErrors = refusals(c, after); len(status.ValidationErrors) > 0 {
			status.Phase = velerov1.RestorePhaseFailedValidation
		} else {
			status.StartTimestamp = at(now)
		}
	case r.Status.Phase == velerov1.RestorePhaseInProgress:
		s.finishRestore(after)
	}
	switch status.Phase {
	case velerov1.RestorePhaseCompleted, velerov1.RestorePhasePartiallyFailed, velerov1.RestorePhaseFailed:
		status.CompletionTimestamp = at(now)
	}
	return Step{
		What: fmt.Sprintf("Restore %s is %q", r.Name, status.Phase), Before: r, After: after,
		still: func() bool { return !isWaiting(r) || s.restoring == "" },
		done: func(_ Object, err error) {
			if err == nil && status.Phase == velerov1.RestorePhaseInProgress {
				s.restoring = string(r.UID)
			} else if s.restoring == string(r.UID) {
				s.restoring = ""
			}
		},
	}
}

// refusals is validateAndComplete of restore_controller.
func refusals(c *Cluster, r *velerov1.Restore) []string {
	backup := c.Backup(r.Spec.BackupName)
	if r.Status.Phase == velerov1.RestorePhaseFailedValidation {
		return []string{"refused by the model"}
	}
	if backup == nil {
		return []string{fmt.Sprintf("Error retrieving backup: can't find backup %s/%s: backups.velero.io %q not found",
			r.Namespace, r.Spec.BackupName, r.Spec.BackupName)}
	}
	switch location := c.Location(backup.Spec.StorageLocation); {
	case location == nil:
		return []string{fmt.Sprintf("Error retrieving backup: backupstoragelocations.velero.io %q not found", backup.Spec.StorageLocation)}
	case !isAvailable(location):
		return []string{fmt.Sprintf("The BSL %s is unavailable, cannot retrieve the backup", location.Name)}
	}
	return nil
}

// finishRestore is the end of runValidatedRestore.
func (s *Server) finishRestore(r *velerov1.Restore) {
	status := &r.Status
	fail := func(reason string) {
		status.Phase, status.FailureReason = velerov1.RestorePhaseFailed, "restore execution failed: "+reason
	}
	switch {
	case s.StorageErr != "":
		fail("error downloading backup: " + s.StorageErr)
	case !s.bucket.Has(r.Spec.BackupName):
		fail("error downloading backup: The specified key does not exist.")
	case status.Phase == velerov1.RestorePhaseFailed:
		fail("failed by the model")
	default:
		status.Progress = &velerov1.RestoreProgress{TotalItems: s.options.Items, ItemsRestored: s.options.Items}
	}
	if status.Phase == velerov1.RestorePhasePartiallyFailed || status.Phase == velerov1.RestorePhaseFinalizingPartiallyFailed {
		status.Errors = s.options.Errors
	}
}
