// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// askTimeout bounds a live observation of all members of one Migrate.
const askTimeout = 8 * time.Second

// observe is what the open watches say of m, and what members were asked beside
// them.
func (l *loop) observe(ctx context.Context, t *track, m *v1alpha1.Migrate, host migration.Inventory) migration.Observation {
	seen := migration.Observation{Host: host, Members: map[migration.Cluster]migration.Member{}}
	for _, cluster := range slices.SortedFunc(maps.Keys(t.watches), migration.CompareClusters) {
		member, ok := t.watches[cluster].Observe(m.UID)
		if ok && member.Err == nil {
			member, ok = l.confirmed(ctx, t, m, cluster, member)
		}
		if ok && member.Err == nil {
			member.Diagnosis = l.diagnosis(ctx, t, m, cluster)
			member.Results, ok = l.results(ctx, t, m, cluster, member)
		}
		if !ok {
			continue
		}
		member.WriteErr = t.writeErr(cluster)
		seen.Members[cluster] = member
	}
	return seen
}

// confirmed is seen, or what the member answered when it was asked because
// something that is recorded is not in seen: the watch may be behind. It is asked
// again while the two differ. Until there is an answer nothing is said of the
// member.
func (l *loop) confirmed(ctx context.Context, t *track, m *v1alpha1.Migrate, c migration.Cluster, seen migration.Member) (migration.Member, bool) {
	if !migration.Misses(m, c, seen) {
		t.confirmations.forget(c)
		return seen, true
	}
	answer := inquire(l, t, &t.confirmations, c, askInterval, func(before *migration.Member) migration.Member {
		said := askFor(ctx, l.Members, m, c)
		if said.Err != nil {
			if said.Since = l.Clock.Now(); before != nil && before.Err != nil {
				said.Since = before.Since
			}
		}
		return said
	})
	if answer == nil {
		return migration.Member{}, false
	}
	return *answer, true
}

// diagnosis is why Velero makes no progress in a cluster, nil if it does or if that
// is not known yet.
func (l *loop) diagnosis(ctx context.Context, t *track, m *v1alpha1.Migrate, c migration.Cluster) *migration.Diagnosis {
	wait, needed := migration.NeedsDiagnosis(m, c, l.Clock.Now())
	if wait > 0 {
		l.queue.AddAfter(t.key, wait)
	}
	if !needed {
		t.diagnoses.forget(c)
		return nil
	}
	return inquire(l, t, &t.diagnoses, c, diagnosisInterval, func(*migration.Diagnosis) migration.Diagnosis {
		if err := l.stillWanted(ctx, m); err != nil {
			return migration.Diagnosis{}
		}
		label := velerov1.BackupNameLabel
		object, restore := migration.Recorded(m, c)
		if object == "" {
			label, object = velerov1.RestoreNameLabel, restore
		}
		return l.Members.Member(m.Namespace, c).Diagnose(ctx, velero.ServerStatusRequest(m, c.Name), label, object)
	})
}

// results are the errors of a cluster's object, which are asked for before its end
// is recorded, since its status only counts them. Until there is an answer nothing
// is said of the member.
func (l *loop) results(ctx context.Context, t *track, m *v1alpha1.Migrate, c migration.Cluster, seen migration.Member) (*migration.Results, bool) {
	request, needed := migration.NeedsResults(m, c, seen)
	if !needed {
		return nil, true
	}
	answer := inquire(l, t, &t.results, c, resultsInterval, func(*migration.Results) migration.Results {
		ctx, cancel := context.WithTimeout(ctx, resultsTimeout)
		defer cancel()
		if err := l.stillWanted(ctx, m); err != nil {
			return migration.Results{Err: err}
		}
		return l.Members.Member(m.Namespace, c).Results(ctx,
			velero.DownloadRequest(m, c.Name, request.Results, request.Name),
			velero.DownloadRequest(m, c.Name, request.Log, request.Name), request.CAs)
	})
	return answer, answer != nil
}

// askFor asks a member for what it has of m. What is recorded and not found by its
// label is looked for by its name: somebody may have taken the label off.
func askFor(ctx context.Context, members Members, m *v1alpha1.Migrate, c migration.Cluster) migration.Member {
	member := members.Member(m.Namespace, c)
	seen := member.Ask(ctx, m.UID)
	if seen.Err != nil || !migration.Misses(m, c, seen) {
		return seen
	}
	var err error
	backup, restore := migration.Recorded(m, c)
	if backup != "" {
		seen.Backup, err = member.Backup(ctx, backup)
	} else {
		seen.Restore, err = member.Restore(ctx, restore)
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return migration.Member{Err: err}
	}
	return seen
}

// LiveStatus is m's status, computed from what the host and the members say when
// they are asked now. Simultaneous calls for one Migrate share one round of
// questions.
func (d *Driver) LiveStatus(ctx context.Context, m *v1alpha1.Migrate) (*v1alpha1.MigrateStatus, error) {
	if migration.IsTerminal(m.Status.Phase) {
		return m.Status.DeepCopy(), nil
	}
	answer := d.asking.DoChan(string(m.UID)+"/"+m.ResourceVersion, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
		defer cancel()
		status := migration.Status(m, d.ask(ctx, m), d.Clock.Now())
		return &status, nil
	})
	select {
	case result := <-answer:
		return result.Val.(*v1alpha1.MigrateStatus).DeepCopy(), nil
	case <-ctx.Done():
		return nil, fmt.Errorf("asking the members of Migrate %s/%s: %w", m.Namespace, m.Name, context.Cause(ctx))
	}
}

// ask observes m by asking the host and then, all at once, the members.
func (d *Driver) ask(ctx context.Context, m *v1alpha1.Migrate) migration.Observation {
	seen := migration.Observation{
		Host:    d.Host.Ask(ctx, m.Namespace, &m.Spec),
		Members: map[migration.Cluster]migration.Member{},
	}
	var mutex sync.Mutex
	var wg sync.WaitGroup
	for _, cluster := range migration.Clusters(m, seen.Host) {
		wg.Go(func() {
			member := askFor(ctx, d.Members, m, cluster)
			mutex.Lock()
			defer mutex.Unlock()
			seen.Members[cluster] = member
		})
	}
	wg.Wait()
	return seen
}
