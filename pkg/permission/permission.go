// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package permission

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/recovery"
)

const (
	// maxReviewsOfRequest is the number of reviews of one admission request at the same time.
	maxReviewsOfRequest = 16
	// maxLiveReviews is the number of reviews of all live reads at the same time.
	maxLiveReviews = 32
)

// Member is a member cluster, implemented by package member.
type Member interface {
	// Review returns why the requester may not do in the member what a review needs; empty
	// if they may.
	Review(ctx context.Context, r migration.Review) (refusal string, err error)
}

// Options are the additional checks in members.
type Options struct {
	// ReviewMembers checks in a member, before anything else is read or written there, whether
	// the requester could do there directly what the Migrate does.
	ReviewMembers bool
	// ReviewHostIdentities allows to check in members users and groups whose names begin with
	// system:, because they are the same identities in the members as in the host.
	ReviewHostIdentities bool
}

// Checker checks permissions.
type Checker struct {
	authorizer authorizer.UnconditionalAuthorizer
	options    Options
	// live bounds the reviews of live reads.
	live *semaphore.Weighted
}

// New returns a Checker that checks the host's permissions by its authorizer.
func New(host authorizer.UnconditionalAuthorizer, options Options) *Checker {
	return &Checker{authorizer: host, options: options, live: semaphore.NewWeighted(maxLiveReviews)}
}

// Denied returns those objects that a user may not use, in their order, or an error if the host
// does not answer. It first checks for permission on all objects of a kind, which makes checking
// each of them unnecessary.
func (c *Checker) Denied(ctx context.Context, u user.Info, objects []Object) ([]Object, error) {
	var left []Object
	all := map[string]bool{}
	for _, object := range objects {
		allowed, checked := all[object.kind]
		if !checked && len(objects) > 1 {
			var err error
			if allowed, err = c.mayUse(ctx, u, object.allOfKind()); err != nil {
				return nil, err
			}
			all[object.kind] = allowed
		}
		if !allowed {
			left = append(left, object)
		}
	}
	return c.deniedOfEach(ctx, u, left)
}

func (c *Checker) deniedOfEach(ctx context.Context, u user.Info, objects []Object) ([]Object, error) {
	var mutex sync.Mutex
	denied := map[Object]bool{}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxReviewsOfRequest)
	for _, object := range objects {
		group.Go(func() error {
			allowed, err := c.mayUse(ctx, u, object)
			mutex.Lock()
			defer mutex.Unlock()
			denied[object] = !allowed
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(objects), func(object Object) bool { return !denied[object] }), nil
}

// Check returns whether the requester of m may have it act in a cluster. It checks in the host
// and then, with Options.ReviewMembers, in the member.
func (c *Checker) Check(ctx context.Context, m *v1alpha1.Migrate, p migration.ClusterPlan, member Member) migration.Access {
	access := c.checkHost(ctx, m, p)
	if access.Allowed && c.options.ReviewMembers {
		access = c.reviewIn(ctx, m, p, member)
	}
	return access
}

// ReviewsMembers reports whether Options.ReviewMembers is set.
func (c *Checker) ReviewsMembers() bool { return c.options.ReviewMembers }

// MayRead reports whether the requester of m, to whom Check has granted access to a target, may also read there what
// the Migrate would create. Without Options.ReviewMembers they may.
func (c *Checker) MayRead(ctx context.Context, m *v1alpha1.Migrate, p migration.ClusterPlan, member Member) bool {
	if !c.options.ReviewMembers {
		return true
	}
	refusal, err := member.Review(ctx, migration.NewReview(m, p).ToRead())
	return err == nil && refusal == ""
}

// CheckLive returns the access to clusters for a live read. It checks in the host only: with
// Options.ReviewMembers it leaves out clusters of which it is not recorded that they could be
// used, because their access is unknown.
func (c *Checker) CheckLive(ctx context.Context, m *v1alpha1.Migrate, clusters []migration.ClusterPlan) map[migration.Cluster]migration.Access {
	found := make([]migration.Access, len(clusters))
	var wg sync.WaitGroup
	for i, p := range clusters {
		wg.Go(func() {
			if err := c.live.Acquire(ctx, 1); err != nil {
				found[i] = migration.Access{Err: fmt.Errorf("too many access reviews of live reads are in progress: %w", err)}
				return
			}
			defer c.live.Release(1)
			found[i] = c.checkHost(ctx, m, p)
		})
	}
	wg.Wait()
	known := map[migration.Cluster]migration.Access{}
	for i, p := range clusters {
		if !found[i].Allowed || !c.options.ReviewMembers || p.WasUsable {
			known[p.Cluster] = found[i]
		}
	}
	return known
}

// checkHost returns the access by the permissions in the host. It returns a panic as an error.
func (c *Checker) checkHost(ctx context.Context, m *v1alpha1.Migrate, p migration.ClusterPlan) migration.Access {
	requester := m.Spec.Requester
	if requester == nil {
		return accessOf("the Migrate has no recorded requester; recreate it", nil)
	}
	object := objectFor(m.Namespace, p.Destination, p.Cluster)
	var allowed bool
	err := recovery.Do(ctx, func() (err error) {
		allowed, err = c.mayUse(ctx, userOf(requester), object)
		return err
	})
	if err != nil || allowed {
		return accessOf("", err)
	}
	return accessOf(object.Denial(requester.Username), nil)
}

func (c *Checker) mayUse(ctx context.Context, u user.Info, object Object) (bool, error) {
	decision, reason, err := c.authorizer.Authorize(ctx, object.attributes(u))
	if decision == authorizer.DecisionAllow {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("checking on the host whether user %q may use %s: %w (%s)", u.GetName(), object, err, reason)
	}
	return false, nil
}

// reviewIn returns the access by the permissions in the member. It refuses an identity that may
// belong to another user there.
func (c *Checker) reviewIn(ctx context.Context, m *v1alpha1.Migrate, p migration.ClusterPlan, member Member) migration.Access {
	review := migration.NewReview(m, p)
	if identity := review.HostIdentity(); identity != "" && !c.options.ReviewHostIdentities {
		return accessOf(fmt.Sprintf(
			"%s of the host is another identity in %s, so its permissions there can't be checked. Create the Migrate as a user that has the same name in all clusters, "+
				"or ask the operator of this server to declare these identities the same, with --member-access-review-system-identities", identity, p.Cluster.Name), nil)
	}
	return accessOf(member.Review(ctx, review))
}

// userOf returns the requester as an authenticated user.
func userOf(r *v1alpha1.Requester) user.Info {
	return &user.DefaultInfo{Name: r.Username, UID: r.UID, Groups: r.Groups, Extra: r.Extra}
}

func accessOf(refusal string, err error) migration.Access {
	return migration.Access{Allowed: err == nil && refusal == "", Denial: refusal, Err: err}
}
