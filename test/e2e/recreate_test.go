// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/base64"
	"fmt"
	"os"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// TestRecreatedMigrateMigratesAgain migrates, changes the content, and migrates it with a
// new Migrate of the same name.
func TestRecreatedMigrateMigratesAgain(t *testing.T) {
	needsFleet(t)
	ensureAbsent(t, "again")
	const content = `
apiVersion: v1
kind: Namespace
metadata: {name: again}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: again}
data: {version: %q}
`
	const onlyAgain = `{resourceFilter: {includedNamespaces: [again]}}`

	var uids []string
	for _, version := range []string{"one", "two"} {
		members[source].apply(t, fmt.Sprintf(content, version))
		if err := members[2].deleteNamespaces(t.Context(), []string{"again"}); err != nil {
			t.Fatal(err)
		}
		m := migrateAndComplete(t, manifest("again", onlyAgain, 2))
		if got := members[2].configMap(t, "again", "settings")["version"]; got != version {
			t.Errorf("the target has version %q, want %q", got, version)
		}
		checkOnce(t, m, 2)
		uids = append(uids, string(m.UID))
	}
	if uids[0] == uids[1] {
		t.Error("both Migrates have the same UID")
	}
}

// TestMigrateWaitsForItsFleet creates a Migrate and then, one after the other, the fleet
// and clusters that it needs, in a namespace of their own.
func TestMigrateWaitsForItsFleet(t *testing.T) {
	needsFleet(t)
	ensureAbsent(t, "early", "early-app")
	members[source].apply(t, settings("early-app"))
	host.kubectl(t, "create", "namespace", "early")
	m := migrate(t, manifestIn("early", "early", only("early-app"), 2))

	waits := func(reason string) *v1alpha1.Migrate {
		t.Helper()
		waiting := m.await(t, "reason "+reason, func(m *v1alpha1.Migrate) bool {
			return condition(m, v1alpha1.ConditionReady).Reason == reason
		})
		if waiting.Status.Phase != v1alpha1.MigratePhasePending {
			t.Errorf("with reason %s the phase is %s, want Pending", reason, waiting.Status.Phase)
		}
		return waiting
	}
	waiting := waits("FleetNotFound")
	if got, want := condition(waiting, v1alpha1.ConditionReady).Message, "Fleet early/quickstart does not exist; waiting for it to be created."; got != want {
		t.Errorf("the message of Ready is %q, want %q", got, want)
	}
	awaitEvents(t, waiting, "Warning - FleetNotFound")

	host.apply(t, `
apiVersion: fleet.kurator.dev/v1alpha1
kind: Fleet
metadata: {name: quickstart, namespace: early}
spec: {clusters: [{kind: AttachedCluster, name: kurator-member1}, {kind: AttachedCluster, name: kurator-member2}]}
`)
	waits("ClusterNotFound")
	attach(t, "early", 1)
	attach(t, "early", 2)
	waiting = waits("ClusterNotReady")
	if got, want := waiting.Status.SourceClusterStatus.Message, "AttachedCluster kurator-member1 is not ready, waiting for it; see its status."; got != want {
		t.Errorf("the source's message is %q, want %q", got, want)
	}
	markReady(t, "early", 1)
	waits("NoTargetReady")
	if found := members[source].backups(t, waiting.UID); len(found) != 0 {
		t.Error("there is a Backup, but no target is ready for it")
	}
	markReady(t, "early", 2)
	checkOnce(t, m.awaitCompleted(t), 2)
}

// attach registers a member in a namespace of the host. The member is not ready yet.
func attach(t *testing.T, namespace string, n int) {
	t.Helper()
	kubeconfig, err := os.ReadFile(members[n].kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	attachWith(t, namespace, n, kubeconfig)
}

// attachWith is attach with a kubeconfig.
func attachWith(t *testing.T, namespace string, n int, kubeconfig []byte) {
	t.Helper()
	host.apply(t, fmt.Sprintf(`
apiVersion: v1
kind: Secret
metadata: {name: %[2]s, namespace: %[1]s}
data: {value: %[3]s}
---
apiVersion: cluster.kurator.dev/v1alpha1
kind: AttachedCluster
metadata: {name: %[2]s, namespace: %[1]s}
spec: {kubeconfig: {name: %[2]s}}
`, namespace, members[n].name, base64.StdEncoding.EncodeToString(kubeconfig)))
}

// markReady sets a member ready in a namespace of the host.
func markReady(t *testing.T, namespace string, n int) {
	t.Helper()
	setReady(t, namespace, n, true)
}

func setReady(t *testing.T, namespace string, n int, ready bool) {
	t.Helper()
	host.kubectl(t, "patch", "attachedcluster", members[n].name, "--namespace="+namespace,
		"--subresource=status", "--type=merge", fmt.Sprintf(`--patch={"status":{"ready":%t}}`, ready))
}

// TestDeletedMigrateLeavesItsNamesakeAlone deletes one of two Migrates with the same name
// in different namespaces.
func TestDeletedMigrateLeavesItsNamesakeAlone(t *testing.T) {
	needsFleet(t)
	ensureAbsent(t, "tenant", "twin")
	members[source].apply(t, settings("twin"))
	host.kubectl(t, "create", "namespace", "tenant")
	host.apply(t, `
apiVersion: fleet.kurator.dev/v1alpha1
kind: Fleet
metadata: {name: quickstart, namespace: tenant}
spec: {clusters: [{kind: AttachedCluster, name: kurator-member1}, {kind: AttachedCluster, name: kurator-member2}]}
`)
	for _, n := range []int{1, 2} {
		attach(t, "tenant", n)
		markReady(t, "tenant", n)
	}
	theirs := migrateAndComplete(t, manifestIn("tenant", "twin", only("twin"), 2))
	ours := migrate(t, manifestIn(metav1.NamespaceDefault, "twin", only("twin"), 2))
	ours.awaitCompleted(t)
	ours.delete(t)
	checkOnce(t, theirs, 2)
}
