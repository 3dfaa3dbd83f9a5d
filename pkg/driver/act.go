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
func (l *loop) begin(ctx context.Context, t *track, m *v1alpha1.Migrate, action migration.Action) {
	cluster := action.Cluster()
	id := t.retryID(cluster)
	if now := l.Clock.Now(); l.retries.IsInBackOffSinceUpdate(id, now) {
		l.queue.AddAfter(t.key, l.retries.Get(id))
		return
	}
	if !t.startWriting(cluster) {
		return
	}
	l.acting.Go(func() {
		err := l.do(ctx, m, action)
		if err != nil {
			memberWriteErrors.Inc()
			l.retries.Next(id, l.Clock.Now())
			klog.FromContext(ctx).Error(err, "Writing into a member failed, trying again", "cluster", cluster.Name)
		} else {
			l.retries.DeleteEntry(id)
		}
		t.stopWriting(cluster, err)
		l.queue.Add(t.key)
	})
}

func (l *loop) do(ctx context.Context, m *v1alpha1.Migrate, action migration.Action) error {
	switch action := action.(type) {
	case migration.CreateBackup:
		return l.createBackup(ctx, m, action)
	case migration.StartRestore:
		return l.startRestore(ctx, m, action)
	default:
		return fmt.Errorf("unknown action %T", action)
	}
}

func (l *loop) createBackup(ctx context.Context, m *v1alpha1.Migrate, action migration.CreateBackup) error {
	source := l.Members.Member(m.Namespace, action.Source)
	_, err := ensure(ctx, m.UID, action.Backup, source.CreateBackup, source.Backup)
	return err
}

// startRestore makes the finished Backup known in the target, then what belongs
// to it, then the Restore. Each step may have been done before.
func (l *loop) startRestore(ctx context.Context, m *v1alpha1.Migrate, action migration.StartRestore) error {
	source := l.Members.Member(m.Namespace, action.Source)
	volumes, err := source.PodVolumeBackups(ctx, action.Backup.Name)
	if err != nil {
		return err
	}
	target := l.Members.Member(m.Namespace, action.Target)
	backup := action.Backup
	if backup.UID == "" {
		if backup, err = ensure(ctx, m.UID, backup, target.CreateBackup, target.Backup); err != nil {
			return err
		}
	}
	for i := range volumes {
		pvb := velero.HandedOverPodVolumeBackup(&volumes[i], backup)
		if _, err := target.CreatePodVolumeBackup(ctx, pvb); err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	_, err = ensure(ctx, m.UID, action.Restore, target.CreateRestore, target.Restore)
	return err
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
