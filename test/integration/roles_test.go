// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"path/filepath"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// TestTenantRoles checks what artifacts/examples aggregates to the ClusterRoles view, edit and
// admin.
func TestTenantRoles(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	namespace{t, "default"}.run("apply", "-f", filepath.Join("..", "..", "artifacts", "examples", "tenant-roles.yaml"))
	for _, role := range []string{"view", "edit", "admin"} {
		n.run("create", "rolebinding", role, "--clusterrole="+role, "--user="+role)
	}
	migrates := authorizationv1.ResourceAttributes{Group: "backup.kurator.dev", Resource: "migrates"}
	status := authorizationv1.ResourceAttributes{Group: "backup.kurator.dev", Resource: "migrates", Subresource: "status"}
	subresource := func(name string) authorizationv1.ResourceAttributes {
		return authorizationv1.ResourceAttributes{Group: "backup.kurator.dev", Resource: "migrates", Subresource: name}
	}
	previews := authorizationv1.ResourceAttributes{Group: "backup.kurator.dev", Resource: "migratepreviews"}
	clusters := authorizationv1.ResourceAttributes{Group: "cluster.kurator.dev", Resource: "attachedclusters"}
	fleets := authorizationv1.ResourceAttributes{Group: "fleet.kurator.dev", Resource: "fleets"}
	may := n.may()
	eventually(t, "the roles to be aggregated", func(context.Context) bool {
		return may("view", "get", migrates) && may("edit", "create", migrates) && may("admin", "deletecollection", migrates)
	})
	for _, test := range []struct {
		verb              string
		resource          authorizationv1.ResourceAttributes
		view, edit, admin bool
	}{
		{"get", migrates, true, true, true},
		{"list", migrates, true, true, true},
		{"watch", migrates, true, true, true},
		{"get", status, true, true, true},
		{"create", migrates, false, true, true},
		{"update", migrates, false, true, true},
		{"patch", migrates, false, true, true},
		{"delete", migrates, false, true, true},
		{"deletecollection", migrates, false, false, true},
		{"update", status, false, false, false},
		{"get", subresource("log"), false, true, true},
		{"get", subresource("results"), false, true, true},
		{"create", previews, false, true, true},
		{"create", subresource("cancel"), false, true, true},
		{"use", clusters, false, false, false},
		{"use", fleets, false, false, false},
	} {
		for user, want := range map[string]bool{"view": test.view, "edit": test.edit, "admin": test.admin} {
			if got := may(user, test.verb, test.resource); got != want {
				t.Errorf("%s may %s %s %s: %t, want %t", user, test.verb, test.resource.Resource, test.resource.Subresource, got, want)
			}
		}
	}

	file := n.file("a.yaml", manifest("a"), 0o600)
	contains(t, n.fail("create", "--as=view", "-f", file), `User "view" cannot create resource "migrates"`)
	contains(t, n.fail("create", "--as=edit", "-f", file), "(Forbidden)", "use", "member1", "migrate-cluster-user")
	n.run("create", "rolebinding", "clusters", "--clusterrole=migrate-cluster-user", "--user=edit")
	// Our server caches a denial of the host for some seconds.
	eventually(t, "the ClusterRole to take effect", func(context.Context) bool {
		_, err := n.try("", "create", "--as=edit", "-f", file)
		return err == nil
	})
	equal(t, "requester", n.get("a", "{.spec.requester.username}"), "edit")
}

// may returns a function that checks with a SubjectAccessReview what a user may do in the
// namespace.
func (n namespace) may() func(user, verb string, what authorizationv1.ResourceAttributes) bool {
	n.t.Helper()
	config, err := host.HostConfig()
	if err != nil {
		n.t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		n.t.Fatal(err)
	}
	return func(user, verb string, what authorizationv1.ResourceAttributes) bool {
		what.Namespace, what.Verb = n.name, verb
		review, err := client.AuthorizationV1().SubjectAccessReviews().Create(n.t.Context(), &authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{User: user, ResourceAttributes: &what},
		}, metav1.CreateOptions{})
		if err != nil {
			n.t.Fatal(err)
		}
		return review.Status.Allowed
	}
}
