// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// judge allows what is in it, as resource/namespace/name, and says what went wrong
// with the rest.
type judge struct {
	allows []string
	err    error

	mutex sync.Mutex
	asked []string
	users []user.Info
}

func (j *judge) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	what := fmt.Sprintf("%s/%s/%s", a.GetResource(), a.GetNamespace(), a.GetName())
	j.mutex.Lock()
	defer j.mutex.Unlock()
	j.asked = append(j.asked, fmt.Sprintf("%s %s %s", a.GetVerb(), a.GetAPIGroup(), what))
	j.users = append(j.users, a.GetUser())
	if slices.Contains(j.allows, what) {
		return authorizer.DecisionAllow, "", j.err
	}
	return authorizer.DecisionNoOpinion, "the webhook", j.err
}

func to(fleet string, names ...string) v1alpha1.Destination {
	d := v1alpha1.Destination{Fleet: fleet}
	for _, name := range names {
		kind, name, _ := strings.Cut(name, "/")
		d.Clusters = append(d.Clusters, corev1.ObjectReference{Kind: kind, Name: name})
	}
	return d
}

func TestUsesOf(t *testing.T) {
	for _, tt := range []struct {
		name           string
		source, target v1alpha1.Destination
		want           []string
	}{
		{"by name", to("f", "AttachedCluster/a"), to("f", "AttachedCluster/b", "Cluster/c", "/d"), []string{"AttachedCluster ns/a", "AttachedCluster ns/b", "Cluster ns/c", "Cluster ns/d"}},
		{"one name, two kinds", to("f", "AttachedCluster/a"), to("f", "/a"), []string{"AttachedCluster ns/a", "Cluster ns/a"}},
		{"a fleet", to("f", "AttachedCluster/a"), to("f"), []string{"AttachedCluster ns/a", "Fleet ns/f"}},
		{"two fleets", to("f"), to("g"), []string{"Fleet ns/f", "Fleet ns/g"}},
		{"each once", to("f"), to("f"), []string{"Fleet ns/f"}},
		{"each cluster once", to("f", "/a"), to("f", "/a", "Cluster/a"), []string{"Cluster ns/a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, use := range UsesOf("ns", &v1alpha1.MigrateSpec{SourceCluster: tt.source, TargetCluster: tt.target}) {
				got = append(got, use.String())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestMayUse(t *testing.T) {
	jane := &v1alpha1.Requester{Username: "jane", UID: "42", Groups: []string{"shop"}, Extra: map[string][]string{"scopes": {"all"}}}
	const refused = `user "jane" may not use AttachedCluster ns/a: it takes verb "use" on resource "attachedclusters" in API group "cluster.kurator.dev" ` +
		`with that name and namespace; ask for a RoleBinding to ClusterRole migrate-cluster-user, or to a Role with that rule`
	down := errors.New("connection refused")
	for _, tt := range []struct {
		name      string
		judge     *judge
		requester *v1alpha1.Requester
		d         v1alpha1.Destination
		want      string
		err       error
		asked     []string
	}{
		{"by name", &judge{allows: []string{"attachedclusters/ns/a"}}, jane, to("f", "AttachedCluster/a"), "", nil, []string{"use cluster.kurator.dev attachedclusters/ns/a"}},
		{"as a member of the fleet", &judge{allows: []string{"fleets/ns/f"}}, jane, to("f"), "", nil, []string{"use fleet.kurator.dev fleets/ns/f"}},
		{"the fleet does not grant a named cluster", &judge{allows: []string{"fleets/ns/f"}}, jane, to("f", "AttachedCluster/a"), refused, nil, []string{"use cluster.kurator.dev attachedclusters/ns/a"}},
		{"in another namespace", &judge{allows: []string{"attachedclusters/other/a"}}, jane, to("f", "AttachedCluster/a"), refused, nil, []string{"use cluster.kurator.dev attachedclusters/ns/a"}},
		{"an error of an authorizer, and another one allows", &judge{allows: []string{"attachedclusters/ns/a"}, err: down}, jane, to("f", "AttachedCluster/a"), "", nil, []string{"use cluster.kurator.dev attachedclusters/ns/a"}},
		{"can't be asked", &judge{err: down}, jane, to("f", "AttachedCluster/a"), "", down, []string{"use cluster.kurator.dev attachedclusters/ns/a"}},
		{"nobody is recorded", &judge{allows: []string{"attachedclusters/ns/a"}}, nil, to("f", "AttachedCluster/a"), "it is not recorded who created the Migrate; create it again", nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &v1alpha1.Migrate{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "app"}, Spec: v1alpha1.MigrateSpec{Requester: tt.requester}}
			got, err := NewAccess(tt.judge).MayUse(t.Context(), m, tt.d, migration.Cluster{Kind: "AttachedCluster", Name: "a"})
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("got %q, %v, want %q, %v", got, err, tt.want, tt.err)
			}
			if diff := cmp.Diff(tt.asked, tt.judge.asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
			for _, u := range tt.judge.users {
				want := &user.DefaultInfo{Name: "jane", UID: "42", Groups: []string{"shop"}, Extra: map[string][]string{"scopes": {"all"}}}
				if diff := cmp.Diff(user.Info(want), u); diff != "" {
					t.Errorf("asked about somebody else (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// TestRefused asks about many clusters: about all of a kind once, and about each if
// that is refused.
func TestRefused(t *testing.T) {
	names := make([]string, 100)
	for i := range names {
		names[i] = fmt.Sprintf("AttachedCluster/m%02d", i)
	}
	uses := UsesOf("ns", &v1alpha1.MigrateSpec{SourceCluster: to("f", "Cluster/s"), TargetCluster: to("f", names...)})
	jane := &user.DefaultInfo{Name: "jane"}

	all := &judge{allows: []string{"attachedclusters/ns/", "clusters/ns/"}}
	if refused, err := NewAccess(all).Refused(t.Context(), jane, uses); err != nil || len(refused) != 0 || len(all.asked) != 2 {
		t.Errorf("who may use all is refused %v, %v, after %d questions", refused, err, len(all.asked))
	}
	some := &judge{allows: []string{"clusters/ns/s"}}
	for i := range names {
		if i != 7 && i != 93 {
			some.allows = append(some.allows, fmt.Sprintf("attachedclusters/ns/m%02d", i))
		}
	}
	refused, err := NewAccess(some).Refused(t.Context(), jane, uses)
	if got := fmt.Sprint(refused); err != nil || got != "[AttachedCluster ns/m07 AttachedCluster ns/m93]" || len(some.asked) != 103 {
		t.Errorf("refused %s, %v, after %d questions", got, err, len(some.asked))
	}
	down := &judge{err: errors.New("connection refused")}
	if refused, err := NewAccess(down).Refused(t.Context(), jane, uses); err == nil || refused != nil {
		t.Errorf("refused %v, %v, though nobody could be asked", refused, err)
	}
}
