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

// settings is one ConfigMap in a namespace, which is all that many a case moves.
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

// only is the policy that selects no more than that.
func only(namespace string) string {
	return fmt.Sprintf(`{resourceFilter: {includedNamespaces: [%s], labelSelector: {matchLabels: {app: settings}}}}`, namespace)
}

// TestTargets moves the same to three targets in every way to name them.
func TestTargets(t *testing.T) {
	needsFleet(t)
	absent(t, "wide", "wider")
	members[source].apply(t, settings("wide"))
	for _, c := range []struct {
		name, policy string
		targets      []int
		namespace    string
		want         []int
	}{
		// The targets are in the order of the spec.
		{"named", only("wide"), []int{4, 2, 3}, "wide", []int{4, 2, 3}},
		{"left to the fleet", "{namespaceMapping: {wide: wider}, " + strings.TrimPrefix(only("wide"), "{"), nil, "wider", []int{2, 3, 4}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := migrateToEnd(t, manifest("wide", c.policy, c.targets...))
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
				t.Errorf("Ready says %q", message)
			}
			checkOnce(t, m, 2, 3, 4)
		})
	}
}

// TestNamespaceMapping maps one namespace of two.
func TestNamespaceMapping(t *testing.T) {
	needsFleet(t)
	absent(t, "mapped", "mapped-elsewhere", "unmapped")
	for _, namespace := range []string{"mapped", "unmapped"} {
		members[source].apply(t, settings(namespace))
	}
	migrateToEnd(t, manifest("mapping", `
    resourceFilter: {includedNamespaces: [mapped, unmapped]}
    namespaceMapping: {mapped: mapped-elsewhere}`, 2))
	for namespace, want := range map[string]string{"mapped": "", "mapped-elsewhere": "hello", "unmapped": "hello"} {
		if got := members[2].configMap(t, namespace, "settings")["greeting"]; got != want {
			t.Errorf("the ConfigMap in namespace %s says %q, want %q", namespace, got, want)
		}
	}
}

// TestTargetThatHangs has a target whose API server answers nothing.
func TestTargetThatHangs(t *testing.T) {
	needsFleet(t)
	absent(t, "hanging")
	members[source].apply(t, settings("hanging"))
	resume := hang(t, 4)
	m := migrate(t, manifest("hanging", only("hanging"), 4, 2, 3))

	began := time.Now()
	held := m.await(t, "that the others are done and that one can't be asked", func(m *v1alpha1.Migrate) bool {
		parts := m.Status.TargetClusterStatus
		return len(parts) == 3 && parts[1].Phase == "Completed" && parts[2].Phase == "Completed" &&
			parts[0].Reason == "MemberUnreachable"
	})
	t.Logf("the others were done, and the one known to hang, after %v", time.Since(began))
	if held.Status.Phase != v1alpha1.MigratePhaseRestoreInProgress || held.Status.TargetClusterStatus[0].Phase != v1alpha1.MigratePhasePending {
		t.Errorf("phase is %s, that of the target that hangs %s", held.Status.Phase, held.Status.TargetClusterStatus[0].Phase)
	}
	checkCondition(t, held, v1alpha1.ConditionMembersReachable, metav1.ConditionFalse, "MemberUnreachable")
	checkCondition(t, held, v1alpha1.ConditionReady, metav1.ConditionFalse, "MemberUnreachable")
	for _, verb := range [][]string{{"get", "migrates"}, {"get", "migrate", "hanging", "--subresource=status"}, {"annotate", "migrate", "hanging", "note=seen"}} {
		began = time.Now()
		host.kubectl(t, append(verb, "--request-timeout=20s")...)
		t.Logf("kubectl %s took %v", strings.Join(verb, " "), time.Since(began))
	}

	resume()
	checkOnce(t, m.completed(t), 2, 3, 4)
}

// TestTargetThatFails has a target that refuses what is restored.
func TestTargetThatFails(t *testing.T) {
	needsFleet(t)
	absent(t, "failing")
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
	m := migrate(t, manifest("failing", only("failing"), 2, 3)).ended(t, v1alpha1.MigratePhasePartiallyFailed)
	good, bad := m.Status.TargetClusterStatus[0], m.Status.TargetClusterStatus[1]
	if good.Phase != v1alpha1.MigratePhaseCompleted || bad.Phase != v1alpha1.MigratePhasePartiallyFailed {
		t.Errorf("the parts are %s and %s", good.Phase, bad.Phase)
	}
	const want = "ended PartiallyFailed with 1 error and 0 warnings: namespace failing: error restoring configmaps/failing/settings: " +
		`configmaps "settings" is forbidden: exceeded quota: full`
	if !strings.Contains(bad.Message, want) {
		t.Errorf("the failed target's status says %q", bad.Message)
	}
	if described := host.kubectl(t, "describe", "migrate", "failing"); !strings.Contains(strings.Join(strings.Fields(described), " "), want) {
		t.Errorf("describe does not tell the error:\n%s", described)
	}
	checkCondition(t, m, v1alpha1.ConditionReady, metav1.ConditionFalse, "RestorePartiallyFailed")
	checkCondition(t, m, v1alpha1.ConditionReconciling, metav1.ConditionFalse, "PartiallyFailed")
	checkCondition(t, m, v1alpha1.ConditionStalled, metav1.ConditionTrue, "PartiallyFailed")
	awaitSteps(t, m, "Normal kurator-member2 RestoreCompleted", "Warning kurator-member3 RestorePartiallyFailed", "Warning - PartiallyFailed")
}
