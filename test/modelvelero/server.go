// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package modelvelero

import (
	"context"
	"fmt"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// Version is the modelled version of Velero.
	Version = "v1.18.3"
	// validationPeriod is the time between two validations of a location.
	validationPeriod = time.Minute
	// requestTTL is the time after which a processed ServerStatusRequest is deleted.
	requestTTL = time.Minute
)

// Options configure a Server.
type Options struct {
	// BackupPhases returns the phases of a Backup after the empty one, up to a terminal
	// phase or one in which it stays. Default: DefaultBackupPhases.
	BackupPhases func(*velerov1.Backup) []velerov1.BackupPhase
	// RestorePhases is like BackupPhases, of a Restore. Default: DefaultRestorePhases.
	RestorePhases func(*velerov1.Restore) []velerov1.RestorePhase
	// Items is the number of items in each Backup and Restore.
	Items int
	// Volumes is the number of PodVolumeBackups of each Backup.
	Volumes int
	// Errors is the number of errors of a PartiallyFailed Backup or Restore. Default: 1.
	Errors int
	// TTL is the TTL of a Backup that has none in its spec. Default: 30 days.
	TTL time.Duration
	// SyncPeriod is the time between two syncs of the bucket. Default: one minute.
	SyncPeriod time.Duration
}

// Server has the state of one velero server process. It is not safe for concurrent use. To
// model a stopped process, take no steps; to model a restart, use a new Server.
type Server struct {
	options Options
	bucket  *Bucket
	// StorageErr is the error of the object storage; empty if the bucket is reachable.
	StorageErr string

	// starting is set until the Backups and Restores that an earlier process left
	// InProgress are Failed.
	starting bool
	// dequeued are the Backups, by name, that this process has set to ReadyToStart. Only
	// the event of that write triggers the backup controller.
	dequeued map[string]bool
	// restoring is the UID of the Restore that the only worker runs.
	restoring string
	// sync is the running sync of the bucket; nil if there is none.
	sync *syncRun
}

// New returns a Server that has just started.
func New(options Options, bucket *Bucket) *Server {
	if options.BackupPhases == nil {
		options.BackupPhases = func(*velerov1.Backup) []velerov1.BackupPhase { return DefaultBackupPhases() }
	}
	if options.RestorePhases == nil {
		options.RestorePhases = func(*velerov1.Restore) []velerov1.RestorePhase { return DefaultRestorePhases() }
	}
	if options.TTL == 0 {
		options.TTL = 30 * 24 * time.Hour
	}
	if options.SyncPeriod == 0 {
		options.SyncPeriod = time.Minute
	}
	if options.Errors == 0 {
		options.Errors = 1
	}
	return &Server{options: options, bucket: bucket, starting: true, dequeued: map[string]bool{}}
}

// Resync triggers the controllers for all objects, as controller-runtime does every ten
// hours. Only then does a Backup continue that an earlier process left ReadyToStart.
func (s *Server) Resync(c *Cluster) {
	for _, b := range c.Backups {
		if b.Status.Phase == velerov1.BackupPhaseReadyToStart {
			s.dequeued[b.Name] = true
		}
	}
}

// Store stores the objects of one cluster.
type Store interface {
	// Read returns all objects.
	Read(ctx context.Context) (*Cluster, error)
	// Create creates an object and returns the stored one.
	Create(ctx context.Context, object Object) (Object, error)
	// Patch applies the difference between before and after, without a precondition.
	Patch(ctx context.Context, before, after Object) error
	// Delete deletes an object; with finalizers it remains until they are removed.
	Delete(ctx context.Context, object Object) error
}

// Step is a possible next step of a Server: a write, or a read without a write.
type Step struct {
	// What describes the step.
	What string
	// Before is the object that was read, nil if the step creates one. After is the object
	// to write, nil if the step deletes one. Both are nil if the step writes nothing.
	Before, After Object
	// isValid reports whether the step is still possible after others of the same Steps;
	// nil if it always is.
	isValid func() bool
	// beforeWrite changes the bucket before the write. afterWrite is called with the result of
	// the write. Both may be nil.
	beforeWrite func()
	afterWrite  func(created Object, err error)
}

// Take performs a step, unless it is no longer possible, and returns the error of its write.
// Like Velero, a Server continues after an error.
func Take(ctx context.Context, store Store, step Step) error {
	if step.isValid != nil && !step.isValid() {
		return nil
	}
	if step.beforeWrite != nil {
		step.beforeWrite()
	}
	created, err := write(ctx, store, step)
	if step.afterWrite != nil {
		step.afterWrite(created, err)
	}
	return err
}

func write(ctx context.Context, store Store, step Step) (created Object, err error) {
	switch {
	case step.Before == nil && step.After == nil:
		return nil, nil
	case step.Before == nil:
		return store.Create(ctx, step.After)
	case step.After == nil:
		return nil, store.Delete(ctx, step.Before)
	default:
		return nil, store.Patch(ctx, step.Before, step.After)
	}
}

// Steps returns the possible next steps. They may be taken in any order.
func (s *Server) Steps(c *Cluster, now time.Time) []Step {
	if s.starting {
		if steps := failInProgress(c, now); len(steps) > 0 {
			return steps
		}
		s.starting = false
	}
	var steps []Step
	for _, b := range c.Backups {
		steps = append(steps, s.backupSteps(c, b, now)...)
	}
	for _, r := range c.Restores {
		steps = append(steps, s.restoreSteps(c, r, now)...)
	}
	for _, l := range c.Locations {
		steps = append(steps, s.validateLocation(l, now)...)
	}
	for _, r := range c.Requests {
		steps = append(steps, processRequest(r, now)...)
	}
	return append(steps, s.syncSteps(c, now)...)
}

// validateLocation follows backup_storage_location_controller: a location is Available if
// its storage is reachable.
func (s *Server) validateLocation(l *velerov1.BackupStorageLocation, now time.Time) []Step {
	validated := l.Status.LastValidationTime
	if validated != nil && now.Before(validated.Add(validationPeriod)) {
		return nil
	}
	after := l.DeepCopy()
	after.Status.Phase, after.Status.Message = velerov1.BackupStorageLocationPhaseAvailable, ""
	if s.StorageErr != "" {
		after.Status.Phase = velerov1.BackupStorageLocationPhaseUnavailable
		after.Status.Message = fmt.Sprintf("BackupStorageLocation %q is unavailable: %s", l.Name, s.StorageErr)
	}
	after.Status.LastValidationTime = at(now)
	return []Step{{What: fmt.Sprintf("BackupStorageLocation %s is %s", l.Name, after.Status.Phase), Before: l, After: after}}
}

// processRequest follows server_status_request_controller.
func processRequest(r *velerov1.ServerStatusRequest, now time.Time) []Step {
	switch r.Status.Phase {
	case "", velerov1.ServerStatusRequestPhaseNew:
		after := r.DeepCopy()
		after.Status.Phase = velerov1.ServerStatusRequestPhaseProcessed
		after.Status.ProcessedTimestamp = at(now)
		after.Status.ServerVersion = Version
		return []Step{{What: "processes ServerStatusRequest " + r.Name, Before: r, After: after}}
	case velerov1.ServerStatusRequestPhaseProcessed:
		if processed := r.Status.ProcessedTimestamp; processed != nil && !now.Before(processed.Add(requestTTL)) {
			return []Step{{What: "deletes ServerStatusRequest " + r.Name, Before: r}}
		}
	}
	return nil
}

// failInProgress follows markInProgressCRsFailed of cmd/server: a starting server marks the
// Backups and Restores Failed that are InProgress.
func failInProgress(c *Cluster, now time.Time) []Step {
	const found = "found a %s with status \"InProgress\" during the server starting, mark it as \"Failed\""
	var steps []Step
	for _, b := range c.Backups {
		if b.Status.Phase == velerov1.BackupPhaseInProgress {
			after := b.DeepCopy()
			after.Status.Phase, after.Status.FailureReason = velerov1.BackupPhaseFailed, fmt.Sprintf(found, "backup")
			after.Status.CompletionTimestamp = at(now)
			steps = append(steps, Step{What: "marks Backup " + b.Name + " Failed at startup", Before: b, After: after})
		}
	}
	for _, r := range c.Restores {
		if r.Status.Phase == velerov1.RestorePhaseInProgress {
			after := r.DeepCopy()
			after.Status.Phase, after.Status.FailureReason = velerov1.RestorePhaseFailed, fmt.Sprintf(found, "restore")
			after.Status.CompletionTimestamp = at(now)
			steps = append(steps, Step{What: "marks Restore " + r.Name + " Failed at startup", Before: r, After: after})
		}
	}
	return steps
}

func at(t time.Time) *metav1.Time { return &metav1.Time{Time: t.Truncate(time.Second)} }

// nextPhase returns the phase after current in phases. ok is false if current is the last
// one or not in phases.
func nextPhase[P ~string](phases []P, current P) (next P, ok bool) {
	if current == "" {
		return phases[0], true
	}
	for i, phase := range phases[:len(phases)-1] {
		if phase == current {
			return phases[i+1], true
		}
	}
	return current, false
}
