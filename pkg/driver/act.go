// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"errors"
	"fmt"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// startAction performs an action in the background, unless another one is in progress in the
// cluster, or the last one failed and is in backoff. The Migrate is synced again afterwards.
func (l *loop) startAction(ctx context.Context, t *migrateState, m *v1alpha1.Migrate, plan migration.Plan, action migration.Action) {
	cluster := action.Cluster()
	id := retryID(cluster)
	if now := l.Clock.Now(); t.retries.IsInBackOffSinceUpdate(id, now) {
		l.queue.AddAfter(t.key, t.retries.Get(id))
		return
	}
	if !t.beginWrite(cluster) {
		return
	}
	member := l.writable(m, plan.Of(cluster))
	do := l.actionFunc(ctx, m, plan, action, member)
	l.async(t.key, func() {
		err := errors.New("internal error (a bug, please report it with the stack in the log of the server)") // unless do returns
		defer func() { l.finishAction(ctx, t, cluster, err) }()
		if !l.isStillAllowed(ctx, t, m, plan.Of(cluster), member) {
			err = nil
			return
		}
		err = do()
	})
}

// finishAction records the outcome of an action in a cluster, and queues its Migrate.
func (l *loop) finishAction(ctx context.Context, t *migrateState, cluster migration.Cluster, err error) {
	logger := klog.FromContext(ctx)
	if errors.Is(err, errNotWritable) {
		logger.V(4).Info("Not writing for the Migrate any more", "cluster", cluster.Name, "reason", err)
		err = nil
	}
	if err != nil {
		t.retries.Next(retryID(cluster), l.Clock.Now())
	}
	switch {
	case errors.As(err, new(rejectedEarlyError)):
		logger.Info("Recreating a Restore", "cluster", cluster.Name, "reason", err)
	case err != nil:
		memberWriteErrors.Inc()
		logger.Error(err, "Writing into a member failed, retrying", "cluster", cluster.Name)
	}
	t.endWrite(cluster, err)
	l.queue.Add(t.key)
}

// actionFunc returns a function that performs an action, in the Veleros of the plan; in is that of
// the action's cluster.
func (l *loop) actionFunc(ctx context.Context, m *v1alpha1.Migrate, plan migration.Plan, action migration.Action, in Member) func() error {
	switch action := action.(type) {
	case migration.CreateBackup:
		return func() error { return l.createBackup(ctx, m, action, in) }
	case migration.StartRestore:
		source := l.member(m, plan.Of(action.Source))
		return func() error { return l.startRestore(ctx, m, action, source, in) }
	default:
		return func() error { return fmt.Errorf("unknown action %T", action) }
	}
}

// member returns the Velero of a cluster.
func (l *loop) member(m *v1alpha1.Migrate, c migration.ClusterPlan) Member {
	return l.Members.Member(m.Namespace, c.Velero())
}

// writable returns the Velero of a cluster for the writes of an action.
func (l *loop) writable(m *v1alpha1.Migrate, c migration.ClusterPlan) Member {
	return confirmingMember{l.member(m, c), func(ctx context.Context) error { return l.confirmWritable(ctx, m) }}
}

func (l *loop) createBackup(ctx context.Context, m *v1alpha1.Migrate, action migration.CreateBackup, source Member) error {
	_, err := ensure(ctx, m.UID, action.Backup, source.CreateBackup, source.Backup)
	return err
}

// startRestore creates the finished Backup and its PodVolumeBackups in the target, and then the
// Restore. It skips the steps that are already done.
func (l *loop) startRestore(ctx context.Context, m *v1alpha1.Migrate, action migration.StartRestore, source, target Member) error {
	if action.RejectedRestore != nil {
		return deleteRejected(ctx, target, action.RejectedRestore)
	}
	backup := action.TargetBackup
	if backup == nil || velero.IsHandedOver(backup) {
		var err error
		if backup, err = l.handOver(ctx, m, action, source, target); err != nil {
			return err
		}
	}
	if now, err := target.Backup(ctx, backup.Name); err != nil {
		return err
	} else if now.UID != backup.UID || now.Status.Phase != velerov1.BackupPhaseCompleted {
		return fmt.Errorf("backup %s in %s was replaced or has changed", backup.Name, action.Target.Name)
	}
	_, err := ensure(ctx, m.UID, action.Restore, target.CreateRestore, target.Restore)
	return err
}

// deleteRejected deletes a Restore that Velero rejected because it had not noticed the Backup yet.
// It always returns an error, so that the Restore is recreated after a backoff.
func deleteRejected(ctx context.Context, target Member, refused *velerov1.Restore) error {
	if refused.DeletionTimestamp == nil {
		if err := target.DeleteRestore(ctx, refused); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return rejectedEarlyError{refused.Spec.BackupName}
}

// rejectedEarlyError reports that a Restore will be recreated after a backoff. It is expected, not a
// failed write.
type rejectedEarlyError struct{ backup string }

func (e rejectedEarlyError) Error() string {
	return fmt.Sprintf("Velero had not noticed Backup %s yet and rejected the Restore", e.backup)
}

// handOver creates the source's Backup in the target, and then its PodVolumeBackups, and returns the
// target's Backup. The annotation of that Backup has the number of PodVolumeBackups, by which an
// interrupted handoff is completed; if none is missing, without the source.
func (l *loop) handOver(ctx context.Context, m *v1alpha1.Migrate, action migration.StartRestore, source, target Member) (*velerov1.Backup, error) {
	backup := action.TargetBackup
	if backup != nil {
		there, err := target.PodVolumeBackups(ctx, backup.Name)
		if err != nil || velero.IsHandoffComplete(backup, there) {
			return backup, err
		}
	}
	all, err := source.PodVolumeBackups(ctx, action.Restore.Spec.BackupName)
	if err != nil {
		return nil, err
	}
	volumes, err := velero.VolumesToHandOver(m, all)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", action.Source.Name, err)
	}
	if backup == nil {
		// Garbage collection deletes PodVolumeBackups with their Backup, so the list is
		// complete only if the Backup still exists.
		if now, err := source.Backup(ctx, action.SourceBackup.Name); err != nil {
			return nil, err
		} else if now.UID != action.SourceBackup.UID || now.DeletionTimestamp != nil {
			return nil, fmt.Errorf("backup %s in %s was replaced or is being deleted", now.Name, action.Source.Name)
		}
		backup, err = ensure(ctx, m.UID, velero.NewHandedOverBackup(m, action.Restore.Spec.BackupName, action.SourceBackup, action.Location, len(volumes)), target.CreateBackup, target.Backup)
		if err != nil {
			return nil, err
		}
	}
	for i := range volumes {
		if _, err := target.CreatePodVolumeBackup(ctx, velero.NewHandedOverPodVolumeBackup(&volumes[i], backup)); err != nil && !apierrors.IsAlreadyExists(err) {
			return nil, err
		}
	}
	if len(volumes) == 0 && backup.Annotations[velero.HandedOverAnnotation] == "0" {
		return backup, nil
	}
	there, err := target.PodVolumeBackups(ctx, backup.Name)
	if err == nil && velero.IsHandedOver(backup) && !velero.IsHandoffComplete(backup, there) {
		err = fmt.Errorf("PodVolumeBackups of Backup %s are missing in %s: %s were to be handed over, the source has %d",
			backup.Name, action.Target.Name, backup.Annotations[velero.HandedOverAnnotation], len(volumes))
	}
	return backup, err
}

// errNotWritable reports that nothing may be written for a Migrate any more, because it is gone, has
// ended or is being deleted. It is not a failure.
var errNotWritable = errors.New("the Migrate was deleted or has ended meanwhile")

// confirmWritable confirms with a GET that m is stored, has not ended and is not being deleted, and
// returns errNotWritable otherwise.
func (l *loop) confirmWritable(ctx context.Context, m *v1alpha1.Migrate) error {
	fresh, err := l.confirmLive(ctx, m)
	if err == nil && fresh.DeletionTimestamp != nil {
		err = notWritable(m)
	}
	return err
}

// confirmLive confirms with a GET that m is stored and has not ended, and returns the stored one; it
// returns errNotWritable otherwise. A Migrate that is being deleted but has a finalizer is live: it
// is observed until its end is recorded.
func (l *loop) confirmLive(ctx context.Context, m *v1alpha1.Migrate) (*v1alpha1.Migrate, error) {
	fresh, err := l.read(ctx, m)
	switch {
	case apierrors.IsNotFound(err):
		return nil, notWritable(m)
	case err != nil:
		return nil, fmt.Errorf("confirming Migrate %s/%s: %w", m.Namespace, m.Name, err)
	case fresh.UID != m.UID, migration.IsTerminal(fresh.Status.Phase):
		return nil, notWritable(m)
	}
	return fresh, nil
}

func notWritable(m *v1alpha1.Migrate) error {
	return fmt.Errorf("%s/%s: %w", m.Namespace, m.Name, errNotWritable)
}

// confirmingMember is a Member that calls confirm right before each write of an action, because the
// steps before a write may take a while.
type confirmingMember struct {
	Member
	confirm func(context.Context) error
}

func (w confirmingMember) CreateBackup(ctx context.Context, backup *velerov1.Backup) (*velerov1.Backup, error) {
	return ifConfirmed(ctx, w.confirm, backup, w.Member.CreateBackup)
}

func (w confirmingMember) CreateRestore(ctx context.Context, restore *velerov1.Restore) (*velerov1.Restore, error) {
	return ifConfirmed(ctx, w.confirm, restore, w.Member.CreateRestore)
}

func (w confirmingMember) CreatePodVolumeBackup(ctx context.Context, pvb *velerov1.PodVolumeBackup) (*velerov1.PodVolumeBackup, error) {
	return ifConfirmed(ctx, w.confirm, pvb, w.Member.CreatePodVolumeBackup)
}

func (w confirmingMember) DeleteRestore(ctx context.Context, restore *velerov1.Restore) error {
	if err := w.confirm(ctx); err != nil {
		return err
	}
	return w.Member.DeleteRestore(ctx, restore)
}

func ifConfirmed[T any](ctx context.Context, wanted func(context.Context) error, object *T, create func(context.Context, *T) (*T, error)) (*T, error) {
	if err := wanted(ctx); err != nil {
		return nil, err
	}
	return create(ctx, object)
}

// ensure creates an object, or returns the existing one of its name; it is an error if that was not
// created for this Migrate.
func ensure[T interface {
	*velerov1.Backup | *velerov1.Restore
	metav1.Object
}](ctx context.Context, uid types.UID, object T, create func(context.Context, T) (T, error), get func(context.Context, string) (T, error)) (T, error) {
	created, err := create(ctx, object)
	if !apierrors.IsAlreadyExists(err) {
		return created, err
	}
	existing, err := get(ctx, object.GetName())
	if err == nil && !velero.BelongsTo(existing.GetLabels(), uid) {
		err = fmt.Errorf("an object named %s exists that was not created for this Migrate; delete it", object.GetName())
	}
	return existing, err
}
