// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"errors"
	"fmt"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// startAction performs an action in the background, unless another one is in progress in the
// cluster, or the last one failed and is in backoff. The Migrate is synced again after the action.
func (l *loop) startAction(ctx context.Context, s *migrateState, m *v1alpha1.Migrate, plan migration.Plan, action migration.Action) {
	cluster := action.Cluster()
	id := retryID(cluster)
	if now := l.Clock.Now(); s.retries.IsInBackOffSinceUpdate(id, now) {
		l.queue.AddAfter(s.key, s.retries.Get(id))
		return
	}
	if !s.beginWrite(cluster) {
		return
	}
	member := l.writable(m, plan.Of(cluster))
	l.async(s.key, func() {
		err := errors.New("internal error (a bug, please report it with the stack in the log of the server)") // unless perform returns
		defer func() { l.finishAction(ctx, s, cluster, err) }()
		if !l.isStillAllowed(ctx, s, m, plan.Of(cluster), member) {
			err = nil
			return
		}
		err = l.perform(ctx, m, plan, action, member)
	})
}

// finishAction logs and stores the result of an action in a cluster, and queues its Migrate.
func (l *loop) finishAction(ctx context.Context, s *migrateState, cluster migration.Cluster, err error) {
	logger := klog.FromContext(ctx)
	if errors.Is(err, errNotLive) {
		logger.V(4).Info("Skipping the write", "cluster", cluster.Name, "reason", err)
		err = nil
	}
	if err != nil {
		s.retries.Next(retryID(cluster), l.Clock.Now())
	}
	switch {
	case errors.As(err, new(rejectedEarlyError)):
		logger.Info("Recreating a Restore", "cluster", cluster.Name, "reason", err)
	case err != nil:
		memberWriteErrors.Inc()
		logger.Error(err, "Writing into a member failed, retrying", "cluster", cluster.Name)
	}
	s.endWrite(cluster, err)
	l.queue.Add(s.key)
}

// perform performs an action in the Veleros of the plan; in is that of the action's cluster.
func (l *loop) perform(ctx context.Context, m *v1alpha1.Migrate, plan migration.Plan, action migration.Action, in Member) error {
	switch action := action.(type) {
	case migration.CreateBackup:
		return l.createBackup(ctx, m, action, in)
	case migration.StartRestore:
		return l.startRestore(ctx, m, action, l.member(m, plan.Of(action.Source)), in)
	default:
		return fmt.Errorf("unknown action %T", action)
	}
}

// member returns the Velero of a cluster.
func (l *loop) member(m *v1alpha1.Migrate, c migration.ClusterPlan) Member {
	return l.Members.Member(m.Namespace, c.Velero())
}

// writable returns the Velero of a cluster, which confirms m before each write.
func (l *loop) writable(m *v1alpha1.Migrate, c migration.ClusterPlan) Member {
	return confirmingMember{l.member(m, c), func(ctx context.Context) error { return l.confirmWritable(ctx, m) }}
}

// createBackup creates the Backup in the source, after its resource policies.
func (l *loop) createBackup(ctx context.Context, m *v1alpha1.Migrate, action migration.CreateBackup, source Member) error {
	if action.Policies != nil {
		if err := source.CreateConfigMap(ctx, action.Policies); err != nil {
			return err
		}
	}
	backup := action.Backup
	if velero.HasNamespacePatterns(&backup.Spec) {
		namespaces, err := source.Namespaces(ctx)
		if err != nil {
			return fmt.Errorf("listing the namespaces that the patterns of spec.policy.resourceFilter.includedNamespaces match: %w", err)
		}
		backup = velero.WithNamespaces(backup, namespaces)
	}
	_, err := ensure(ctx, m.UID, backup, source.CreateBackup, source.Backup)
	return err
}

// startRestore creates the finished Backup and its PodVolumeBackups in the target, and then the
// Restore. It skips completed steps.
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
	if current, err := target.Backup(ctx, backup.Name); err != nil {
		return err
	} else if current.UID != backup.UID || current.Status.Phase != velerov1.BackupPhaseCompleted {
		return fmt.Errorf("backup %s in %s was replaced or has changed", backup.Name, action.Target.Name)
	}
	if modifiers := action.Modifiers; modifiers != nil {
		if err := target.CreateConfigMap(ctx, velero.OwnedBy(modifiers, backup)); err != nil {
			return err
		}
	}
	_, err := ensure(ctx, m.UID, action.Restore, target.CreateRestore, target.Restore)
	return err
}

// deleteRejected deletes a Restore that Velero rejected because its cache did not have the Backup
// yet. It always returns an error, so that the Restore is recreated after a backoff.
func deleteRejected(ctx context.Context, target Member, rejected *velerov1.Restore) error {
	if rejected.DeletionTimestamp == nil {
		if err := target.DeleteRestore(ctx, rejected); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return rejectedEarlyError{rejected.Spec.BackupName}
}

// rejectedEarlyError reports that a Restore will be recreated after a backoff. It is expected and does
// not count as a failed write.
type rejectedEarlyError struct{ backup string }

func (e rejectedEarlyError) Error() string {
	return fmt.Sprintf("Velero had not noticed Backup %s yet and rejected the Restore", e.backup)
}

// handOver creates the source's Backup and then its PodVolumeBackups in the target, and returns the
// target's Backup. An annotation of that Backup holds the number of PodVolumeBackups, so that an
// interrupted handoff can be completed. If none is missing, the source is not read.
func (l *loop) handOver(ctx context.Context, m *v1alpha1.Migrate, action migration.StartRestore, source, target Member) (*velerov1.Backup, error) {
	backup := action.TargetBackup
	if backup != nil {
		existing, err := target.PodVolumeBackups(ctx, backup.Name)
		if err != nil || velero.IsHandoffComplete(backup, existing) {
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
		if current, err := source.Backup(ctx, action.SourceBackup.Name); err != nil {
			return nil, err
		} else if current.UID != action.SourceBackup.UID || current.DeletionTimestamp != nil {
			return nil, fmt.Errorf("backup %s in %s was replaced or is being deleted", current.Name, action.Source.Name)
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
	existing, err := target.PodVolumeBackups(ctx, backup.Name)
	if err == nil && velero.IsHandedOver(backup) && !velero.IsHandoffComplete(backup, existing) {
		err = fmt.Errorf("PodVolumeBackups of Backup %s are missing in %s: expected %s, the source has %d",
			backup.Name, action.Target.Name, backup.Annotations[velero.HandedOverAnnotation], len(volumes))
	}
	return backup, err
}

// errNotLive reports that nothing is done because a Migrate is gone, has ended, is being deleted, suspended, canceled, or
// retried. It is not a failure.
var errNotLive = errors.New("the Migrate is deleted, is being deleted, is suspended or canceled, has ended, or was retried")

// confirmWritable confirms with a GET that m is stored, has not ended, and is neither being deleted,
// nor suspended, nor canceled. It returns errNotLive otherwise.
func (l *loop) confirmWritable(ctx context.Context, m *v1alpha1.Migrate) error {
	fresh, err := l.confirmLive(ctx, m)
	if err == nil && !migration.IsWritable(fresh) {
		err = notLive(m)
	}
	return err
}

// confirmLive confirms with a GET that m is stored and its attempt has not ended, and returns the stored Migrate.
// It returns errNotLive otherwise. A Migrate that is being deleted but has a finalizer is live:
// it is observed until its end is recorded.
func (l *loop) confirmLive(ctx context.Context, m *v1alpha1.Migrate) (*v1alpha1.Migrate, error) {
	fresh, err := l.read(ctx, m)
	switch {
	case apierrors.IsNotFound(err):
		return nil, notLive(m)
	case err != nil:
		return nil, fmt.Errorf("confirming Migrate %s/%s: %w", m.Namespace, m.Name, err)
	case fresh.UID != m.UID, fresh.Status.Attempt() != m.Status.Attempt(), migration.IsTerminal(fresh.Status.Phase):
		return nil, notLive(m)
	}
	return fresh, nil
}

func notLive(m *v1alpha1.Migrate) error {
	return fmt.Errorf("%s/%s: %w", m.Namespace, m.Name, errNotLive)
}

// confirmingMember is a Member that calls confirm right before each write of an action, because the
// earlier steps of the action may take a while.
type confirmingMember struct {
	Member
	confirm func(context.Context) error
}

func (c confirmingMember) CreateBackup(ctx context.Context, backup *velerov1.Backup) (*velerov1.Backup, error) {
	return ifConfirmed(ctx, c.confirm, backup, c.Member.CreateBackup)
}

func (c confirmingMember) CreateRestore(ctx context.Context, restore *velerov1.Restore) (*velerov1.Restore, error) {
	return ifConfirmed(ctx, c.confirm, restore, c.Member.CreateRestore)
}

func (c confirmingMember) CreatePodVolumeBackup(ctx context.Context, pvb *velerov1.PodVolumeBackup) (*velerov1.PodVolumeBackup, error) {
	return ifConfirmed(ctx, c.confirm, pvb, c.Member.CreatePodVolumeBackup)
}

func (c confirmingMember) CreateConfigMap(ctx context.Context, configMap *corev1.ConfigMap) error {
	if err := c.confirm(ctx); err != nil {
		return err
	}
	return c.Member.CreateConfigMap(ctx, configMap)
}

func (c confirmingMember) DeleteRestore(ctx context.Context, restore *velerov1.Restore) error {
	if err := c.confirm(ctx); err != nil {
		return err
	}
	return c.Member.DeleteRestore(ctx, restore)
}

// ifConfirmed creates an object if confirm returns no error.
func ifConfirmed[T any](ctx context.Context, confirm func(context.Context) error, object *T, create func(context.Context, *T) (*T, error)) (*T, error) {
	if err := confirm(ctx); err != nil {
		return nil, err
	}
	return create(ctx, object)
}

// ensure creates an object, or returns the existing object of that name. It returns an error if the
// existing object was not created for this Migrate.
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
