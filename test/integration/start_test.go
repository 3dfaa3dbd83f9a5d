// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
)

// lateFleet has a Fleet of two clusters whose kubeconfigs lead to a port on which nothing
// listens.
const lateFleet = `
apiVersion: v1
kind: Secret
metadata: {name: m1}
stringData:
  value: |
    apiVersion: v1
    kind: Config
    current-context: it
    contexts: [{name: it, context: {cluster: it, user: it}}]
    clusters: [{name: it, cluster: {server: "https://127.0.0.1:1"}}]
    users: [{name: it, user: {token: none}}]
---
apiVersion: cluster.kurator.dev/v1alpha1
kind: AttachedCluster
metadata: {name: m1}
spec: {kubeconfig: {name: m1}}
---
apiVersion: cluster.kurator.dev/v1alpha1
kind: AttachedCluster
metadata: {name: m2}
spec: {kubeconfig: {name: m1}}
---
apiVersion: fleet.kurator.dev/v1alpha1
kind: Fleet
metadata: {name: secret-of-ours}
spec:
  clusters:
  - {kind: AttachedCluster, name: m1}
  - {kind: AttachedCluster, name: m2}
`

// TestPermissionRevokedBeforeStart revokes the verb use after the creation of a Migrate and
// before that of its Fleet, and grants it again. Access is checked again when the migration
// starts.
func TestPermissionRevokedBeforeStart(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	n.run("create", "role", "starter", "--verb=create,get", "--resource=migrates.backup.kurator.dev")
	n.run("create", "rolebinding", "starter", "--role=starter", "--user=starter")
	namespace{t, "default"}.run("apply", "-f", filepath.Join("..", "..", "artifacts", "examples", "tenant-roles.yaml"))
	grant := []string{"create", "rolebinding", "use", "--clusterrole=migrate-cluster-user", "--user=starter"}
	n.run(grant...)
	starter := n.byCertificate("starter")
	create := func(name string, flags ...string) (string, error) {
		return starter.try(t, migrateOf(name, "", "m1", "m2"), append([]string{"create", "--namespace=" + n.name, "-f", "-"}, flags...)...)
	}
	if out, err := create("late"); err != nil {
		t.Fatal(out)
	}
	n.run("wait", "migrate/late", "--for=jsonpath={.status.conditions[?(@.type=='Ready')].reason}=FleetNotFound", "--timeout=30s")

	n.run("delete", "rolebinding", "use")
	// Our server caches a grant of the host for some seconds.
	eventually(t, "the revocation to take effect", func(context.Context) bool {
		out, err := create("another", "--dry-run=server")
		return err != nil && strings.Contains(out, "may not use AttachedCluster "+n.name+"/m1")
	})
	if out, err := n.try(lateFleet, "apply", "-f", "-"); err != nil {
		t.Fatal(out)
	}
	for _, name := range []string{"m1", "m2"} {
		n.run("patch", "attachedcluster", name, "--subresource=status", "--type=merge", "-p", `{"status":{"ready":true}}`)
	}
	const source, target = "{.status.sourceClusterStatus.reason}", "{.status.targetClusterStatus[0].reason}"
	n.run("wait", "migrate/late", "--for=jsonpath="+source+"=ClusterNotAuthorized", "--timeout=30s")
	n.run("wait", "migrate/late", "--for=jsonpath="+target+"=ClusterNotAuthorized", "--timeout=30s")
	contains(t, n.get("late", "{.status.sourceClusterStatus.message}"),
		`Access to AttachedCluster m1 is denied, waiting for permission: user "starter" may not use AttachedCluster `+n.name+`/m1: `+
			`they need verb "use" on resource "attachedclusters" in API group "cluster.kurator.dev"`, "ClusterRole migrate-cluster-user")
	equal(t, "phase", n.get("late", "{.status.phase}"), "Pending")
	equal(t, "Backup", n.get("late", "{.status.sourceClusterStatus.backupNameInCluster}"), "")
	live := n.run("get", "migrate", "late", "--subresource=status", "-o", "jsonpath="+source+" "+target)
	equal(t, "live reasons", live, "ClusterNotAuthorized ClusterNotAuthorized")
	contains(t, n.run("describe", "migrate", "late"), "ClusterNotAuthorized")

	// The next step is to connect to the members, which can't be reached.
	n.run(grant...)
	n.run("wait", "migrate/late", "--for=jsonpath="+source+"=MemberUnreachable", "--timeout=60s")
	contains(t, n.get("late", "{.status.sourceClusterStatus.message}"), "m1")
}
