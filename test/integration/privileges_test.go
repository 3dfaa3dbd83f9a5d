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

// removals are all permissions that artifacts/deploy gives, and what fails without
// each.
var removals = []struct {
	permission permission
	fails      symptom
}{
	// The inventory: a Migrate waits for what can't be listed, and tells so; what
	// can't be watched is read anew from time to time only; what can't be read by
	// name is missing from the live status, or on the way to a kubeconfig.
	{permission{"fleet.kurator.dev", "fleets", "list"}, recorded},
	{permission{"fleet.kurator.dev", "fleets", "watch"}, logged},
	{permission{"fleet.kurator.dev", "fleets", "get"}, live},
	{permission{"cluster.kurator.dev", "attachedclusters", "list"}, recorded},
	{permission{"cluster.kurator.dev", "attachedclusters", "watch"}, logged},
	{permission{"cluster.kurator.dev", "attachedclusters", "get"}, recorded},
	{permission{"cluster.kurator.dev", "clusters", "list"}, recorded},
	{permission{"cluster.kurator.dev", "clusters", "watch"}, logged},
	{permission{"cluster.kurator.dev", "clusters", "get"}, recorded},
	{permission{"", "secrets", "get"}, recorded},
	// Events are lost: all of them, or that one has come again.
	{permission{"events.k8s.io", "events", "create"}, loggedAtWork},
	{permission{"events.k8s.io", "events", "patch"}, loggedOfARepetition},
	// Nobody drives migrations.
	{permission{"coordination.k8s.io", "leases", "create"}, undriven},
	{permission{"coordination.k8s.io", "leases", "get"}, undriven},
	{permission{"coordination.k8s.io", "leases", "update"}, logged},
	// The admission chain is never ready, or acts on what was.
	{permission{"", "namespaces", "list"}, unready},
	{permission{"", "namespaces", "watch"}, logged},
	{permission{"", "namespaces", "get"}, answeredWhereThereIsNoNamespace},
	{permission{"admissionregistration.k8s.io", "mutatingwebhookconfigurations", "list"}, unready},
	{permission{"admissionregistration.k8s.io", "mutatingwebhookconfigurations", "watch"}, logged},
	{permission{"admissionregistration.k8s.io", "validatingwebhookconfigurations", "list"}, unready},
	{permission{"admissionregistration.k8s.io", "validatingwebhookconfigurations", "watch"}, logged},
	{permission{"admissionregistration.k8s.io", "mutatingadmissionpolicies", "list"}, unready},
	{permission{"admissionregistration.k8s.io", "mutatingadmissionpolicies", "watch"}, logged},
	{permission{"admissionregistration.k8s.io", "mutatingadmissionpolicybindings", "list"}, unready},
	{permission{"admissionregistration.k8s.io", "mutatingadmissionpolicybindings", "watch"}, logged},
	{permission{"admissionregistration.k8s.io", "validatingadmissionpolicies", "list"}, unready},
	{permission{"admissionregistration.k8s.io", "validatingadmissionpolicies", "watch"}, logged},
	{permission{"admissionregistration.k8s.io", "validatingadmissionpolicybindings", "list"}, unready},
	{permission{"admissionregistration.k8s.io", "validatingadmissionpolicybindings", "watch"}, logged},
	// Quotas: the same, and one that can't be written lets nothing in.
	{permission{"", "resourcequotas", "list"}, unready},
	{permission{"", "resourcequotas", "watch"}, logged},
	{permission{"", "resourcequotas/status", "update"}, answeredWhereThereIsAQuota},
	// Where the host's Services are is not known.
	{permission{"networking.k8s.io", "servicecidrs", "list"}, logged},
	{permission{"", "services", "get"}, logged},
	// Priority and fairness is never ready, or acts on what was.
	{permission{"flowcontrol.apiserver.k8s.io", "flowschemas", "list"}, unready},
	{permission{"flowcontrol.apiserver.k8s.io", "flowschemas", "watch"}, logged},
	{permission{"flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations", "list"}, unready},
	{permission{"flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations", "watch"}, logged},
	// Whom the host knows is nobody here; and the aggregator is not known.
	{permission{"authentication.k8s.io", "tokenreviews", "create"}, unknownByToken},
	{permission{"authorization.k8s.io", "subjectaccessreviews", "create"}, refusedToEverybody},
	{permission{"", "configmaps", "get"}, ended},
}

// TestPermissionsAreNeeded takes each permission of artifacts/deploy from a server of
// its own, and sees it fail.
func TestPermissionsAreNeeded(t *testing.T) {
	n := newNamespace(t)
	n.run("create", "-f", n.file("fleet.yaml", fleetOfTwoKinds(t), 0o600))
	n.run("patch", "attachedcluster", "member1", "--subresource=status", "--type=merge", "-p", `{"status":{"ready":true}}`)
	n.run("patch", "cluster.cluster.kurator.dev", "member2", "--subresource=status", "--type=merge", "-p", `{"status":{"phase":"Ready"}}`)
	n.run("create", "clusterrole", "everything-of-migrates", "--verb=*", "--resource=migrates.backup.kurator.dev")
	n.run("create", "rolebinding", "everybody-migrates", "--clusterrole=everything-of-migrates", "--group=system:authenticated")
	const limited = "limited-by-quota"
	quota := namespace{t, limited}
	quota.run("create", "namespace", limited)
	quota.run("create", "quota", "many", "--hard=count/migrates.backup.kurator.dev=100")
	quota.run("patch", "quota", "many", "--subresource=status", "--type=merge", "-p",
		`{"status":{"hard":{"count/migrates.backup.kurator.dev":"100"},"used":{"count/migrates.backup.kurator.dev":"0"}}}`)

	var tested []permission
	for _, r := range removals {
		tested = append(tested, r.permission)
	}
	for _, p := range granted(t) {
		if !slices.Contains(tested, p) {
			t.Errorf("nobody has shown that %s is needed", p)
		}
	}

	places := make(chan *localfleet.Spare, 2)
	spares, err := host.Spares(cap(places))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range spares {
		places <- s
	}
	t.Run("with all of them", func(t *testing.T) {
		t.Parallel()
		s := startWithout(t, places, n, "spare-with-all", permission{})
		s.mustBeWhole()
	})
	for i, r := range removals {
		t.Run(fmt.Sprintf("without %s", r.permission), func(t *testing.T) {
			t.Parallel()
			s := startWithout(t, places, n, fmt.Sprintf("spare-without-%02d", i), r.permission)
			eventually(t, "something to fail", func(ctx context.Context) bool { return r.fails(ctx, s, r.permission) })
		})
	}
}

// symptom says whether a server is seen to fail for the lack of a permission.
type symptom func(context.Context, *spare, permission) bool

// logged is a refusal that the server complains of.
func logged(_ context.Context, s *spare, p permission) bool {
	return strings.Contains(s.log(), p.refusal())
}

// loggedAtWork is one that comes with the first Migrate.
func loggedAtWork(ctx context.Context, s *spare, p permission) bool {
	s.giveWork(ctx)
	return logged(ctx, s, p)
}

// unready is a refusal for which alone the server is not ready: of all that it has to
// know of the host it lacks what it may not list.
func unready(ctx context.Context, s *spare, p permission) bool {
	_, why, err := s.try(ctx, "/readyz/informer-sync")
	singular := strings.TrimSuffix(strings.ReplaceAll(p.resource, "policies", "policys"), "s")
	return err == nil && logged(ctx, s, p) &&
		strings.HasPrefix(strings.ToLower(why), "internal server error: 1 informers not started yet: [*v1."+singular+"]")
}

// ended is a refusal for which the server does not start.
func ended(ctx context.Context, s *spare, p permission) bool {
	return logged(ctx, s, p) && !s.Running()
}

// recorded is a refusal in the recorded status of a Migrate.
func recorded(ctx context.Context, s *spare, p permission) bool {
	s.giveWork(ctx)
	return strings.Contains(s.read(ctx, "a"), p.refusal())
}

// live is a refusal in the live status of a Migrate.
func live(ctx context.Context, s *spare, p permission) bool {
	s.giveWork(ctx)
	return strings.Contains(s.read(ctx, "a/status"), p.refusal())
}

// undriven is a refusal for which every Migrate stays as it was created.
func undriven(ctx context.Context, s *spare, p permission) bool {
	s.giveWork(ctx)
	return logged(ctx, s, p) && s.created && strings.Contains(s.read(ctx, "a"), `"reason":"`+v1alpha1.ReasonAccepted+`"`)
}

// loggedOfARepetition is a refusal of an Event that has been before.
func loggedOfARepetition(ctx context.Context, s *spare, p permission) bool {
	s.repeatAnEvent(ctx)
	return logged(ctx, s, p)
}

func answeredWhereThereIsNoNamespace(ctx context.Context, s *spare, p permission) bool {
	code, body := s.create(ctx, "no-such-namespace", "a")
	return code == http.StatusInternalServerError && strings.Contains(body, p.refusal())
}

func answeredWhereThereIsAQuota(ctx context.Context, s *spare, p permission) bool {
	code, body := s.create(ctx, "limited-by-quota", s.account)
	return code == http.StatusForbidden && strings.Contains(body, p.refusal())
}

// unknownByToken is a ServiceAccount of the host that the server does not recognize.
func unknownByToken(ctx context.Context, s *spare, p permission) bool {
	return s.codeFor(ctx, byToken) == http.StatusUnauthorized && logged(ctx, s, p)
}

// refusedToEverybody is a user whom the host allows all and the server nothing.
func refusedToEverybody(ctx context.Context, s *spare, p permission) bool {
	code := s.codeFor(ctx, byName)
	return code >= http.StatusForbidden && logged(ctx, s, p)
}

// mustBeWhole fails the test unless the server does all that one of the symptoms is
// the lack of.
func (s *spare) mustBeWhole() {
	s.t.Helper()
	eventually(s.t, "the server to be ready", func(ctx context.Context) bool {
		code, _, err := s.try(ctx, "/readyz")
		return err == nil && code == http.StatusOK
	})
	// The CA of client certificates is read for itself, which no check waits for: only
	// the aggregator's matters to who comes through the host.
	eventually(s.t, "the administrator's certificate to be known", func(ctx context.Context) bool {
		code, _ := s.create(ctx, s.n.name, "a")
		return code == http.StatusCreated
	})
	for _, status := range []string{"a", "a/status"} {
		eventually(s.t, "the status to tell of the members", func(ctx context.Context) bool {
			told := s.read(ctx, status)
			return strings.Contains(told, `"clusterName":"member1"`) && strings.Contains(told, `"reason":"MemberUnreachable"`)
		})
	}
	ctx := s.t.Context()
	code, _ := s.create(ctx, "no-such-namespace", "a")
	equal(s.t, "created where there is no namespace", fmt.Sprint(code), "404")
	code, body := s.create(ctx, "limited-by-quota", s.account)
	equal(s.t, "created where there is a quota", fmt.Sprint(code), "201")
	equal(s.t, "by token", fmt.Sprint(s.codeFor(ctx, byToken)), "200")
	equal(s.t, "by name", fmt.Sprint(s.codeFor(ctx, byName)), "200")
	eventually(s.t, "a repeated Event", func(ctx context.Context) bool {
		s.repeatAnEvent(ctx)
		counts := s.n.run("get", "events.events.k8s.io", "-o", "jsonpath={.items[?(@.regarding.name=='again-"+s.account+"')].series.count}")
		return strings.Contains(counts, "2")
	})
	if log := s.log(); strings.Contains(log, "is forbidden") || strings.Contains(log, "cannot ") {
		s.t.Errorf("something was refused, lastly answered %s:\n%s", body, log)
	}
}
