// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// authorize returns the plan with the access to the clusters in which nothing has started yet. It
// was checked when m was created, but the Fleet and the permissions may have changed.
func (l *loop) authorize(ctx context.Context, t *migrateState, m *v1alpha1.Migrate, plan migration.Plan) migration.Plan {
	access := map[migration.Cluster]migration.Access{}
	for _, c := range plan.NotStarted() {
		if known := l.accessTo(ctx, t, m, c); known != nil {
			access[c.Cluster] = *known
		}
	}
	return plan.WithAccess(access)
}

// accessTo returns the last access to a cluster while it is recent; otherwise it checks in the
// background and returns nil.
func (l *loop) accessTo(ctx context.Context, t *migrateState, m *v1alpha1.Migrate, c migration.ClusterPlan) *migration.Access {
	last, at := t.accesses.last(c.Cluster)
	if last != nil && last.Allowed && l.Clock.Since(at) < allowedInterval {
		return last
	}
	member := l.member(m, c)
	known := inquire(l, t, &t.accesses, c.Cluster, deniedInterval, func(*migration.Access) *migration.Access {
		found := l.Permission.Check(ctx, m, c, member)
		return &found
	})
	// Access stays allowed during the check, so that the watch is not closed.
	if known == nil && last != nil && last.Allowed && l.Clock.Since(at) < allowedInterval+allowedGrace {
		return last
	}
	return known
}

// isStillAllowed reports whether the requester of m has access to a cluster for a write. It checks
// again unless that was done within writeInterval; the next sync reports the result.
func (l *loop) isStillAllowed(ctx context.Context, t *migrateState, m *v1alpha1.Migrate, c migration.ClusterPlan, member Member) bool {
	if last, at := t.accesses.last(c.Cluster); last != nil && l.Clock.Since(at) < writeInterval {
		return last.Allowed
	}
	found := l.Permission.Check(ctx, m, c, member)
	t.accesses.store(c.Cluster, &found, l.Clock.Now())
	return found.Allowed
}
