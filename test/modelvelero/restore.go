// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package modelvelero

import (
	"fmt"
	"slices"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
)

// restoreFinalizer is the finalizer that Velero adds to a Restore before it processes it.
const restoreFinalizer = "restores.velero.io/external-resources-finalizer"

// DefaultRestorePhases returns the phases of a Restore that succeeds and has no data
// operations.
func DefaultRestorePhases() []velerov1.RestorePhase {
	return []velerov1.RestorePhase{
		velerov1.RestorePhaseInProgress, velerov1.RestorePhaseFinalizing, velerov1.RestorePhaseCompleted,
	}
}

// restoreSteps returns the next step of a Restore. It follows restore_controller, whose only
// worker is busy while a Restore is InProgress, and the controllers of later phases.
func (s *Server) restoreSteps(c *Cluster, r *velerov1.Restore, now time.Time) []Step {
	busy := s.isRestoring(c)
	waiting := isWaiting(r)
	finalized := slices.Contains(r.Finalizers, restoreFinalizer)
	switch {
	case r.DeletionTimestamp != nil && finalized && !busy:
		after := r.DeepCopy()
		after.Finalizers = slices.DeleteFunc(after.Finalizers, func(f string) bool { return f == restoreFinalizer })
		return []Step{{What: "removes the finalizer of Restore " + r.Name, Before: r, After: after}}
	case r.DeletionTimestamp != nil && waiting, busy && waiting:
		return nil
	case !finalized && waiting:
		after := r.DeepCopy()
		after.Finalizers = append(after.Finalizers, restoreFinalizer)
		return []Step{{What: "adds a finalizer to Restore " + r.Name, Before: r, After: after}}
	case r.Status.Phase == velerov1.RestorePhaseInProgress && s.restoring != string(r.UID):
		// The worker does not run it: another client wrote its phase.
		return nil
	}
	next, ok := nextPhase(s.options.RestorePhases(r), r.Status.Phase)
	if !ok {
		return nil
	}
	return []Step{s.moveRestore(c, r, next, now)}
}

// isWaiting reports whether a Restore waits for the worker.
func isWaiting(r *velerov1.Restore) bool {
	return r.Status.Phase == "" || r.Status.Phase == velerov1.RestorePhaseNew
}

// isRestoring reports whether the worker is busy.
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

// moveRestore returns the step to the next phase of a Restore, or to a failure.
func (s *Server) moveRestore(c *Cluster, r *velerov1.Restore, next velerov1.RestorePhase, now time.Time) Step {
	after := r.DeepCopy()
	status := &after.Status
	status.Phase = next
	switch {
	case next == velerov1.RestorePhaseInProgress, next == velerov1.RestorePhaseFailedValidation:
		if status.ValidationErrors = validateRestore(c, after); len(status.ValidationErrors) > 0 {
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
		isValid: func() bool { return !isWaiting(r) || s.restoring == "" },
		afterWrite: func(_ Object, err error) {
			if err == nil && status.Phase == velerov1.RestorePhaseInProgress {
				s.restoring = string(r.UID)
			} else if s.restoring == string(r.UID) {
				s.restoring = ""
			}
		},
	}
}

// validateRestore returns the validation errors of validateAndComplete of restore_controller.
func validateRestore(c *Cluster, r *velerov1.Restore) []string {
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

// finishRestore follows the end of runValidatedRestore of restore_controller.
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
