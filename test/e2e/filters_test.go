// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Objects in two namespaces and cluster-scoped objects to filter. The ServiceAccount
// needs the ClusterRole; no object needs the PriorityClass.
const filtered = `
apiVersion: v1
kind: Namespace
metadata: {name: filter-a}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: db, namespace: filter-a, labels: {filter-tier: db}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: web, namespace: filter-a, labels: {filter-tier: web}}
---
apiVersion: v1
kind: Secret
metadata: {name: web, namespace: filter-a, labels: {filter-tier: web}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: robot, namespace: filter-a, labels: {filter-tier: web}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: filter-robot}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: filter-robot}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: filter-robot}
subjects: [{kind: ServiceAccount, namespace: filter-a, name: robot}]
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: filter-urgent, labels: {filter-tier: web}}
value: 7
---
apiVersion: v1
kind: Namespace
metadata: {name: filter-b}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: cache, namespace: filter-b, labels: {filter-tier: cache}}
`

// TestFilters migrates with each field of policy.resourceFilter and checks which objects
// were restored. Every case has its own pair of namespaces in the target, written as a
// and b.
func TestFilters(t *testing.T) {
	needsFleet(t)
	t.Parallel()
	ensureAbsent(t, "filter-a", "filter-b")
	members[source].apply(t, filtered)
	for _, c := range []struct {
		name, filter string
		want         []string
	}{
		{
			// Without includeClusterResources Velero adds the cluster-scoped objects that
			// the namespaced ones need.
			"included-namespaces", `{includedNamespaces: [filter-a]}`,
			[]string{"ClusterRole//filter-robot", "ClusterRoleBinding//filter-robot", "ConfigMap/a/db", "ConfigMap/a/web", "Secret/a/web", "ServiceAccount/a/robot"},
		},
		{
			"class-of-characters", `{includedNamespaces: ["filter-[b]", "filter-?x"]}`,
			[]string{"ConfigMap/b/cache"},
		},
		{
			"excluded-namespaces", `{includedNamespaces: ["filter-*"], excludedNamespaces: [filter-a]}`,
			[]string{"ConfigMap/b/cache"},
		},
		{
			"included-resources", `{includedNamespaces: [filter-a, filter-b], includedResources: [configmaps]}`,
			[]string{"ConfigMap/a/db", "ConfigMap/a/web", "ConfigMap/b/cache"},
		},
		{
			"excluded-resources", `{includedNamespaces: [filter-a], excludedResources: [secrets, serviceaccounts]}`,
			[]string{"ConfigMap/a/db", "ConfigMap/a/web"},
		},
		{
			"cluster-resources", `{includedNamespaces: [filter-a], labelSelector: {matchLabels: {filter-tier: web}}, includeClusterResources: true}`,
			[]string{"ClusterRole//filter-robot", "ClusterRoleBinding//filter-robot", "ConfigMap/a/web", "PriorityClass//filter-urgent", "Secret/a/web", "ServiceAccount/a/robot"},
		},
		{
			"no-cluster-resources", `{includedNamespaces: [filter-a], includeClusterResources: false}`,
			[]string{"ConfigMap/a/db", "ConfigMap/a/web", "Secret/a/web", "ServiceAccount/a/robot"},
		},
		{
			"included-by-scope",
			`{includedNamespaces: [filter-a], labelSelector: {matchLabels: {filter-tier: web}}, includedClusterScopedResources: [priorityclasses], includedNamespaceScopedResources: [configmaps]}`,
			[]string{"ConfigMap/a/web", "PriorityClass//filter-urgent"},
		},
		{
			"excluded-by-scope", `{includedNamespaces: [filter-a], excludedClusterScopedResources: [clusterroles], excludedNamespaceScopedResources: [secrets]}`,
			[]string{"ClusterRoleBinding//filter-robot", "ConfigMap/a/db", "ConfigMap/a/web", "ServiceAccount/a/robot"},
		},
		{
			"label-selector", `{labelSelector: {matchExpressions: [{key: filter-tier, operator: In, values: [db, cache]}]}}`,
			[]string{"ConfigMap/a/db", "ConfigMap/b/cache"},
		},
		{
			"empty-selector", `{includedNamespaces: [filter-b], labelSelector: {}}`,
			[]string{"ConfigMap/b/cache"},
		},
		{
			"empty-or-selector", `{includedNamespaces: [filter-b], orLabelSelectors: [{matchLabels: {filter-tier: web}}, {}]}`,
			[]string{"ConfigMap/b/cache"},
		},
		{
			"or-label-selectors", `{orLabelSelectors: [{matchLabels: {filter-tier: web}}, {matchLabels: {filter-tier: cache}}], excludedResources: [serviceaccounts, priorityclasses]}`,
			[]string{"ConfigMap/a/web", "ConfigMap/b/cache", "Secret/a/web"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := c.name+"-a", c.name+"-b"
			ensureAbsent(t, a, b)
			members[2].kubectl(t, "delete", "clusterrole/filter-robot", "clusterrolebinding/filter-robot", "priorityclass/filter-urgent", "--ignore-not-found")
			m := migrateAndComplete(t, manifest(c.name, fmt.Sprintf(
				"{resourceFilter: %s, namespaceMapping: {filter-a: %s, filter-b: %s}}", c.filter, a, b), 2))
			got := members[2].restored(t, m.Status.TargetClusterStatus[0].RestoreNameInCluster)
			for i := range got {
				got[i] = strings.NewReplacer("/"+a+"/", "/a/", "/"+b+"/", "/b/").Replace(got[i])
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("restored\n%q, want\n%q", got, c.want)
			}
		})
	}
}

// TestOnlyIncludedNamespacesArrive migrates with a selector that also matches a Namespace which
// is not included. Velero backs up that Namespace.
func TestOnlyIncludedNamespacesArrive(t *testing.T) {
	needsFleet(t)
	ensureAbsent(t, "arriving", "staying")
	for _, name := range []string{"arriving", "staying"} {
		members[source].apply(t, fmt.Sprintf(`
apiVersion: v1
kind: Namespace
metadata: {name: %[1]s, labels: {travels: "yes"}, annotations: {example.com/owner: me}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: %[1]s, labels: {travels: "yes"}}
`, name))
	}
	m := migrateAndComplete(t, manifest("arriving", `{resourceFilter: {includedNamespaces: [arriving], labelSelector: {matchLabels: {travels: "yes"}}}}`, 2))
	if items := members[source].backups(t, m.UID)[0].Status.Progress.TotalItems; items < 3 {
		t.Errorf("the Backup has %d items: it does not have the other Namespace", items)
	}
	got := members[2].kubectl(t, "get", "namespaces", "arriving", "staying", "--ignore-not-found", "--output=jsonpath={range .items[*]}{.metadata.name} {.metadata.labels.travels} {.metadata.annotations.example\\.com/owner}{end}")
	if want := "arriving yes me"; got != want {
		t.Errorf("the target has namespaces %q, want %q", got, want)
	}
}

// TestLongNameIsMigrated migrates with a name that, in an object store on a file system, is too
// long for the files of a Backup that is named after it.
func TestLongNameIsMigrated(t *testing.T) {
	needsFleet(t)
	ensureAbsent(t, "long-name")
	members[source].apply(t, settings("long-name"))
	m := migrateAndComplete(t, manifest("a-"+strings.Repeat("long-", 45)+"name", "{resourceFilter: {includedNamespaces: [long-name]}}", 2))
	checkOnce(t, m, 2)
}

// TestUnknownResourcesAreReported migrates with misspelt names of resources, which Velero ignores.
func TestUnknownResourcesAreReported(t *testing.T) {
	needsFleet(t)
	ensureAbsent(t, "misspelt")
	members[source].apply(t, settings("misspelt"))
	m := migrateAndComplete(t, manifest("misspelt", "{resourceFilter: {includedNamespaces: [misspelt], includedResources: [cm, deploymentz], excludedResources: [secretz]}}", 2))
	const want = " The filter names resources that the cluster does not serve, and Velero ignored them: deploymentz, secretz. Check their spelling."
	if message := m.Status.SourceClusterStatus.Message; !strings.HasSuffix(message, want) {
		t.Errorf("the message of the source is %q", message)
	}
}

// TestPatternThatMatchesNothing migrates namespaces by a pattern that matches none. With the old filters of
// resources Velero would back up all cluster-scoped objects.
func TestPatternThatMatchesNothing(t *testing.T) {
	needsFleet(t)
	for name, filter := range map[string]string{
		"namespaces":         `{includedNamespaces: ["nobody-has-this-*"]}`,
		"old filters":        `{includedNamespaces: ["nobody-has-this-*"], excludedResources: [secrets]}`,
		"resources by scope": `{includedNamespaces: ["nobody-has-thi?"], excludedNamespaceScopedResources: [secrets]}`,
	} {
		t.Run(name, func(t *testing.T) {
			m := migrateAndComplete(t, manifest("unmatched", "{resourceFilter: "+filter+"}", 2))
			checkCondition(t, m, "ItemsFound", "False", "NothingMatched")
			if p := m.Status.SourceClusterStatus.BackupStatusInCluster.Progress; p != nil && p.TotalItems > 0 {
				t.Errorf("the Backup has %d items", p.TotalItems)
			}
		})
	}
}

// TestEmptySelectionRestoresNothing migrates with a selector that matches no object.
func TestEmptySelectionRestoresNothing(t *testing.T) {
	needsFleet(t)
	m := migrateAndComplete(t, manifest("nothing", `{resourceFilter: {labelSelector: {matchLabels: {app: nobody-has-this}}}}`, 2))
	checkCondition(t, m, "Ready", "True", "NothingMatched")
	checkCondition(t, m, "ItemsFound", "False", "NothingMatched")
	const want = "Nothing in kurator-member1 matched the filter, so nothing was migrated. Check spec.policy.resourceFilter and the labels in the source."
	if message := condition(m, "Ready").Message; message != want {
		t.Errorf("the message of Ready is %q", message)
	}
	if status := m.Status.TargetClusterStatus[0]; status.Reason != "NothingToRestore" || status.RestoreNameInCluster != "" {
		t.Errorf("the target's status has reason %s and Restore %q", status.Reason, status.RestoreNameInCluster)
	}
	checkOnce(t, m)
	awaitEvents(t, m, "Normal kurator-member2 NothingToRestore")
}
