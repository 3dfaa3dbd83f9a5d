// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// authorize notes in host whether who created m may use the clusters in which
// nothing is begun yet, as far as that is known. It was asked when m was created;
// since then the Fleet, and what they may, can have changed.
func (l *loop) authorize(ctx context.Context, t *track, m *v1alpha1.Migrate, host migration.Inventory) {
	for _, p := range migration.Unbegun(m, host) {
		known, at := t.accesses.last(p.Cluster)
		if granted := known; known == nil || !known.Granted || l.Clock.Since(at) >= grantedInterval {
			member := l.member(m, host, p.Cluster)
			known = inquire(l, t, &t.accesses, p.Cluster, refusedInterval, func(*migration.Access) *migration.Access {
				found := l.Permission.Check(ctx, m, p, member)
				return &found
			})
			// It holds while it is asked for again, or the watch would be closed for it.
			if known == nil && granted != nil && granted.Granted && l.Clock.Since(at) < grantedInterval+grantedPatience {
				known = granted
			}
		}
		if known != nil {
			note(host, p.Cluster, *known)
		}
	}
}

// isStillGranted says whether who created m may have something written in a cluster
// now. If that was asked too long ago it is asked again, and the next turn tells.
func (l *loop) isStillGranted(ctx context.Context, t *track, m *v1alpha1.Migrate, c migration.Cluster, member Member) bool {
	if said, at := t.accesses.last(c); said != nil && l.Clock.Since(at) < writeInterval {
		return said.Granted
	}
	found := l.Permission.Check(ctx, m, migration.PartyOf(m, c), member)
	t.accesses.note(c, &found, l.Clock.Now())
	return found.Granted
}

// authorize notes the same for a live read.
func (d *Driver) authorize(ctx context.Context, m *v1alpha1.Migrate, host migration.Inventory) {
	for c, access := range d.Permission.CheckLive(ctx, m, migration.Unbegun(m, host)) {
		note(host, c, access)
	}
}

func note(host migration.Inventory, c migration.Cluster, access migration.Access) {
	if cluster, exists := host.Clusters[c]; exists {
		cluster.Access = access
		host.Clusters[c] = cluster
	}
}
