// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/test/localfleet"
)

// settings returns a manifest with one ConfigMap in a namespace.
func settings(namespace string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Namespace
metadata: {name: %[1]s}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: %[1]s, labels: {app: settings}}
data: {greeting: hello}
`, namespace)
}

// only returns the policy that selects the ConfigMap of settings alone.
func only(namespace string) string {
	return fmt.Sprintf(`{resourceFilter: {includedNamespaces: [%s], labelSelector: {matchLabels: {app: settings}}}}`, namespace)
}

// TestMigrateToSeveralTargets migrates to three targets, named in the spec or by the
// fleet.
func TestMigrateToSeveralTargets(t *testing.T) {
	needsFleet(t)
	ensureAbsent(t, "wide", "wider")
	members[source].apply(t, settings("wide"))
	for _, c := range []struct {
		name, policy string
		targets      []int
		namespace    string
		want         []int
	}{
		// The targets are in the order of the spec.
		{"named", only("wide"), []int{4, 2, 3}, "wide", []int{4, 2, 3}},
		{"all of the fleet", "{namespaceMapping: {wide: wider}, " + strings.TrimPrefix(only("wide"), "{"), nil, "wider", []int{2, 3, 4}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := migrateAndComplete(t, manifest("wide", c.policy, c.targets...))
			var got, want []string
			for _, status := range m.Status.TargetClusterStatus {
				got = append(got, status.ClusterName+" "+string(status.Phase))
			}
			for _, n := range c.want {
				want = append(want, localfleet.MemberName(n)+" Completed")
				if data := members[n].configMap(t, c.namespace, "settings"); data["greeting"] != "hello" {
					t.Errorf("%s has the ConfigMap with %q", members[n].name, data)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("the targets are reported as %q, want %q", got, want)
			}
			if message := condition(m, v1alpha1.ConditionReady).Message; message != "3 of 3 targets done." {
				t.Errorf("the message of Ready is %q", message)
			}
			checkOnce(t, m, 2, 3, 4)
		})
	}
}

// TestNamespaceMappingRenamesOneNamespace maps one of two migrated namespaces.
func TestNamespaceMappingRenamesOneNamespace(t *testing.T) {
	needsFleet(t)
	ensureAbsent(t, "mapped", "mapped-elsewhere", "unmapped")
	for _, namespace := range []string{"mapped", "unmapped"} {
		members[source].apply(t, settings(namespace))
	}
	migrateAndComplete(t, manifest("mapping", `
    resourceFilter: {includedNamespaces: [mapped, unmapped]}
    namespaceMapping: {mapped: mapped-elsewhere}`, 2))
	for namespace, want := range map[string]string{"mapped": "", "mapped-elsewhere": "hello", "unmapped": "hello"} {
		if got := members[2].configMap(t, namespace, "settings")["greeting"]; got != want {
			t.Errorf("the ConfigMap in namespace %s has %q, want %q", namespace, got, want)
		}
	}
}

// TestHangingTargetDoesNotBlockOthers migrates to a target whose API server doesn't
// answer, and to two others.
func TestHangingTargetDoesNotBlockOthers(t *testing.T) {
	needsFleet(t)
	ensureAbsent(t, "hanging")
	members[source].apply(t, settings("hanging"))
	resume := hangAPIServer(t, 4)
	m := migrate(t, manifest("hanging", only("hanging"), 4, 2, 3))

	began := time.Now()
	held := m.await(t, "that two targets are done and one is unreachable", func(m *v1alpha1.Migrate) bool {
		targets := m.Status.TargetClusterStatus
		return len(targets) == 3 && targets[1].Phase == "Completed" && targets[2].Phase == "Completed" &&
			targets[0].Reason == "MemberUnreachable"
	})
	t.Logf("two targets were done and one was reported as unreachable after %v", time.Since(began))
	if held.Status.Phase != v1alpha1.MigratePhaseRestoreInProgress || held.Status.TargetClusterStatus[0].Phase != v1alpha1.MigratePhasePending {
		t.Errorf("the phase is %s, that of the hanging target %s", held.Status.Phase, held.Status.TargetClusterStatus[0].Phase)
	}
	checkCondition(t, held, v1alpha1.ConditionMembersReachable, metav1.ConditionFalse, "MemberUnreachable")
	checkCondition(t, held, v1alpha1.ConditionReady, metav1.ConditionFalse, "MemberUnreachable")
	for _, verb := range [][]string{{"get", "migrates"}, {"get", "migrate", "hanging", "--subresource=status"}, {"annotate", "migrate", "hanging", "note=seen"}} {
		began = time.Now()
		host.kubectl(t, append(verb, "--request-timeout=20s")...)
		t.Logf("kubectl %s took %v", strings.Join(verb, " "), time.Since(began))
	}

	resume()
	checkOnce(t, m.awaitCompleted(t), 2, 3, 4)
}

// TestFailedTargetEndsPartiallyFailed migrates to a target whose quota rejects the
// ConfigMap.
func TestFailedTargetEndsPartiallyFailed(t *testing.T) {
	needsFleet(t)
	ensureAbsent(t, "failing")
	members[source].apply(t, settings("failing"))
	members[3].apply(t, `
apiVersion: v1
kind: Namespace
metadata: {name: failing}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: full, namespace: failing}
spec: {hard: {count/configmaps: 0}}
`)
	m := migrate(t, manifest("failing", only("failing"), 2, 3)).awaitEnd(t, v1alpha1.MigratePhasePartiallyFailed)
	good, bad := m.Status.TargetClusterStatus[0], m.Status.TargetClusterStatus[1]
	if good.Phase != v1alpha1.MigratePhaseCompleted || bad.Phase != v1alpha1.MigratePhasePartiallyFailed {
		t.Errorf("the phases of the targets are %s and %s", good.Phase, bad.Phase)
	}
	const want = "ended PartiallyFailed with 1 error and 0 warnings: namespace failing: error restoring configmaps/failing/settings: " +
		`configmaps "settings" is forbidden: exceeded quota: full`
	if !strings.Contains(bad.Message, want) {
		t.Errorf("the failed target's message is %q", bad.Message)
	}
	if described := host.kubectl(t, "describe", "migrate", "failing"); !strings.Contains(strings.Join(strings.Fields(described), " "), want) {
		t.Errorf("kubectl describe does not show the error:\n%s", described)
	}
	checkCondition(t, m, v1alpha1.ConditionReady, metav1.ConditionFalse, "RestorePartiallyFailed")
	checkCondition(t, m, v1alpha1.ConditionReconciling, metav1.ConditionFalse, "PartiallyFailed")
	checkCondition(t, m, v1alpha1.ConditionStalled, metav1.ConditionTrue, "PartiallyFailed")
	awaitEvents(t, m, "Normal kurator-member2 RestoreCompleted", "Warning kurator-member3 RestorePartiallyFailed", "Warning - PartiallyFailed")
}
