// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// authorize returns the plan with the requester's access to the clusters in which nothing has started
// yet. Admission checked the access when m was created, but the Fleet and the permissions may have
// changed.
func (l *loop) authorize(ctx context.Context, s *migrateState, m *v1alpha1.Migrate, plan migration.Plan) migration.Plan {
	access := map[migration.Cluster]migration.Access{}
	for _, c := range plan.NotStarted() {
		if checked := l.accessTo(ctx, s, m, c); checked != nil {
			access[c.Cluster] = *checked
		}
	}
	return plan.WithAccess(access)
}

// accessTo returns the result of the last access check for a cluster while it is recent; otherwise
// it checks again in the background and returns nil. During a repeated check it returns granted
// access for up to allowedGrace, so that the watch is not closed.
func (l *loop) accessTo(ctx context.Context, s *migrateState, m *v1alpha1.Migrate, c migration.ClusterPlan) *migration.Access {
	last, at := s.accesses.last(c.Cluster)
	if last != nil && last.Allowed && l.Clock.Since(at) < allowedInterval {
		return last
	}
	member := l.member(m, c)
	checked := inquire(l, s, &s.accesses, c.Cluster, deniedInterval, func(*migration.Access) *migration.Access {
		access := l.Permission.Check(ctx, m, c, member)
		return &access
	})
	if checked == nil && last != nil && last.Allowed && l.Clock.Since(at) < allowedInterval+allowedGrace {
		return last
	}
	return checked
}

// isStillAllowed reports whether the requester of m has access to a cluster, right before a write. It
// checks again if the last check is older than writeInterval; the next sync reports the result.
func (l *loop) isStillAllowed(ctx context.Context, s *migrateState, m *v1alpha1.Migrate, c migration.ClusterPlan, member Member) bool {
	if last, at := s.accesses.last(c.Cluster); last != nil && l.Clock.Since(at) < writeInterval {
		return last.Allowed
	}
	access := l.Permission.Check(ctx, m, c, member)
	s.accesses.store(c.Cluster, &access, l.Clock.Now())
	return access.Allowed
}
