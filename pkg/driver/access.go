// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// authorize returns the plan with what is known of the access to the clusters in which
// nothing is begun yet. It was checked when m was created; since then the Fleet and the
// permissions can have changed.
func (l *loop) authorize(ctx context.Context, t *track, m *v1alpha1.Migrate, plan migration.Plan) migration.Plan {
	access := map[migration.Cluster]migration.Access{}
	for _, c := range plan.NotStarted() {
		if known := l.knownAccess(ctx, t, m, c); known != nil {
			access[c.Cluster] = *known
		}
	}
	return plan.WithAccess(access)
}

// knownAccess returns the last answer for a cluster while it is young enough; otherwise it
// checks in the background and returns nil.
func (l *loop) knownAccess(ctx context.Context, t *track, m *v1alpha1.Migrate, c migration.ClusterPlan) *migration.Access {
	last, at := t.accesses.last(c.Cluster)
	if last != nil && last.Allowed && l.Clock.Since(at) < grantedInterval {
		return last
	}
	member := l.member(m, c)
	known := inquire(l, t, &t.accesses, c.Cluster, refusedInterval, func(*migration.Access) *migration.Access {
		found := l.Permission.Check(ctx, m, c, member)
		return &found
	})
	// A grant holds while it is checked again, or the watch would be closed for it.
	if known == nil && last != nil && last.Allowed && l.Clock.Since(at) < grantedInterval+grantedPatience {
		return last
	}
	return known
}

// isStillGranted reports whether the requester of m may have something written in a cluster
// now. If that was checked too long ago it is checked again, and the next turn reports it.
func (l *loop) isStillGranted(ctx context.Context, t *track, m *v1alpha1.Migrate, c migration.ClusterPlan, member Member) bool {
	if last, at := t.accesses.last(c.Cluster); last != nil && l.Clock.Since(at) < writeInterval {
		return last.Allowed
	}
	found := l.Permission.Check(ctx, m, c, member)
	t.accesses.note(c.Cluster, &found, l.Clock.Now())
	return found.Allowed
}
