// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
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

// begin does an action beside the loop, unless one is under way in that cluster
// or the last one was refused a short while ago. The Migrate is turned again
// when it is done.
func (l *loop) begin(ctx context.Context, t *track, m *v1alpha1.Migrate, host migration.Inventory, action migration.Action) {
	cluster := action.Cluster()
	id := t.retryID(cluster)
	if now := l.Clock.Now(); l.retries.IsInBackOffSinceUpdate(id, now) {
		l.queue.AddAfter(t.key, l.retries.Get(id))
		return
	}
	if !t.startWriting(cluster) {
		return
	}
	member := l.member(m, host, cluster)
	do := l.work(ctx, m, host, action, member)
	l.beside(func() {
		var err error
		if l.isStillGranted(ctx, t, m, cluster, member) {
			err = do()
		}
		if err != nil {
			memberWriteErrors.Inc()
			l.retries.Next(id, l.Clock.Now())
			klog.FromContext(ctx).Error(err, "Writing into a member failed, trying again", "cluster", cluster.Name)
		}
		t.stopWriting(cluster, err)
		l.queue.Add(t.key)
	})
}

// work is what an action has to do, in the Veleros that m goes on with now; in is that
// of the action's cluster.
func (l *loop) work(ctx context.Context, m *v1alpha1.Migrate, host migration.Inventory, action migration.Action, in Member) func() error {
	switch action := action.(type) {
	case migration.CreateBackup:
		return func() error { return l.createBackup(ctx, m, action, in) }
	case migration.StartRestore:
		source := l.member(m, host, action.Source)
		return func() error { return l.startRestore(ctx, m, action, source, in) }
	default:
		return func() error { return fmt.Errorf("unknown action %T", action) }
	}
}

// member is the way into the Velero of a cluster that m goes on with.
func (l *loop) member(m *v1alpha1.Migrate, host migration.Inventory, c migration.Cluster) Member {
	return l.Members.Member(m.Namespace, migration.VeleroOf(m, host, c))
}

func (l *loop) createBackup(ctx context.Context, m *v1alpha1.Migrate, action migration.CreateBackup, source Member) error {
	_, err := ensure(ctx, m.UID, action.Backup, source.CreateBackup, source.Backup)
	return err
}

// startRestore makes the finished Backup known in the target, with what belongs
// to it, then makes the Restore. Each step may have been done before.
func (l *loop) startRestore(ctx context.Context, m *v1alpha1.Migrate, action migration.StartRestore, source, target Member) error {
	if action.Refused != nil {
		return l.withdraw(ctx, m, target, action.Refused)
	}
	backup := action.There
	if backup == nil || velero.IsHandedOver(backup) {
		var err error
		if backup, err = l.handOver(ctx, m, action, source, target); err != nil {
			return err
		}
	}
	// What took a while may have been overtaken.
	if err := l.stillWanted(ctx, m); err != nil {
		return err
	}
	if now, err := target.Backup(ctx, backup.Name); err != nil {
		return err
	} else if now.UID != backup.UID || now.Status.Phase != velerov1.BackupPhaseCompleted {
		return fmt.Errorf("backup %s in %s has changed under way", backup.Name, action.Target.Name)
	}
	_, err := ensure(ctx, m.UID, action.Restore, target.CreateRestore, target.Restore)
	return err
}

// withdraw deletes a Restore that Velero refused too early. That it is to be made
// again is an error, so that Velero is given time to notice its Backup.
func (l *loop) withdraw(ctx context.Context, m *v1alpha1.Migrate, target Member, refused *velerov1.Restore) error {
	if err := l.stillWanted(ctx, m); err != nil {
		return err
	}
	if refused.DeletionTimestamp == nil {
		if err := target.DeleteRestore(ctx, refused); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return fmt.Errorf("Velero had not noticed Backup %s yet and refused it", refused.Spec.BackupName)
}

// handOver makes the source's Backup known in the target, and then every
// PodVolumeBackup that belongs to it, and returns the target's Backup. Its
// annotation tells how many there have to be, so a handoff that was broken off is
// completed, without the source if only the end was missing.
func (l *loop) handOver(ctx context.Context, m *v1alpha1.Migrate, action migration.StartRestore, source, target Member) (*velerov1.Backup, error) {
	backup := action.There
	if backup != nil {
		there, err := target.PodVolumeBackups(ctx, backup.Name)
		if err != nil || velero.IsHandoffComplete(backup, there) {
			return backup, err
		}
	}
	volumes, err := source.PodVolumeBackups(ctx, action.Restore.Spec.BackupName)
	if err != nil {
		return nil, err
	}
	if backup == nil {
		// PodVolumeBackups are collected with their Backup, so only while it is there are
		// those all that were found.
		if now, err := source.Backup(ctx, action.From.Name); err != nil {
			return nil, err
		} else if now.UID != action.From.UID || now.DeletionTimestamp != nil {
			return nil, fmt.Errorf("backup %s in %s has changed under way", now.Name, action.Source.Name)
		}
		backup, err = ensure(ctx, m.UID, velero.HandedOverBackup(m, action.From, action.Location, len(volumes)), target.CreateBackup, target.Backup)
		if err != nil {
			return nil, err
		}
	}
	for i := range volumes {
		if _, err := target.CreatePodVolumeBackup(ctx, velero.HandedOverPodVolumeBackup(&volumes[i], backup)); err != nil && !apierrors.IsAlreadyExists(err) {
			return nil, err
		}
	}
	if len(volumes) == 0 && backup.Annotations[velero.HandedOverAnnotation] == "0" {
		return backup, nil
	}
	there, err := target.PodVolumeBackups(ctx, backup.Name)
	if err == nil && velero.IsHandedOver(backup) && !velero.IsHandoffComplete(backup, there) {
		err = fmt.Errorf("not all PodVolumeBackups of Backup %s are in %s: %s were to be handed over, the source has %d",
			backup.Name, action.Target.Name, backup.Annotations[velero.HandedOverAnnotation], len(volumes))
	}
	return backup, err
}

// stillWanted reads the Migrate again: it may have been deleted, or have ended,
// since the action began.
func (l *loop) stillWanted(ctx context.Context, m *v1alpha1.Migrate) error {
	fresh, err := l.Client.BackupV1alpha1().Migrates(m.Namespace).Get(ctx, m.Name, metav1.GetOptions{})
	switch {
	case err != nil:
		return fmt.Errorf("reading migrate %s/%s again: %w", m.Namespace, m.Name, err)
	case fresh.UID != m.UID, fresh.DeletionTimestamp != nil, migration.IsTerminal(fresh.Status.Phase):
		return fmt.Errorf("migrate %s/%s was deleted or has ended meanwhile", m.Namespace, m.Name)
	}
	return nil
}

// ensure creates an object, or returns the one that was created before. One of
// the same name that was not made for this Migrate is an error.
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
		err = fmt.Errorf("an object named %s is there that was not made for this Migrate; rename or delete it", object.GetName())
	}
	return existing, err
}
