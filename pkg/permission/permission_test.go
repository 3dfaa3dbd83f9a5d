// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package permission

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// judge is an authorizer that allows the objects in allows (resource/namespace/name) and returns
// err with every decision.
type judge struct {
	allows []string
	err    error
	// answered, if it is not nil, delays decisions until it is closed.
	answered chan struct{}

	mutex    sync.Mutex
	requests []string
	users    []user.Info
	// inProgress counts the requests in progress; atMost is its maximum.
	inProgress, atMost int
}

func (j *judge) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	j.await()
	what := fmt.Sprintf("%s/%s/%s", a.GetResource(), a.GetNamespace(), a.GetName())
	j.mutex.Lock()
	defer j.mutex.Unlock()
	j.requests = append(j.requests, fmt.Sprintf("%s %s %s", a.GetVerb(), a.GetAPIGroup(), what))
	j.users = append(j.users, a.GetUser())
	if slices.Contains(j.allows, what) {
		return authorizer.DecisionAllow, "", j.err
	}
	return authorizer.DecisionNoOpinion, "the webhook", j.err
}

func (j *judge) await() {
	if j.answered == nil {
		return
	}
	j.count(1)
	<-j.answered
	j.count(-1)
}

func (j *judge) count(n int) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	j.inProgress += n
	j.atMost = max(j.atMost, j.inProgress)
}

func planOf(d v1alpha1.Destination) migration.ClusterPlan {
	return migration.ClusterPlan{Cluster: migration.Cluster{Kind: "AttachedCluster", Name: "a"}, Destination: d}
}

func TestCheck(t *testing.T) {
	jane := &v1alpha1.Requester{Username: "jane", UID: "42", Groups: []string{"shop"}, Extra: map[string][]string{"scopes": {"all"}}}
	const refused = `user "jane" may not use AttachedCluster ns/a: they need verb "use" on resource "attachedclusters" in API group "cluster.kurator.dev" ` +
		`with that name and namespace; ask for a RoleBinding to ClusterRole migrate-cluster-user, or to a Role with that rule`
	down := errors.New("connection refused")
	for _, tt := range []struct {
		name      string
		judge     *judge
		requester *v1alpha1.Requester
		d         v1alpha1.Destination
		want      string
		err       error
		requests  []string
	}{
		{"by name", &judge{allows: []string{"attachedclusters/ns/a"}}, jane, to("f", "AttachedCluster/a"), "", nil, []string{"use cluster.kurator.dev attachedclusters/ns/a"}},
		{"as a member of the fleet", &judge{allows: []string{"fleets/ns/f"}}, jane, to("f"), "", nil, []string{"use fleet.kurator.dev fleets/ns/f"}},
		{"the fleet does not grant a named cluster", &judge{allows: []string{"fleets/ns/f"}}, jane, to("f", "AttachedCluster/a"), refused, nil, []string{"use cluster.kurator.dev attachedclusters/ns/a"}},
		{"in another namespace", &judge{allows: []string{"attachedclusters/other/a"}}, jane, to("f", "AttachedCluster/a"), refused, nil, []string{"use cluster.kurator.dev attachedclusters/ns/a"}},
		{"allowed with an error of another authorizer", &judge{allows: []string{"attachedclusters/ns/a"}, err: down}, jane, to("f", "AttachedCluster/a"), "", nil, []string{"use cluster.kurator.dev attachedclusters/ns/a"}},
		{"the host is down", &judge{err: down}, jane, to("f", "AttachedCluster/a"), "", down, []string{"use cluster.kurator.dev attachedclusters/ns/a"}},
		{"no recorded requester", &judge{allows: []string{"attachedclusters/ns/a"}}, nil, to("f", "AttachedCluster/a"), "the Migrate has no recorded requester; recreate it", nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &v1alpha1.Migrate{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "app"}, Spec: v1alpha1.MigrateSpec{Requester: tt.requester}}
			got := New(tt.judge, Options{}).Check(t.Context(), m, planOf(tt.d), nil)
			if got.Denial != tt.want || !errors.Is(got.Err, tt.err) || got.Allowed != (tt.want == "" && tt.err == nil) {
				t.Errorf("got %+v, want %q, %v", got, tt.want, tt.err)
			}
			if diff := cmp.Diff(tt.requests, tt.judge.requests); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
			for _, u := range tt.judge.users {
				want := &user.DefaultInfo{Name: "jane", UID: "42", Groups: []string{"shop"}, Extra: map[string][]string{"scopes": {"all"}}}
				if diff := cmp.Diff(user.Info(want), u); diff != "" {
					t.Errorf("users (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// TestDenied checks many clusters: one request for all of a kind, and if that is denied one for
// each.
func TestDenied(t *testing.T) {
	names := make([]string, 100)
	for i := range names {
		names[i] = fmt.Sprintf("AttachedCluster/m%02d", i)
	}
	objects := ObjectsOf("ns", &v1alpha1.MigrateSpec{SourceCluster: to("f", "Cluster/s"), TargetCluster: to("f", names...)})
	jane := &user.DefaultInfo{Name: "jane"}

	all := &judge{allows: []string{"attachedclusters/ns/", "clusters/ns/"}}
	if denied, err := New(all, Options{}).Denied(t.Context(), jane, objects); err != nil || len(denied) != 0 || len(all.requests) != 2 {
		t.Errorf("denied %v, %v after %d requests, want none", denied, err, len(all.requests))
	}
	some := &judge{allows: []string{"clusters/ns/s"}}
	for i := range names {
		if i != 7 && i != 93 {
			some.allows = append(some.allows, fmt.Sprintf("attachedclusters/ns/m%02d", i))
		}
	}
	denied, err := New(some, Options{}).Denied(t.Context(), jane, objects)
	if got := fmt.Sprint(denied); err != nil || got != "[AttachedCluster ns/m07 AttachedCluster ns/m93]" || len(some.requests) != 103 {
		t.Errorf("denied %s, %v after %d requests", got, err, len(some.requests))
	}
	down := &judge{err: errors.New("connection refused")}
	if denied, err := New(down, Options{}).Denied(t.Context(), jane, objects); err == nil || denied != nil {
		t.Errorf("denied %v, %v, want an error and no denial", denied, err)
	}
}

// reviewer is a member that returns the same answer for every review.
type reviewer struct {
	refusal string
	reviews []migration.Review
}

func (r *reviewer) Review(_ context.Context, review migration.Review) (string, error) {
	r.reviews = append(r.reviews, review)
	return r.refusal, nil
}

// TestCheckInMembers reviews in a member only what the host allows, and only identities
// that are the same there.
func TestCheckInMembers(t *testing.T) {
	const refused = "user jane may not list secrets"
	allowed := []string{"attachedclusters/ns/a"}
	for _, tt := range []struct {
		name      string
		allows    []string
		options   Options
		requester v1alpha1.Requester
		member    string
		want      migration.Access
		reviews   int
	}{
		{"off", allowed, Options{}, v1alpha1.Requester{Username: "jane"}, refused, migration.Access{Allowed: true}, 0},
		{"allowed", allowed, Options{ReviewMembers: true}, v1alpha1.Requester{Username: "jane"}, "", migration.Access{Allowed: true}, 1},
		{"refused", allowed, Options{ReviewMembers: true}, v1alpha1.Requester{Username: "jane"}, refused, migration.Access{Denial: refused}, 1},
		{"refused by the host", nil, Options{ReviewMembers: true}, v1alpha1.Requester{Username: "jane"}, "", migration.Access{
			Denial: `user "jane" may not use AttachedCluster ns/a: they need verb "use" on resource "attachedclusters" in API group "cluster.kurator.dev" ` +
				`with that name and namespace; ask for a RoleBinding to ClusterRole migrate-cluster-user, or to a Role with that rule`,
		}, 0},
		{"an identity of the host", allowed, Options{ReviewMembers: true}, v1alpha1.Requester{Username: "system:serviceaccount:a:b"}, "", migration.Access{
			Denial: "user system:serviceaccount:a:b of the host is another identity in a, so its permissions there can't be checked. " +
				"Create the Migrate as a user that has the same name in all clusters, or ask the operator of this server to declare these identities the same, " +
				"with --member-access-review-system-identities",
		}, 0},
		{
			"an identity that is the same", allowed,
			Options{ReviewMembers: true, ReviewHostIdentities: true},
			v1alpha1.Requester{Username: "system:serviceaccount:a:b"},
			"",
			migration.Access{Allowed: true},
			1,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &v1alpha1.Migrate{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "app"}, Spec: v1alpha1.MigrateSpec{Requester: &tt.requester}}
			member := &reviewer{refusal: tt.member}
			got := New(&judge{allows: tt.allows}, tt.options).Check(t.Context(), m, planOf(to("f", "AttachedCluster/a")), member)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if len(member.reviews) != tt.reviews {
				t.Errorf("the member got %d reviews, want %d", len(member.reviews), tt.reviews)
			}
		})
	}
}

// TestCheckLiveOmitsMembersNotReviewed checks that CheckLive reviews no members: the driver does.
func TestCheckLiveOmitsMembersNotReviewed(t *testing.T) {
	m := &v1alpha1.Migrate{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "app"}, Spec: v1alpha1.MigrateSpec{Requester: &v1alpha1.Requester{Username: "jane"}}}
	a := planOf(to("f", "AttachedCluster/a"))
	granted := map[migration.Cluster]migration.Access{a.Cluster: {Allowed: true}}
	for _, tt := range []struct {
		name      string
		options   Options
		wasUsable bool
		want      map[migration.Cluster]migration.Access
	}{
		{"members are not reviewed", Options{}, false, granted},
		{"no usable cluster is recorded", Options{ReviewMembers: true}, false, map[migration.Cluster]migration.Access{}},
		{"a usable cluster is recorded", Options{ReviewMembers: true}, true, granted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a.WasUsable = tt.wasUsable
			got := New(&judge{allows: []string{"attachedclusters/ns/a"}}, tt.options).CheckLive(t.Context(), m, []migration.ClusterPlan{a})
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestCheckLiveIsBounded checks 500 targets.
func TestCheckLiveIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &v1alpha1.Migrate{Spec: v1alpha1.MigrateSpec{Requester: &v1alpha1.Requester{Username: "jane"}}}
		host := &judge{answered: make(chan struct{})}
		done := make(chan struct{})
		go func() {
			defer close(done)
			New(host, Options{}).CheckLive(t.Context(), m, slices.Repeat([]migration.ClusterPlan{planOf(to("f"))}, 500))
		}()
		synctest.Wait()
		close(host.answered)
		<-done
		if host.atMost != 32 {
			t.Errorf("%d reviews at a time, want 32", host.atMost)
		}
	})
}
