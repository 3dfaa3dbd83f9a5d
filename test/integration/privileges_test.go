// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/test/localfleet"
)

// permissionCases are all permissions of artifacts/deploy, and what fails without each.
var permissionCases = []struct {
	permission permission
	fails      failure
}{
	// The inventory. Without list, a Migrate waits and its status reports why. Without watch,
	// the objects are only listed again from time to time. get is needed for the live status
	// and to read kubeconfigs.
	{permission{"fleet.kurator.dev", "fleets", "list"}, recorded},
	{permission{"fleet.kurator.dev", "fleets", "watch"}, logged},
	{permission{"fleet.kurator.dev", "fleets", "get"}, live},
	{permission{"cluster.kurator.dev", "attachedclusters", "list"}, recorded},
	{permission{"cluster.kurator.dev", "attachedclusters", "watch"}, logged},
	{permission{"cluster.kurator.dev", "attachedclusters", "get"}, recorded},
	{permission{"cluster.kurator.dev", "clusters", "list"}, recorded},
	{permission{"cluster.kurator.dev", "clusters", "watch"}, logged},
	{permission{"cluster.kurator.dev", "clusters", "get"}, recorded},
	// Without list there are no ClusterProfiles: an installation of an earlier version has no permission for them.
	{permission{"multicluster.x-k8s.io", "clusterprofiles", "list"}, logged},
	{permission{"multicluster.x-k8s.io", "clusterprofiles", "watch"}, logged},
	{permission{"multicluster.x-k8s.io", "clusterprofiles", "get"}, liveOfClusterProfile},
	{permission{"", "secrets", "get"}, recorded},
	// The server can't say whether requests reach it.
	{permission{"apiregistration.k8s.io", "apiservices", "get"}, logged},
	// The serving certificate can't be issued or renewed, or the host does not trust it.
	{permission{"", "secrets", "create"}, logged},
	{permission{"", "secrets migrate-apiserver-tls", "get"}, logged},
	{permission{"", "secrets migrate-apiserver-tls", "update"}, logged},
	{permission{"apiregistration.k8s.io", "apiservices", "patch"}, logged},
	// Events, and the counts of repeated ones, are lost.
	{permission{"events.k8s.io", "events", "create"}, loggedWithMigrate},
	{permission{"events.k8s.io", "events", "patch"}, loggedWithRepeatedEvent},
	// No replica becomes the leader, or it can't renew its Lease.
	{permission{"coordination.k8s.io", "leases", "create"}, notReconciled},
	{permission{"coordination.k8s.io", "leases", "get"}, notReconciled},
	{permission{"coordination.k8s.io", "leases", "update"}, logged},
	// Admission is never ready, or uses stale objects.
	{permission{"", "namespaces", "list"}, notReady},
	{permission{"", "namespaces", "watch"}, logged},
	{permission{"", "namespaces", "get"}, returnedWithoutNamespace},
	{permission{"admissionregistration.k8s.io", "mutatingwebhookconfigurations", "list"}, notReady},
	{permission{"admissionregistration.k8s.io", "mutatingwebhookconfigurations", "watch"}, logged},
	{permission{"admissionregistration.k8s.io", "validatingwebhookconfigurations", "list"}, notReady},
	{permission{"admissionregistration.k8s.io", "validatingwebhookconfigurations", "watch"}, logged},
	{permission{"admissionregistration.k8s.io", "mutatingadmissionpolicies", "list"}, notReady},
	{permission{"admissionregistration.k8s.io", "mutatingadmissionpolicies", "watch"}, logged},
	{permission{"admissionregistration.k8s.io", "mutatingadmissionpolicybindings", "list"}, notReady},
	{permission{"admissionregistration.k8s.io", "mutatingadmissionpolicybindings", "watch"}, logged},
	{permission{"admissionregistration.k8s.io", "validatingadmissionpolicies", "list"}, notReady},
	{permission{"admissionregistration.k8s.io", "validatingadmissionpolicies", "watch"}, logged},
	{permission{"admissionregistration.k8s.io", "validatingadmissionpolicybindings", "list"}, notReady},
	{permission{"admissionregistration.k8s.io", "validatingadmissionpolicybindings", "watch"}, logged},
	// The same for quotas. A quota whose usage can't be updated rejects all creations.
	{permission{"", "resourcequotas", "list"}, notReady},
	{permission{"", "resourcequotas", "watch"}, logged},
	{permission{"", "resourcequotas/status", "update"}, returnedWithQuota},
	// The server can't tell which addresses are Services of the host.
	{permission{"networking.k8s.io", "servicecidrs", "list"}, logged},
	{permission{"", "services", "get"}, logged},
	// Priority and fairness is never ready, or uses stale objects.
	{permission{"flowcontrol.apiserver.k8s.io", "flowschemas", "list"}, notReady},
	{permission{"flowcontrol.apiserver.k8s.io", "flowschemas", "watch"}, logged},
	{permission{"flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations", "list"}, notReady},
	{permission{"flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations", "watch"}, logged},
	// Delegated authentication and authorization fail; without the aggregator's CA the server
	// does not start.
	{permission{"authentication.k8s.io", "tokenreviews", "create"}, tokenNotAuthenticated},
	{permission{"authorization.k8s.io", "subjectaccessreviews", "create"}, allUsersRefused},
	{permission{"", "configmaps", "get"}, exited},
}

// TestEveryPermissionIsNeeded runs a server without each permission of artifacts/deploy, and
// checks that the expected failure occurs. No permission may be untested.
func TestEveryPermissionIsNeeded(t *testing.T) {
	n := newNamespace(t)
	n.run("create", "-f", n.file("fleet.yaml", fleetOfBothKinds(t), 0o600))
	n.run("patch", "attachedcluster", "member1", "--subresource=status", "--type=merge", "-p", `{"status":{"ready":true}}`)
	n.run("patch", "cluster.cluster.kurator.dev", "member2", "--subresource=status", "--type=merge", "-p", `{"status":{"phase":"Ready"}}`)
	n.run("create", "clusterrole", "all-of-migrates", "--verb=*", "--resource=migrates.backup.kurator.dev")
	n.run("create", "rolebinding", "all-users", "--clusterrole=all-of-migrates", "--group=system:authenticated")
	const limited = "limited-by-quota"
	quota := namespace{t, limited}
	quota.run("create", "namespace", limited)
	quota.run("create", "quota", "many", "--hard=count/migrates.backup.kurator.dev=100")
	quota.run("patch", "quota", "many", "--subresource=status", "--type=merge", "-p",
		`{"status":{"hard":{"count/migrates.backup.kurator.dev":"100"},"used":{"count/migrates.backup.kurator.dev":"0"}}}`)

	var tested []permission
	for _, r := range permissionCases {
		tested = append(tested, r.permission)
	}
	for _, p := range deployedPermissions(t) {
		if !slices.Contains(tested, p) {
			t.Errorf("no case shows that %s is needed", p)
		}
	}

	spares := make(chan *localfleet.Spare, 2)
	all, err := host.Spares(cap(spares))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		spares <- s
	}
	t.Run("with all permissions", func(t *testing.T) {
		t.Parallel()
		s := startWithout(t, spares, n, "spare-with-all", permission{})
		s.checkWorks()
	})
	for i, r := range permissionCases {
		t.Run(fmt.Sprintf("without %s", r.permission), func(t *testing.T) {
			t.Parallel()
			s := startWithout(t, spares, n, fmt.Sprintf("spare-without-%02d", i), r.permission)
			eventually(t, "the failure", func(ctx context.Context) bool { return r.fails(ctx, s, r.permission) })
		})
	}
}

// failure reports whether a server is observed to fail because it lacks a permission.
type failure func(context.Context, *spare, permission) bool

// logged reports whether the log has the host's error.
func logged(_ context.Context, s *spare, p permission) bool {
	return strings.Contains(s.log(), p.errorText())
}

// loggedWithMigrate is logged, after the creation of a Migrate.
func loggedWithMigrate(ctx context.Context, s *spare, p permission) bool {
	s.ensureMigrate(ctx)
	return logged(ctx, s, p)
}

// notReady reports whether the server is not ready, and only because of the informer of the
// resource.
func notReady(ctx context.Context, s *spare, p permission) bool {
	_, why, err := s.try(ctx, "/readyz/informer-sync")
	singular := strings.TrimSuffix(strings.ReplaceAll(p.resource, "policies", "policys"), "s")
	return err == nil && logged(ctx, s, p) &&
		strings.HasPrefix(strings.ToLower(why), "internal server error: 1 informers not started yet: [*v1."+singular+"]")
}

// exited reports whether the server has exited.
func exited(ctx context.Context, s *spare, p permission) bool {
	return logged(ctx, s, p) && !s.Running()
}

// recorded reports whether the recorded status of a Migrate has the host's error.
func recorded(ctx context.Context, s *spare, p permission) bool {
	s.ensureMigrate(ctx)
	return strings.Contains(s.read(ctx, "a"), p.errorText())
}

// live reports whether the live status of a Migrate has the host's error.
func live(ctx context.Context, s *spare, p permission) bool {
	s.ensureMigrate(ctx)
	return strings.Contains(s.read(ctx, "a/status"), p.errorText())
}

// liveOfClusterProfile is live, for a Migrate to a ClusterProfile.
func liveOfClusterProfile(ctx context.Context, s *spare, p permission) bool {
	_, _ = s.createTo(ctx, s.n.name, "to-profile", "nowhere", "ClusterProfile") // it exists at the second call
	return strings.Contains(s.read(ctx, "to-profile/status"), p.errorText())
}

// notReconciled reports whether the log has the host's error and a Migrate still has its
// initial status.
func notReconciled(ctx context.Context, s *spare, p permission) bool {
	s.ensureMigrate(ctx)
	return logged(ctx, s, p) && s.created && strings.Contains(s.read(ctx, "a"), `"reason":"`+v1alpha1.ReasonAccepted+`"`)
}

// loggedWithRepeatedEvent is logged, after an Event is repeated.
func loggedWithRepeatedEvent(ctx context.Context, s *spare, p permission) bool {
	s.repeatEvent(ctx)
	return logged(ctx, s, p)
}

// returnedWithoutNamespace reports whether a creation in a missing namespace returns the host's
// error.
func returnedWithoutNamespace(ctx context.Context, s *spare, p permission) bool {
	code, body := s.create(ctx, "no-such-namespace", "a")
	return code == http.StatusInternalServerError && strings.Contains(body, p.errorText())
}

// returnedWithQuota reports whether a creation in a namespace with a quota returns the host's
// error.
func returnedWithQuota(ctx context.Context, s *spare, p permission) bool {
	code, body := s.create(ctx, "limited-by-quota", s.account)
	return code == http.StatusForbidden && strings.Contains(body, p.errorText())
}

// tokenNotAuthenticated reports whether the token of a ServiceAccount gets a 401.
func tokenNotAuthenticated(ctx context.Context, s *spare, p permission) bool {
	return s.listCode(ctx, asServiceAccount) == http.StatusUnauthorized && logged(ctx, s, p)
}

// allUsersRefused reports whether a user with all permissions gets an error.
func allUsersRefused(ctx context.Context, s *spare, p permission) bool {
	code := s.listCode(ctx, asUser)
	return code >= http.StatusForbidden && logged(ctx, s, p)
}

// checkWorks checks that no failure of permissionCases occurs.
func (s *spare) checkWorks() {
	s.t.Helper()
	eventually(s.t, "the server to be ready", func(ctx context.Context) bool {
		code, _, err := s.try(ctx, "/readyz")
		return err == nil && code == http.StatusOK
	})
	// The server may be ready before it has the CA of client certificates, which only direct
	// connections need.
	eventually(s.t, "the administrator's certificate to be accepted", func(ctx context.Context) bool {
		code, _ := s.create(ctx, s.n.name, "a")
		return code == http.StatusCreated
	})
	for _, status := range []string{"a", "a/status"} {
		eventually(s.t, "the status to report the members", func(ctx context.Context) bool {
			body := s.read(ctx, status)
			return strings.Contains(body, `"clusterName":"member1"`) && strings.Contains(body, `"reason":"MemberUnreachable"`)
		})
	}
	ctx := s.t.Context()
	code, _ := s.create(ctx, "no-such-namespace", "a")
	equal(s.t, "code of a creation in a missing namespace", fmt.Sprint(code), "404")
	code, body := s.create(ctx, "limited-by-quota", s.account)
	equal(s.t, "code of a creation in a namespace with a quota", fmt.Sprint(code), "201")
	equal(s.t, "code with a token", fmt.Sprint(s.listCode(ctx, asServiceAccount)), "200")
	equal(s.t, "code with a user name", fmt.Sprint(s.listCode(ctx, asUser)), "200")
	eventually(s.t, "a repeated Event", func(ctx context.Context) bool {
		s.repeatEvent(ctx)
		counts := s.n.run("get", "events.events.k8s.io", "-o", "jsonpath={.items[?(@.regarding.name=='again-"+s.account+"')].series.count}")
		return strings.Contains(counts, "2")
	})
	if log := s.log(); strings.Contains(log, "is forbidden") || strings.Contains(log, "cannot ") {
		s.t.Errorf("the log has a denied request; the last creation returned %s:\n%s", body, log)
	}
}
