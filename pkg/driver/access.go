// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"fmt"
	"sync"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/recovery"
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
				found := l.access(ctx, m, p, member)
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
	found := l.access(ctx, m, migration.PartyOf(m, c), member)
	t.accesses.note(c, &found, l.Clock.Now())
	return found.Granted
}

// access asks the host, and the member too if members are to be asked.
func (l *loop) access(ctx context.Context, m *v1alpha1.Migrate, p migration.Party, member Member) migration.Access {
	found := mayUse(ctx, l.Access, m, p)
	if found.Granted && l.ReviewMembers {
		found = l.mayDo(ctx, member, m, p)
	}
	return found
}

// authorize notes the same for a reader, by asking the host now. What a member says
// to it only the driver asks: until it is recorded that the cluster could be used, no
// reader has anything asked there.
func (d *Driver) authorize(ctx context.Context, m *v1alpha1.Migrate, host migration.Inventory) {
	parties := migration.Unbegun(m, host)
	found := make([]migration.Access, len(parties))
	var wg sync.WaitGroup
	for i, p := range parties {
		wg.Go(func() {
			if err := d.reviews.Acquire(ctx, 1); err != nil {
				found[i] = migration.Access{Err: fmt.Errorf("too many questions to the host are under way: %w", err)}
				return
			}
			defer d.reviews.Release(1)
			found[i] = mayUse(ctx, d.Access, m, p)
		})
	}
	wg.Wait()
	for i, p := range parties {
		if !found[i].Granted || !d.ReviewMembers || migration.WasUsable(m, p.Cluster) {
			note(host, p.Cluster, found[i])
		}
	}
}

func note(host migration.Inventory, c migration.Cluster, access migration.Access) {
	if cluster, exists := host.Clusters[c]; exists {
		cluster.Access = access
		host.Clusters[c] = cluster
	}
}

// mayUse asks the host.
func mayUse(ctx context.Context, a Access, m *v1alpha1.Migrate, p migration.Party) migration.Access {
	var refusal string
	err := recovery.Do(ctx, func() (err error) { // also in goroutines of a live read
		refusal, err = a.MayUse(ctx, m, p.Destination, p.Cluster)
		return err
	})
	return accessOf(refusal, err)
}

// mayDo asks the member, but not about an identity that names somebody else there.
func (l *loop) mayDo(ctx context.Context, member Member, m *v1alpha1.Migrate, p migration.Party) migration.Access {
	review := migration.ReviewOf(m, p)
	if identity := review.HostIdentity(); identity != "" && !l.ReviewHostIdentities {
		return migration.Access{Refusal: fmt.Sprintf(
			"%s of the host names somebody else in %s, so it can't be asked there what they may do. Create the Migrate as a user whom the clusters know by the same name, "+
				"or have the operator of this server say that these identities mean the same, with --member-access-review-system-identities", identity, p.Cluster.Name)}
	}
	return accessOf(member.Review(ctx, review))
}

func accessOf(refusal string, err error) migration.Access {
	return migration.Access{Granted: err == nil && refusal == "", Refusal: refusal, Err: err}
}
