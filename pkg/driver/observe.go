// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"fmt"
	"sync"
	"time"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// askTimeout bounds a live observation of all members of one Migrate.
const askTimeout = 8 * time.Second

// observe is what the open watches say of m. An object that is recorded and that
// a watch does not have is asked for outright: the watch may be behind.
func (l *loop) observe(ctx context.Context, t *track, m *v1alpha1.Migrate, host migration.Inventory) migration.Observation {
	seen := migration.Observation{Host: host, Members: map[migration.Cluster]migration.Member{}}
	for cluster, watch := range t.watches {
		member, ok := watch.Observe(m.UID)
		if !ok {
			continue
		}
		if member.Err == nil {
			member = l.confirm(ctx, m, cluster, member)
		}
		member.WriteErr = t.writeErr(cluster)
		seen.Members[cluster] = member
	}
	return seen
}

// confirm asks the member if something that is recorded is not in seen.
func (l *loop) confirm(ctx context.Context, m *v1alpha1.Migrate, c migration.Cluster, seen migration.Member) migration.Member {
	if !migration.Misses(m, c, seen) {
		return seen
	}
	asked := l.Members.Member(m.Namespace, c).Ask(ctx, m.UID)
	if asked.Err != nil {
		seen.Err, seen.Since = asked.Err, asked.Since
		return seen
	}
	return asked
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
			member := d.Members.Member(m.Namespace, cluster).Ask(ctx, m.UID)
			mutex.Lock()
			defer mutex.Unlock()
			seen.Members[cluster] = member
		})
	}
	wg.Wait()
	return seen
}
