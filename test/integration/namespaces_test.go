// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"strings"
	"testing"

	"kurator.dev/migrate-apiserver/test/localfleet"
)

// TestServerRestrictedToNamespace runs a server with --namespaces and the permissions that
// `make manifests` grants it: it must reconcile in that namespace, report why it does not
// elsewhere, and send no request that the host forbids.
func TestServerRestrictedToNamespace(t *testing.T) {
	n := newNamespace(t)
	n.run("create", "-f", n.file("fleet.yaml", fleetOfBothKinds(t), 0o600))
	n.run("patch", "attachedcluster", "member1", "--subresource=status", "--type=merge", "-p", `{"status":{"ready":true}}`)
	n.run("patch", "cluster.cluster.kurator.dev", "member2", "--subresource=status", "--type=merge", "-p", `{"status":{"phase":"Ready"}}`)
	rendered := t.TempDir()
	if err := localfleet.WriteManifests(t.Context(), rendered, "--namespaces", n.name); err != nil {
		t.Fatal(err)
	}
	spares, err := host.Spares(1)
	if err != nil {
		t.Fatal(err)
	}
	const account = "spare-for-tenant"
	s := startSpare(t, spares[0], n, localfleet.SpareRun{
		Account:     account,
		Permissions: manifests(t, []byte(n.run("kustomize", rendered)), forAccount(account)),
		Flags:       []string{"--namespaces=" + n.name},
	})
	eventually(t, "the Migrate of the tenant to be reconciled", func(ctx context.Context) bool {
		s.ensureMigrate(ctx)
		return strings.Contains(s.read(ctx, "a"), `"reason":"MemberUnreachable"`)
	})
	eventually(t, "an Event of the Migrate", func(context.Context) bool {
		return strings.Contains(n.run("get", "events.events.k8s.io", "-o", "jsonpath={.items[*].regarding.name}"), "a")
	})
	if code, answer := s.create(t.Context(), "default", "elsewhere"); code != 201 {
		t.Fatalf("%d: %s", code, answer)
	}
	const elsewhere = "/apis/backup.kurator.dev/v1alpha1/namespaces/default/migrates/elsewhere"
	for _, path := range []string{elsewhere, elsewhere + "/status"} {
		eventually(t, "a Migrate elsewhere to report why it is not driven", func(ctx context.Context) bool {
			_, body, err := s.try(ctx, path)
			return err == nil && strings.Contains(body, `this server does not drive Migrates of the namespace: \"default\", only `+n.name)
		})
	}
	for line := range strings.Lines(s.log()) {
		// The server has no permission to create Events elsewhere, which is accepted.
		ofEvent := strings.Contains(line, `cannot create resource "events" in API group "events.k8s.io" in the namespace "default"`)
		if strings.Contains(line, "is forbidden") && !ofEvent {
			t.Errorf("forbidden: %s", line)
		}
	}
}
