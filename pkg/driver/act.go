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

// begin does an action beside the loop, unless one is under way in that cluster
// or the last one was refused a short while ago. The Migrate is turned again
// when it is done.
func (l *loop) begin(ctx context.Context, t *track, m *v1alpha1.Migrate, plan migration.Plan, action migration.Action) {
	cluster := action.Cluster()
	id := retryID(cluster)
	if now := l.Clock.Now(); t.retries.IsInBackOffSinceUpdate(id, now) {
		l.queue.AddAfter(t.key, t.retries.Get(id))
		return
	}
	if !t.startWriting(cluster) {
		return
	}
	member := l.writable(m, plan.Of(cluster))
	do := l.work(ctx, m, plan, action, member)
	l.beside(t.key, func() {
		err := errors.New("internal error (a bug, please report it with the stack in the log of the server)") // unless do returns
		defer func() { l.wrote(ctx, t, cluster, err) }()
		if !l.isStillGranted(ctx, t, m, plan.Of(cluster), member) {
			err = nil
			return
		}
		err = do()
	})
}

// wrote notes how an action in a cluster went, and has its Migrate turned again.
func (l *loop) wrote(ctx context.Context, t *track, cluster migration.Cluster, err error) {
	logger := klog.FromContext(ctx)
	if errors.Is(err, errUnwanted) {
		logger.V(4).Info("Nothing more is written for the Migrate", "cluster", cluster.Name, "reason", err)
		err = nil
	}
	if err != nil {
		t.retries.Next(retryID(cluster), l.Clock.Now())
	}
	switch {
	case errors.As(err, new(notNoticedError)):
		logger.Info("Making a Restore again", "cluster", cluster.Name, "reason", err)
	case err != nil:
		memberWriteErrors.Inc()
		logger.Error(err, "Writing into a member failed, trying again", "cluster", cluster.Name)
	}
	t.stopWriting(cluster, err)
	l.queue.Add(t.key)
}

// work is what an action has to do, in the Veleros that m goes on with now; in is that
// of the action's cluster.
func (l *loop) work(ctx context.Context, m *v1alpha1.Migrate, plan migration.Plan, action migration.Action, in Member) func() error {
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

// member returns the way into the Velero of a cluster that m goes on with.
func (l *loop) member(m *v1alpha1.Migrate, c migration.ClusterPlan) Member {
	return l.Members.Member(m.Namespace, c.Velero())
}

// writable returns the way into the Velero of a cluster that m goes on with, for an action.
func (l *loop) writable(m *v1alpha1.Migrate, c migration.ClusterPlan) Member {
	return wantedMember{l.member(m, c), func(ctx context.Context) error { return l.stillWanted(ctx, m) }}
}

func (l *loop) createBackup(ctx context.Context, m *v1alpha1.Migrate, action migration.CreateBackup, source Member) error {
	_, err := ensure(ctx, m.UID, action.Backup, source.CreateBackup, source.Backup)
	return err
}

// startRestore makes the finished Backup known in the target, with what belongs
// to it, then makes the Restore. Each step may have been done before.
func (l *loop) startRestore(ctx context.Context, m *v1alpha1.Migrate, action migration.StartRestore, source, target Member) error {
	if action.RejectedRestore != nil {
		return withdraw(ctx, target, action.RejectedRestore)
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
		return fmt.Errorf("backup %s in %s has changed under way", backup.Name, action.Target.Name)
	}
	_, err := ensure(ctx, m.UID, action.Restore, target.CreateRestore, target.Restore)
	return err
}

// withdraw deletes a Restore that Velero refused too early. That it is to be made
// again is an error, so that Velero is given time to notice its Backup.
func withdraw(ctx context.Context, target Member, refused *velerov1.Restore) error {
	if refused.DeletionTimestamp == nil {
		if err := target.DeleteRestore(ctx, refused); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return notNoticedError{refused.Spec.BackupName}
}

// notNoticedError says that a Restore is made again after a pause, which is expected and
// no failure of a write.
type notNoticedError struct{ backup string }

func (e notNoticedError) Error() string {
	return fmt.Sprintf("Velero had not noticed Backup %s yet and refused it", e.backup)
}

// handOver makes the source's Backup known in the target, and then every
// PodVolumeBackup that belongs to it, and returns the target's Backup. Its
// annotation tells how many there have to be, so a handoff that was broken off is
// completed, without the source if only the end was missing.
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
		// PodVolumeBackups are collected with their Backup, so only while it is there are
		// those all that were found.
		if now, err := source.Backup(ctx, action.SourceBackup.Name); err != nil {
			return nil, err
		} else if now.UID != action.SourceBackup.UID || now.DeletionTimestamp != nil {
			return nil, fmt.Errorf("backup %s in %s has changed under way", now.Name, action.Source.Name)
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
		err = fmt.Errorf("not all PodVolumeBackups of Backup %s are in %s: %s were to be handed over, the source has %d",
			backup.Name, action.Target.Name, backup.Annotations[velero.HandedOverAnnotation], len(volumes))
	}
	return backup, err
}

// errUnwanted says that a Migrate is gone, has ended or is being deleted. It is no
// failure: nothing is to be done for such a Migrate.
var errUnwanted = errors.New("the Migrate was deleted or has ended meanwhile")

// stillWanted confirms with a GET that something may be begun for m: that it is stored,
// has not ended and is not being deleted. The error is errUnwanted if it may not be.
func (l *loop) stillWanted(ctx context.Context, m *v1alpha1.Migrate) error {
	fresh, err := l.stillLive(ctx, m)
	if err == nil && fresh.DeletionTimestamp != nil {
		err = unwanted(m)
	}
	return err
}

// stillLive confirms with a GET that m is stored and has not ended, and returns it. One
// that is being deleted and waits for a finalizer is live: what runs for it is observed
// until its end is recorded. The error is errUnwanted if it is not live.
func (l *loop) stillLive(ctx context.Context, m *v1alpha1.Migrate) (*v1alpha1.Migrate, error) {
	fresh, err := l.read(ctx, m)
	switch {
	case apierrors.IsNotFound(err):
		return nil, unwanted(m)
	case err != nil:
		return nil, fmt.Errorf("reading migrate %s/%s again: %w", m.Namespace, m.Name, err)
	case fresh.UID != m.UID, migration.IsTerminal(fresh.Status.Phase):
		return nil, unwanted(m)
	}
	return fresh, nil
}

func unwanted(m *v1alpha1.Migrate) error {
	return fmt.Errorf("%s/%s: %w", m.Namespace, m.Name, errUnwanted)
}

// wantedMember is a Member that asks wanted right before each write of an action, since
// what comes before a write may have taken a while.
type wantedMember struct {
	Member
	wanted func(context.Context) error
}

func (w wantedMember) CreateBackup(ctx context.Context, backup *velerov1.Backup) (*velerov1.Backup, error) {
	return ifWanted(ctx, w.wanted, backup, w.Member.CreateBackup)
}

func (w wantedMember) CreateRestore(ctx context.Context, restore *velerov1.Restore) (*velerov1.Restore, error) {
	return ifWanted(ctx, w.wanted, restore, w.Member.CreateRestore)
}

func (w wantedMember) CreatePodVolumeBackup(ctx context.Context, pvb *velerov1.PodVolumeBackup) (*velerov1.PodVolumeBackup, error) {
	return ifWanted(ctx, w.wanted, pvb, w.Member.CreatePodVolumeBackup)
}

func (w wantedMember) DeleteRestore(ctx context.Context, restore *velerov1.Restore) error {
	if err := w.wanted(ctx); err != nil {
		return err
	}
	return w.Member.DeleteRestore(ctx, restore)
}

func ifWanted[T any](ctx context.Context, wanted func(context.Context) error, object *T, create func(context.Context, *T) (*T, error)) (*T, error) {
	if err := wanted(ctx); err != nil {
		return nil, err
	}
	return create(ctx, object)
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
