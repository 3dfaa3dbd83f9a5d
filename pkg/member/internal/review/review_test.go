// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package review

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/member/internal/client"
	"kurator.dev/migrate-apiserver/pkg/member/internal/clienttest"
	"kurator.dev/migrate-apiserver/pkg/member/internal/membertest"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// reviewer answers SubjectAccessReviews. It allows everything that refuses does not refuse.
type reviewer struct {
	refuses func(authorizationv1.ResourceAttributes) bool

	mutex sync.Mutex
	asked []string
	specs []authorizationv1.SubjectAccessReviewSpec
}

func (v *reviewer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Path != "/apis/authorization.k8s.io/v1/subjectaccessreviews" {
		if answer, known := membertest.Discovery[r.URL.Path]; known {
			fmt.Fprint(w, answer)
			return
		}
		http.NotFound(w, r)
		return
	}
	var review authorizationv1.SubjectAccessReview
	_ = json.NewDecoder(r.Body).Decode(&review)
	what := *review.Spec.ResourceAttributes
	v.mutex.Lock()
	v.asked = append(v.asked, strings.TrimSpace(strings.Join([]string{what.Verb, what.Group + "/" + what.Resource, what.Namespace, what.Name}, " ")))
	v.specs = append(v.specs, review.Spec)
	v.mutex.Unlock()
	review.Status.Allowed = v.refuses == nil || !v.refuses(what)
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(review)
}

// quick fails fast and does not retry.
func quick() client.Options {
	return client.Options{CallTimeout: 5 * time.Second, RetryMin: time.Hour, RetryMax: time.Hour}
}

// reviewOf returns the review of a Migrate of jane in the source or in the target.
func reviewOf(filter v1alpha1.ResourceFilter, source bool) migration.Review {
	m := &v1alpha1.Migrate{Spec: v1alpha1.MigrateSpec{
		Requester: &v1alpha1.Requester{Username: "jane", UID: "42", Groups: []string{"shop"}, Extra: map[string][]string{"scopes": {"all"}}},
		Policy:    &v1alpha1.MigratePolicy{ResourceFilter: &filter, NamespaceMapping: map[string]string{"a": "z"}},
	}}
	return migration.NewReview(m, migration.ClusterPlan{Source: source})
}

func TestReview(t *testing.T) {
	const neededUnlessListed = "which is needed where the filter does not list, by name in includedResources, resources that the cluster has"
	notAll := func(a authorizationv1.ResourceAttributes) bool { return a.Resource == "*" }
	notOfTheCluster := func(a authorizationv1.ResourceAttributes) bool { return a.Namespace == "" }
	for _, tt := range []struct {
		name    string
		filter  v1alpha1.ResourceFilter
		target  bool
		refuses func(authorizationv1.ResourceAttributes) bool
		asked   []string
		want    string
	}{
		{name: "all of it", asked: []string{"get */*", "list */*"}},
		{name: "all of it in a target", target: true, asked: []string{"create */*"}},
		{
			name: "not all of it", refuses: notAll,
			asked: []string{"get */*", "list */*"},
			want:  `user "jane" may not get every resource in all namespaces in member1, ` + neededUnlessListed,
		},
		{
			name: "not all of it in a target", target: true, refuses: notAll,
			asked: []string{"create */*"},
			want:  `user "jane" may not create every resource in all namespaces in member1, ` + neededUnlessListed,
		},
		{
			name: "not all of it, of which one is excluded", filter: v1alpha1.ResourceFilter{IncludedNamespaces: []string{"a"}, ExcludedResources: []string{"secrets"}}, refuses: notAll,
			asked: []string{"get */*", "list */*"},
			want:  `user "jane" may not get every resource in all namespaces in member1, ` + neededUnlessListed,
		},
		{
			name: "all of a namespace", filter: v1alpha1.ResourceFilter{IncludedNamespaces: []string{"a"}, IncludeClusterResources: new(false)}, refuses: notOfTheCluster,
			asked: []string{"get */*", "get */* a", "get /namespaces a a", "list */*", "list */* a"},
		},
		{
			name: "all of a namespace in a target", filter: v1alpha1.ResourceFilter{IncludedNamespaces: []string{"a", "there"}, ExcludedClusterScopedResources: []string{"*"}}, target: true,
			refuses: func(a authorizationv1.ResourceAttributes) bool { return notOfTheCluster(a) && a.Resource == "*" },
			asked:   []string{"create */*", "create */* there", "create */* z", "create /namespaces"},
		},
		{
			name: "not all of a namespace", filter: v1alpha1.ResourceFilter{IncludedNamespaces: []string{"there"}, IncludedResources: []string{"config*"}, IncludeClusterResources: new(false)}, target: true,
			refuses: notAll,
			asked:   []string{"create */*", "create */* there"},
			want:    `user "jane" may not create every resource in namespace there in member1, ` + neededUnlessListed,
		},
		{
			name: "a resource that is unknown there", filter: v1alpha1.ResourceFilter{IncludedNamespaces: []string{"there"}, IncludedResources: []string{"cm", "gateways"}}, target: true,
			refuses: notAll,
			asked:   []string{"create */*"},
			want:    `user "jane" may not create every resource in all namespaces in member1, ` + neededUnlessListed,
		},
		{
			name: "each resource of a list", filter: v1alpha1.ResourceFilter{IncludedResources: []string{"cm", "nodes", "deploy"}}, refuses: notAll,
			asked: []string{
				"get */*", "get /configmaps", "get /namespaces", "get /nodes", "get apps/deployments",
				"list */*", "list /configmaps", "list /namespaces", "list /nodes", "list apps/deployments",
			},
		},
		{
			name: "what a target gets of a list", filter: v1alpha1.ResourceFilter{IncludedResources: []string{"cm", "nodes", "deploy"}}, target: true, refuses: notAll,
			asked: []string{"create */*", "create /configmaps", "create /namespaces", "create apps/deployments"},
		},
		{
			name: "in named namespaces", filter: v1alpha1.ResourceFilter{IncludedNamespaces: []string{"a", "b"}, IncludedResources: []string{"cm"}}, refuses: notAll,
			asked: []string{"get */*", "get /configmaps a", "get /configmaps b", "get /namespaces a a", "get /namespaces b b", "list */*", "list /configmaps a", "list /configmaps b"},
		},
		{
			name: "in the namespaces that they are mapped to", filter: v1alpha1.ResourceFilter{IncludedNamespaces: []string{"a", "b"}, IncludedResources: []string{"cm"}},
			target: true, refuses: notAll,
			asked: []string{"create */*", "create /configmaps b", "create /configmaps z", "create /namespaces"},
		},
		{
			name: "in a namespace that is there", filter: v1alpha1.ResourceFilter{IncludedNamespaces: []string{"there"}, IncludedResources: []string{"cm"}},
			target: true, refuses: notAll,
			asked: []string{"create */*", "create /configmaps there"},
		},
		{
			name: "in a namespace that is being deleted", filter: v1alpha1.ResourceFilter{IncludedNamespaces: []string{"leaving"}, IncludedResources: []string{"cm"}},
			target: true, refuses: notAll,
			asked: []string{"create */*", "create /configmaps leaving", "create /namespaces"},
		},
		{
			name: "in a namespace that can't be read", filter: v1alpha1.ResourceFilter{IncludedNamespaces: []string{"there", "hidden"}, IncludedResources: []string{"cm"}},
			target: true, refuses: notAll,
			asked: []string{"create */*", "create /configmaps hidden", "create /configmaps there", "create /namespaces"},
		},
		{
			name: "no namespace to create", filter: v1alpha1.ResourceFilter{IncludedNamespaces: []string{"there", "a"}, IncludedResources: []string{"cm"}},
			target: true,
			refuses: func(a authorizationv1.ResourceAttributes) bool {
				return a.Resource == "*" || a.Resource == "namespaces"
			},
			asked: []string{"create */*", "create /configmaps there", "create /configmaps z", "create /namespaces"},
			want:  `user "jane" may not create namespaces in member1, which the migration would do for them`,
		},
		{
			name: "not where they are mapped to", filter: v1alpha1.ResourceFilter{IncludedNamespaces: []string{"a"}, IncludedResources: []string{"cm"}},
			target: true,
			refuses: func(a authorizationv1.ResourceAttributes) bool {
				return a.Namespace != "a" && a.Resource != "namespaces"
			},
			asked: []string{"create */*", "create /configmaps z", "create /namespaces"},
			want:  `user "jane" may not create configmaps in namespace z in member1, which the migration would do for them`,
		},
		{
			name: "no namespace to read", filter: v1alpha1.ResourceFilter{IncludedNamespaces: []string{"a"}, IncludedResources: []string{"cm"}},
			refuses: func(a authorizationv1.ResourceAttributes) bool {
				return a.Resource == "*" || a.Resource == "namespaces"
			},
			asked: []string{"get */*", "get /configmaps a", "get /namespaces a a", "list */*", "list /configmaps a"},
			want:  `user "jane" may not get namespaces a in member1, which the migration would do for them`,
		},
		{
			name: "no Secrets", filter: v1alpha1.ResourceFilter{IncludedNamespaces: []string{"a"}, IncludedResources: []string{"secrets", "configmaps"}},
			refuses: func(a authorizationv1.ResourceAttributes) bool { return a.Resource == "*" || a.Resource == "secrets" },
			asked:   []string{"get */*", "get /configmaps a", "get /namespaces a a", "get /secrets a", "list */*", "list /configmaps a", "list /secrets a"},
			want:    `user "jane" may not get secrets in namespace a in member1, which the migration would do for them`,
		},
		{
			name: "not everywhere", filter: v1alpha1.ResourceFilter{IncludedResources: []string{"deployments.apps"}},
			refuses: func(a authorizationv1.ResourceAttributes) bool { return a.Namespace == "" && a.Verb == "list" },
			asked:   []string{"get */*", "get /namespaces", "get apps/deployments", "list */*", "list /namespaces", "list apps/deployments"},
			want:    `user "jane" may not list deployments.apps in all namespaces in member1, which the migration would do for them`,
		},
		{
			name: "not what is of the cluster", filter: v1alpha1.ResourceFilter{IncludedResources: []string{"pv"}}, target: true,
			refuses: func(authorizationv1.ResourceAttributes) bool { return true },
			asked:   []string{"create */*", "create /persistentvolumes"},
			want:    `user "jane" may not create persistentvolumes in member1, which the migration would do for them`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server, v := membertest.NewAPIServer(t), &reviewer{refuses: tt.refuses}
			server.SetFault(v.ServeHTTP)
			m := clienttest.New(server, quick())
			refusal, err := Check(t.Context(), m, reviewOf(tt.filter, !tt.target))
			if err != nil {
				t.Fatal(err)
			}
			if refusal != tt.want {
				t.Errorf("refusal %q, want %q", refusal, tt.want)
			}
			slices.Sort(v.asked)
			if diff := cmp.Diff(tt.asked, v.asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
			for _, spec := range v.specs {
				who := authorizationv1.SubjectAccessReviewSpec{
					User: "jane", UID: "42", Groups: []string{"shop"}, Extra: map[string]authorizationv1.ExtraValue{"scopes": {"all"}},
					ResourceAttributes: spec.ResourceAttributes,
				}
				if diff := cmp.Diff(who, spec); diff != "" {
					t.Errorf("the reviews are about another user (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// TestReviewWithOneCallAtATime uses a member to which one call at a time is made.
func TestReviewWithOneCallAtATime(t *testing.T) {
	server, v := membertest.NewAPIServer(t), &reviewer{}
	server.SetFault(v.ServeHTTP)
	o := quick()
	o.MaxCalls = 1
	m := clienttest.New(server, o)
	if refusal, err := Check(t.Context(), m, reviewOf(v1alpha1.ResourceFilter{}, true)); err != nil || refusal != "" {
		t.Errorf("got %q, %v", refusal, err)
	}
}

// TestFailedReviewReturnsError uses members that can't answer: the requester is neither refused nor
// allowed.
func TestFailedReviewReturnsError(t *testing.T) {
	for name, test := range map[string]struct {
		fault http.HandlerFunc
		want  string
	}{
		"may not ask": {membertest.Status(403, "you may not create subjectaccessreviews"), "you may not create subjectaccessreviews"},
		"errors":      {membertest.Status(500, "etcd is down"), "etcd is down"},
		"garbage":     {membertest.Garbage, ""},
		"no discovery": {func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/apis/authorization") {
				(&reviewer{refuses: func(authorizationv1.ResourceAttributes) bool { return true }}).ServeHTTP(w, r)
				return
			}
			membertest.Status(503, "no discovery")(w, r)
		}, "it answers 503, and not as Kubernetes does"},
	} {
		t.Run(name, func(t *testing.T) {
			server := membertest.NewAPIServer(t)
			server.SetFault(test.fault)
			m := clienttest.New(server, quick())
			refusal, err := Check(t.Context(), m, reviewOf(v1alpha1.ResourceFilter{IncludedResources: []string{"cm"}}, true))
			if err == nil || refusal != "" || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %q, %v, want an error that says %q", refusal, err, test.want)
			}
		})
	}
}

// TestReviewKeepsTheRequester uses a hostile member that answers with another user. The decoded
// answer must not overwrite the recorded requester, which is shared with other readers.
func TestReviewKeepsTheRequester(t *testing.T) {
	server := membertest.NewAPIServer(t)
	server.SetFault(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"spec":{"user":"root","groups":["system:masters"],"extra":{"scopes":["none"]}},"status":{"allowed":true}}`)
	})
	m := clienttest.New(server, quick())
	review := reviewOf(v1alpha1.ResourceFilter{}, true)
	if refusal, err := Check(t.Context(), m, review); err != nil || refusal != "" {
		t.Errorf("got %q, %v", refusal, err)
	}
	want := v1alpha1.Requester{Username: "jane", UID: "42", Groups: []string{"shop"}, Extra: map[string][]string{"scopes": {"all"}}}
	if diff := cmp.Diff(want, review.Requester); diff != "" {
		t.Errorf("the requester is another one (-want +got):\n%s", diff)
	}
}

// TestReviewOfStatus expects questions about the status of those selected resources that the policy
// names.
func TestReviewOfStatus(t *testing.T) {
	m := &v1alpha1.Migrate{Spec: v1alpha1.MigrateSpec{
		Requester: &v1alpha1.Requester{Username: "jane"},
		Policy: &v1alpha1.MigratePolicy{
			ResourceFilter: &v1alpha1.ResourceFilter{IncludedNamespaces: []string{"a"}, IncludedResources: []string{"configmaps", "deployments.apps"}},
			MigrateStatus:  &v1alpha1.PreserveStatus{IncludedResources: []string{"deployments.apps", "secrets"}},
		},
	}}
	refusesStatus := func(a authorizationv1.ResourceAttributes) bool {
		return a.Resource == "*" && a.Subresource == "" || a.Subresource == "status" && a.Resource == "deployments"
	}
	for source, want := range map[bool]string{
		true:  "",
		false: `user "jane" may not update status of deployments.apps in namespace a in member1, which the migration would do for them`,
	} {
		v := &reviewer{refuses: refusesStatus}
		server := membertest.NewAPIServer(t)
		server.SetFault(v.ServeHTTP)
		member := clienttest.New(server, quick())
		got, err := Check(t.Context(), member, migration.NewReview(m, migration.ClusterPlan{Source: source}))
		if got != want || err != nil {
			t.Errorf("source %v: %q, %v; want %q", source, got, err, want)
		}
		if slices.ContainsFunc(v.specs, func(s authorizationv1.SubjectAccessReviewSpec) bool {
			return s.ResourceAttributes.Subresource == "status" && s.ResourceAttributes.Resource == "secrets"
		}) {
			t.Error("asked about the status of what the filter does not select")
		}
	}
}
