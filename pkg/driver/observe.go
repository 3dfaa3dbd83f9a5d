// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/member"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/recovery"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// liveReadTimeout bounds a live read of all members of one Migrate.
const liveReadTimeout = 8 * time.Second

// observe returns an observation of m from its open watches and the last background reads.
func (l *loop) observe(ctx context.Context, s *migrateState, m *v1alpha1.Migrate, plan migration.Plan) migration.Observation {
	seen := migration.Observation{Plan: plan, Members: map[migration.Cluster]migration.Member{}}
	for _, cluster := range slices.SortedFunc(maps.Keys(s.watches), migration.CompareClusters) {
		watch, objects := s.watches[cluster], plan.Of(cluster).Objects
		member, ok := watch.Observe(objects)
		if ok && member.Err == nil {
			member, ok = l.confirmed(ctx, s, m, watch.velero, objects, member)
		}
		if ok && member.Err == nil {
			member.Diagnosis = l.diagnosis(ctx, s, m, watch.velero, member)
		}
		if member, ok = l.withResults(ctx, s, m, watch.velero, member, ok); !ok {
			continue
		}
		member.Checked = l.prerequisites(ctx, s, m, plan.Of(cluster))
		member.Workloads = l.workloads(ctx, s, m, watch.velero, member)
		member.WriteErr = s.writeErr(cluster)
		member.NextTry = time.Time{}
		seen.Members[cluster] = member
	}
	l.observeSharing(ctx, s, m, seen)
	seen.Preview = l.preview(ctx, s, m)
	l.queueUp(s, m, seen)
	return seen
}

// confirmation is a live read of a member, with the name of the object recorded at that time.
type confirmation struct {
	recorded string
	answer   migration.Member
}

// confirmed returns seen if it has all recorded objects. Otherwise the watch may be behind, so
// confirmed returns the result of a live read, which is repeated every confirmInterval while an
// object is missing. It returns false until a live read of the recorded objects has finished.
func (l *loop) confirmed(ctx context.Context, s *migrateState, m *v1alpha1.Migrate, v migration.Velero, of migration.Objects, seen migration.Member) (migration.Member, bool) {
	if !migration.IsObjectMissing(m, v.Cluster, seen) {
		s.confirmations.forget(v.Cluster)
		return seen, true
	}
	recorded := cmp.Or(migration.RecordedNames(m, v.Cluster))
	confirmed := inquire(l, s, &s.confirmations, v.Cluster, confirmInterval, func(before *confirmation) *confirmation {
		answer := readMember(ctx, l.Members.Member(m.Namespace, v), m, v.Cluster, of)
		if answer.Err != nil {
			if answer.Since = l.Clock.Now(); before != nil && before.answer.Err != nil {
				answer.Since = before.answer.Since
			}
		}
		return &confirmation{recorded, answer}
	})
	if confirmed == nil || confirmed.recorded != recorded {
		return migration.Member{}, false
	}
	return confirmed.answer, true
}

// diagnosis returns why Velero makes no progress in a cluster. It returns nil if Velero makes
// progress, or while the diagnosis is running.
func (l *loop) diagnosis(ctx context.Context, s *migrateState, m *v1alpha1.Migrate, v migration.Velero, seen migration.Member) *migration.Diagnosis {
	wait, needed := migration.NeedsDiagnosis(m, v.Cluster, seen, l.Clock.Now())
	if wait > 0 {
		l.queue.AddAfter(s.key, wait)
	}
	if !needed {
		s.diagnoses.forget(v.Cluster)
		return nil
	}
	return inquire(l, s, &s.diagnoses, v.Cluster, diagnosisInterval, func(*migration.Diagnosis) *migration.Diagnosis {
		ctx, cancel := context.WithTimeout(ctx, diagnosisTimeout)
		defer cancel()
		if _, err := l.confirmLive(ctx, m); err != nil {
			return nil
		}
		label := velerov1.BackupNameLabel
		object, restore := migration.RecordedNames(m, v.Cluster)
		if object == "" {
			label, object = velerov1.RestoreNameLabel, restore
		}
		found := l.Members.Member(m.Namespace, v).Diagnose(ctx, velero.NewServerStatusRequest(m, v.Cluster.Name), label, object)
		return &found
	})
}

// withResults returns seen unless the object of the cluster has ended, and its status does not have
// all that is to be recorded. withResults reads the rest and returns the member as first observed
// after the end, with it, until the end is recorded. A later change, such as a deletion of the object,
// does not change the end.
// withResults returns false while the results are read for the first time. If that fails, it returns the
// member without results, until they are read or reading them has failed until the progress deadline.
func (l *loop) withResults(ctx context.Context, s *migrateState, m *v1alpha1.Migrate, v migration.Velero, seen migration.Member, known bool) (migration.Member, bool) {
	if migration.HasEnded(m, v.Cluster) {
		delete(s.ended, v.Cluster)
		return seen, known
	}
	ended, ok := s.ended[v.Cluster]
	if !ok {
		request, needed := migration.NeedsResults(m, v.Cluster, seen)
		if !known || seen.Err != nil || !needed {
			return seen, known
		}
		ended = &endedMember{request: request, member: seen, since: l.Clock.Now()}
		s.ended[v.Cluster] = ended
	}
	answer := inquireOrLast(l, s, &s.results, v.Cluster, resultsInterval, func(before *migration.Results) *migration.Results {
		if before != nil && !before.Failed() {
			return before
		}
		ctx, cancel := context.WithTimeout(ctx, resultsTimeout)
		defer cancel()
		if _, err := l.confirmLive(ctx, m); err != nil {
			return nil
		}
		found := l.Members.Member(m.Namespace, v).Results(ctx, ended.request)
		return &found
	})
	if answer == nil {
		return migration.Member{}, false
	}
	member := ended.member
	// The last try must have been after the deadline: this process, or the host, may have slept until then.
	if _, at := s.results.last(v.Cluster); answer.Failed() && at.Sub(ended.since) < migration.ProgressDeadline(m) {
		member.ResultsErr = answer.Failure()
		return member, true
	}
	member.Results = answer
	return member, true
}

// prerequisites returns what the last check of the prerequisites has found in a cluster; nil if there was
// none. An answer is kept while a later check fails.
func (l *loop) prerequisites(ctx context.Context, s *migrateState, m *v1alpha1.Migrate, c migration.ClusterPlan) *migration.Checked {
	if !c.NeedsPrerequisites() {
		return nil
	}
	return inquireOrLast(l, s, &s.prerequisites, c.Cluster, prerequisitesInterval, func(last *migration.Checked) *migration.Checked {
		ctx, cancel := context.WithTimeout(ctx, prerequisitesTimeout)
		defer cancel()
		found, err := l.member(m, c).CheckPrerequisites(ctx, c.Prerequisites)
		if err != nil && last != nil {
			return last
		}
		return &found
	})
}

// workloads returns the last answer about the workloads that m waits for in a cluster; nil if there is
// none.
func (l *loop) workloads(ctx context.Context, s *migrateState, m *v1alpha1.Migrate, v migration.Velero, seen migration.Member) *migration.Workloads {
	if !migration.WaitsForWorkloads(m, v.Cluster, seen) {
		return nil
	}
	return inquireOrLast(l, s, &s.workloads, v.Cluster, workloadsInterval, func(*migration.Workloads) *migration.Workloads {
		ctx, cancel := context.WithTimeout(ctx, workloadsTimeout)
		defer cancel()
		found := l.Members.Member(m.Namespace, v).Workloads(ctx, migration.RestoresOf(m, v.Cluster, seen.Restore))
		return &found
	})
}

// readMember reads the objects of m in a member. If the read by label lacks a recorded object, it gets
// the object by name, because the label may have been removed.
func readMember(ctx context.Context, member Member, m *v1alpha1.Migrate, c migration.Cluster, of migration.Objects) migration.Member {
	seen := member.Read(ctx, of)
	if seen.Err != nil || !migration.IsObjectMissing(m, c, seen) || !migration.IsObjectRecorded(m, c) {
		return seen
	}
	var err error
	switch backup, restore := migration.RecordedNames(m, c); {
	case backup != "" && seen.Backup == nil:
		seen.Backup, err = member.Backup(ctx, backup)
	case restore != "" && seen.Restore == nil:
		seen.Restore, err = member.Restore(ctx, restore)
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return migration.Member{Err: err}
	}
	return seen
}

// LiveStatus computes m's status from live reads of the host and the members. It returns no terminal
// phase that is not recorded. Concurrent calls for the same version of a Migrate share a read and its
// error. A panic is returned as an error.
func (d *Driver) LiveStatus(ctx context.Context, m *v1alpha1.Migrate) (*v1alpha1.MigrateStatus, error) {
	if migration.IsTerminal(m.Status.Phase) {
		return m.Status.DeepCopy(), nil
	}
	answer := d.liveReads.DoChan(string(m.UID)+"/"+m.ResourceVersion, func() (any, error) {
		ctx, cancel := context.WithTimeout(withMigrate(member.ForReader(context.WithoutCancel(ctx)), keyOf(m)), liveReadTimeout)
		defer cancel()
		began := d.Clock.Now()
		var status v1alpha1.MigrateStatus
		// singleflight panics again with a panic of the function.
		err := recovery.Do(ctx, func() error {
			seen, err := d.observeLive(ctx, m)
			if err == nil {
				status = migration.LiveStatus(m, seen, d.Clock.Now())
			}
			return err
		})
		measureLiveRead(d.Clock.Since(began), err)
		return &status, err
	})
	select {
	case result := <-answer:
		if result.Err != nil {
			return nil, fmt.Errorf("reading the members of Migrate %s/%s: %w", m.Namespace, m.Name, result.Err)
		}
		return result.Val.(*v1alpha1.MigrateStatus).DeepCopy(), nil
	case <-ctx.Done():
		return nil, fmt.Errorf("reading the members of Migrate %s/%s: %w", m.Namespace, m.Name, context.Cause(ctx))
	}
}

func keyOf(m *v1alpha1.Migrate) types.NamespacedName {
	return types.NamespacedName{Namespace: m.Namespace, Name: m.Name}
}

// observeLive returns an observation of m from live reads of the host and then, in parallel, of the
// members.
func (d *Driver) observeLive(ctx context.Context, m *v1alpha1.Migrate) (migration.Observation, error) {
	plan := migration.Resolve(m, d.Host.Read(ctx, m.Namespace, &m.Spec))
	plan = plan.WithAccess(d.Permission.CheckLive(ctx, m, plan.NotStarted()))
	seen := migration.Observation{Plan: plan, Members: map[migration.Cluster]migration.Member{}}
	var mutex sync.Mutex
	var group errgroup.Group
	for _, v := range plan.Veleros() {
		group.Go(func() error {
			return recovery.Do(ctx, func() error {
				read := readMember(ctx, d.Members.Member(m.Namespace, v), m, v.Cluster, plan.Of(v.Cluster).Objects)
				mutex.Lock()
				defer mutex.Unlock()
				seen.Members[v.Cluster] = read
				return nil
			})
		})
	}
	if err := group.Wait(); err != nil {
		return seen, err
	}
	return seen, d.checkSharings(ctx, m, seen)
}

// checkSharings determines, in parallel, which targets share the storage of the source, where the locations alone
// don't show it.
func (d *Driver) checkSharings(ctx context.Context, m *v1alpha1.Migrate, seen migration.Observation) error {
	checks := map[migration.Cluster]migration.SharingCheck{}
	for c := range seen.Members {
		if check, needed := migration.SharingCheckOf(c, seen); needed && migration.IsWritable(m) {
			checks[c] = check
		}
	}
	var mutex sync.Mutex
	var group errgroup.Group
	for c, check := range checks {
		group.Go(func() error {
			return recovery.Do(ctx, func() error {
				sharing := d.sharings.check(ctx, d.Members, m.Namespace, check, d.Clock)
				mutex.Lock()
				defer mutex.Unlock()
				member := seen.Members[c]
				member.Sharing = &sharing
				seen.Members[c] = member
				return nil
			})
		})
	}
	return group.Wait()
}
