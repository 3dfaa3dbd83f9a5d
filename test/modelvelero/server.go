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
	// Version is that of the Velero which is modelled.
	Version = "v1.18.3"
	// validationPeriod is how often a location is validated.
	validationPeriod = time.Minute
	// requestTTL is how long an answered ServerStatusRequest stays.
	requestTTL = time.Minute
)

// Options say how the work of a Server goes.
type Options struct {
	// BackupPhases are the phases that a Backup goes through after the empty one,
	// its end last. Nil: DefaultBackupPhases.
	BackupPhases func(*velerov1.Backup) []velerov1.BackupPhase
	// RestorePhases are those of a Restore. Nil: DefaultRestorePhases.
	RestorePhases func(*velerov1.Restore) []velerov1.RestorePhase
	// Items is how many items are in every Backup and Restore.
	Items int
	// Volumes is how many PodVolumeBackups belong to every Backup.
	Volumes int
	// Errors is how many errors a Backup or Restore has that ends PartiallyFailed. 0: one.
	Errors int
	// TTL is how long a Backup is kept that says nothing of it. 0: 30 days.
	TTL time.Duration
	// SyncPeriod is the time between two looks through the bucket. 0: a minute.
	SyncPeriod time.Duration
}

// Server is the memory of one velero server process. It is used by one goroutine
// at a time. One that does not run takes no steps; one that is killed and started
// again is a new one.
type Server struct {
	options Options
	bucket  *Bucket
	// StorageErr is why the bucket can't be reached; empty if it can.
	StorageErr string

	// starting says that what an earlier process was doing is not failed yet.
	starting bool
	// dequeued are the Backups, by name, that this process has made ReadyToStart.
	// The backup controller hears of one by that write alone.
	dequeued map[string]bool
	// restoring is the UID of the Restore that the only worker runs.
	restoring string
	round     *round
}

// New is a process that begins.
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

// Resync has the controllers look at every object again, as controller-runtime
// does every ten hours: that is what moves a Backup which an earlier process left
// ReadyToStart.
func (s *Server) Resync(c *Cluster) {
	for _, b := range c.Backups {
		if b.Status.Phase == velerov1.BackupPhaseReadyToStart {
			s.dequeued[b.Name] = true
		}
	}
}

// Store is where the objects of one cluster are.
type Store interface {
	// Read returns all of them.
	Read(ctx context.Context) (*Cluster, error)
	// Create makes one, and returns it as it is stored.
	Create(ctx context.Context, object Object) (Object, error)
	// Patch makes the difference between the two, whatever else has changed.
	Patch(ctx context.Context, before, after Object) error
	// Delete deletes one; it stays while it has finalizers.
	Delete(ctx context.Context, object Object) error
}

// Step is one thing that a Server may do next: a write, or only a look.
type Step struct {
	// What says it for a person.
	What string
	// Before is what was read, nil where an object is created; After is what it is
	// to be, nil where it is deleted.
	Before, After Object
	// still says whether it may still be taken when others of the same Steps have been;
	// nil if it may.
	still func() bool
	// first is done before the write, in the bucket; done is told how it went.
	first func()
	done  func(created Object, err error)
}

// Take does a step, unless it can't be any more. What it returns is how the write went; a Server goes on in any
// case, as Velero does.
func Take(ctx context.Context, store Store, step Step) error {
	if step.still != nil && !step.still() {
		return nil
	}
	if step.first != nil {
		step.first()
	}
	created, err := write(ctx, store, step)
	if step.done != nil {
		step.done(created, err)
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

// Steps are what the server may do next, in no order that matters. It does none
// of them.
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
		steps = append(steps, s.validate(l, now)...)
	}
	for _, r := range c.Requests {
		steps = append(steps, answer(r, now)...)
	}
	return append(steps, s.syncSteps(c, now)...)
}

// Run takes every step that is possible, once in each interval, until ctx ends. So
// a Backup or Restore stays in each phase for about as long.
func (s *Server) Run(ctx context.Context, store Store, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		if c, err := store.Read(ctx); err == nil {
			for _, step := range s.Steps(c, time.Now()) {
				// A write that failed is possible again the next time.
				_ = Take(ctx, store, step)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// validate is backup_storage_location_controller: a location is Available if the
// storage behind it can be reached.
func (s *Server) validate(l *velerov1.BackupStorageLocation, now time.Time) []Step {
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
	return []Step{{What: fmt.Sprintf("location %s is %s", l.Name, after.Status.Phase), Before: l, After: after}}
}

// answer is server_status_request_controller.
func answer(r *velerov1.ServerStatusRequest, now time.Time) []Step {
	switch r.Status.Phase {
	case "", velerov1.ServerStatusRequestPhaseNew:
		after := r.DeepCopy()
		after.Status.Phase = velerov1.ServerStatusRequestPhaseProcessed
		after.Status.ProcessedTimestamp = at(now)
		after.Status.ServerVersion = Version
		return []Step{{What: "answers " + r.Name, Before: r, After: after}}
	case velerov1.ServerStatusRequestPhaseProcessed:
		if processed := r.Status.ProcessedTimestamp; processed != nil && !now.Before(processed.Add(requestTTL)) {
			return []Step{{What: "deletes " + r.Name, Before: r}}
		}
	}
	return nil
}

// failInProgress is what cmd/server does when it starts.
func failInProgress(c *Cluster, now time.Time) []Step {
	const found = "found a %s with status \"InProgress\" during the server starting, mark it as \"Failed\""
	var steps []Step
	for _, b := range c.Backups {
		if b.Status.Phase == velerov1.BackupPhaseInProgress {
			after := b.DeepCopy()
			after.Status.Phase, after.Status.FailureReason = velerov1.BackupPhaseFailed, fmt.Sprintf(found, "backup")
			after.Status.CompletionTimestamp = at(now)
			steps = append(steps, Step{What: "Backup " + b.Name + " is Failed by a start", Before: b, After: after})
		}
	}
	for _, r := range c.Restores {
		if r.Status.Phase == velerov1.RestorePhaseInProgress {
			after := r.DeepCopy()
			after.Status.Phase, after.Status.FailureReason = velerov1.RestorePhaseFailed, fmt.Sprintf(found, "restore")
			after.Status.CompletionTimestamp = at(now)
			steps = append(steps, Step{What: "Restore " + r.Name + " is Failed by a start", Before: r, After: after})
		}
	}
	return steps
}

func at(t time.Time) *metav1.Time { return &metav1.Time{Time: t.Truncate(time.Second)} }

// following is the phase after now on a way; not ok if now is its end or not on it.
func following[P ~string](way []P, now P) (next P, ok bool) {
	if now == "" {
		return way[0], true
	}
	for i, phase := range way[:len(way)-1] {
		if phase == now {
			return way[i+1], true
		}
	}
	return now, false
}
