// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

const outcomesInSource = `
apiVersion: v1
kind: Namespace
metadata: {name: outcomes}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: created, namespace: outcomes}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: outcomes}
data: {mode: new}
---
apiVersion: batch/v1
kind: Job
metadata: {name: done, namespace: outcomes}
spec: {suspend: true, template: {spec: {restartPolicy: Never, containers: [{name: main, image: localhost/none}]}}}
`

// TestOutcomes migrates objects to a target that has one of them with other data, and to one that has
// none. Velero restores no finished Job. Its Restores are Completed all the same.
func TestOutcomes(t *testing.T) {
	needsFleet(t)
	ensureAbsent(t, "outcomes")
	members[source].apply(t, outcomesInSource)
	members[source].kubectl(t, "patch", "job/done", "--namespace=outcomes", "--subresource=status", "--type=merge", `--patch={"status": {
		"startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:00:01Z", "succeeded": 1, "uncountedTerminatedPods": {}, "conditions": [
		{"type": "Suspended", "status": "False"}, {"type": "SuccessCriteriaMet", "status": "True"}, {"type": "Complete", "status": "True"}]}}`)
	members[2].apply(t, settings("outcomes"))

	m := migrate(t, manifest("outcomes", "{resourceFilter: {includedNamespaces: [outcomes]}}", 2, 3)).
		awaitEnd(t, v1alpha1.MigratePhasePartiallyFailed)
	const left = "Job.batch done LeftOut: Velero does not restore a Job that has finished"
	for i, want := range []struct {
		reason     string
		items      v1alpha1.ItemCounts
		exceptions []string
	}{
		{"ExistingItemsKept", v1alpha1.ItemCounts{Total: 3, Created: 1, Kept: 1, LeftOut: 1}, []string{"ConfigMap settings Kept: it exists with other content", left}},
		{"ItemsLeftOut", v1alpha1.ItemCounts{Total: 3, Created: 2, LeftOut: 1}, []string{left}},
	} {
		target := m.Status.TargetClusterStatus[i]
		var exceptions []string
		for _, x := range target.Exceptions {
			exceptions = append(exceptions, fmt.Sprintf("%s %s %s: %s", x.Resource, x.Name, x.Outcome, x.Message))
			if x.Namespace != "outcomes" {
				t.Errorf("an exception in namespace %q", x.Namespace)
			}
		}
		if target.RestoreStatusInCluster.Phase != "Completed" || target.Phase != v1alpha1.MigratePhasePartiallyFailed || target.Reason != want.reason {
			t.Errorf("%s: the Restore is %s, the target %s (%s)", target.ClusterName, target.RestoreStatusInCluster.Phase, target.Phase, target.Reason)
		}
		if d := cmp.Diff(want.items, *target.Items); d != "" {
			t.Errorf("%s: %s", target.ClusterName, d)
		}
		if d := cmp.Diff(want.exceptions, exceptions); d != "" {
			t.Errorf("%s: %s", target.ClusterName, d)
		}
		if !strings.Contains(target.Message, "Job.batch outcomes/done") {
			t.Errorf("%s: the message does not name the Job: %s", target.ClusterName, target.Message)
		}
	}
	checkCondition(t, m, v1alpha1.ConditionItemsRestored, metav1.ConditionFalse, "ExistingItemsKept")
	checkCondition(t, m, v1alpha1.ConditionVolumesMoved, metav1.ConditionTrue, "NoVolumes")
	checkCondition(t, m, v1alpha1.ConditionItemsFound, metav1.ConditionTrue, "ItemsFound")
	checkCondition(t, m, v1alpha1.ConditionReady, metav1.ConditionFalse, "ExistingItemsKept")
	awaitEvents(t, m, "Warning kurator-member2 ExistingItemsKept", "Warning kurator-member3 ItemsLeftOut", "Warning - PartiallyFailed")
	if row := host.kubectl(t, "get", "migrate", "outcomes", "--no-headers"); !strings.Contains(row, " 0/2 ") {
		t.Errorf("kubectl get shows %q", row)
	}
	checkResults(t, m)
}

// checkResults reads migrates/results of TestOutcomes: all of it, a part, and in pages.
func checkResults(t *testing.T, m *v1alpha1.Migrate) {
	t.Helper()
	read := func(query string) (results v1alpha1.MigrateResults, items []string) {
		t.Helper()
		answer := host.kubectl(t, "get", "--raw", "/apis/backup.kurator.dev/v1alpha1/namespaces/default/migrates/"+m.Name+"/results"+query)
		if err := json.Unmarshal([]byte(answer), &results); err != nil {
			t.Fatalf("%v: %s", err, answer)
		}
		for _, cluster := range results.Clusters {
			if cluster.Unavailable != "" {
				t.Errorf("%s: %s", cluster.ClusterName, cluster.Unavailable)
			}
			for _, item := range cluster.Items {
				items = append(items, fmt.Sprintf("%s %s %s/%s %s", cluster.ClusterName, item.Resource, item.Namespace, item.Name, item.Outcome))
			}
		}
		return results, items
	}
	const created, settings, done = "ConfigMap outcomes/created ", "ConfigMap outcomes/settings ", "Job.batch outcomes/done "
	want := []string{
		"kurator-member1 " + done + "BackedUp", "kurator-member1 " + created + "BackedUp", "kurator-member1 " + settings + "BackedUp",
		"kurator-member2 " + done + "LeftOut", "kurator-member2 " + created + "Created", "kurator-member2 " + settings + "Kept",
		"kurator-member3 " + done + "LeftOut", "kurator-member3 " + created + "Created", "kurator-member3 " + settings + "Created",
	}
	if _, items := read(""); !slices.Equal(items, want) {
		t.Errorf("results %q", items)
	}
	if _, items := read("?cluster=kurator-member2&outcome=Kept"); !slices.Equal(items, want[5:6]) {
		t.Errorf("kept %q", items)
	}
	var paged []string
	for query := "?limit=2"; ; {
		page, items := read(query)
		paged = append(paged, items...)
		if query = "?limit=2&continue=" + page.Continue; page.Continue == "" {
			break
		}
	}
	if !slices.Equal(paged, want) {
		t.Errorf("in pages %q", paged)
	}
	for _, member := range members[1:] {
		if left := member.kubectl(t, "get", "downloadrequests", "--namespace=velero", "--selector=backup.kurator.dev/migrate-uid="+string(m.UID), "--output=name"); left != "" {
			t.Errorf("DownloadRequests that remain: %s", left)
		}
	}
}

// TestLeftOutOfTheBackup migrates a namespace that has Velero's label, and an object of a kind that
// Velero does not know yet: its Backup is Completed, and reports neither.
func TestLeftOutOfTheBackup(t *testing.T) {
	needsFleet(t)
	ensureAbsent(t, "leftout", "leftout-labelled")
	members[source].kubectl(t, "delete", "customresourcedefinition/kettles.leftout.example.com", "--ignore-not-found")
	members[source].apply(t, settings("leftout")+"---"+settings("leftout-labelled")+"---"+definition("leftout.example.com", "Kettle"))
	members[source].kubectl(t, "label", "namespace/leftout-labelled", "velero.io/exclude-from-backup=true")
	defer members[source].kubectl(t, "label", "namespace/leftout-labelled", "velero.io/exclude-from-backup-")
	members[source].kubectl(t, "wait", "--for=condition=Established", "customresourcedefinition/kettles.leftout.example.com")
	eventually(t, "the kind is served", func() (string, bool) {
		_, err := fleet.Kubectl(t.Context(), members[source].kubeconfig, "get", "kettles.leftout.example.com", "--namespace=leftout")
		return fmt.Sprint(err), err == nil
	})
	members[source].apply(t, `
apiVersion: leftout.example.com/v1
kind: Kettle
metadata: {name: one, namespace: leftout}
`)
	m := migrate(t, manifest("leftout", "{resourceFilter: {includedNamespaces: ['leftout*']}}", 2)).awaitEnd(t, v1alpha1.MigratePhasePartiallyFailed)
	if target := m.Status.TargetClusterStatus[0]; target.Phase != v1alpha1.MigratePhaseCompleted {
		t.Errorf("the target is %s: %s", target.Phase, target.Message)
	}
	checkCondition(t, m, v1alpha1.ConditionReady, metav1.ConditionFalse, "ItemsLeftOut")
	checkCondition(t, m, v1alpha1.ConditionItemsRestored, metav1.ConditionFalse, "ItemsLeftOut")
	found := m.Status.SourceClusterStatus
	want := []string{"Namespace leftout-labelled LeftOut", "kettles.leftout.example.com  LeftOut"}
	var got []string
	for _, x := range found.Exceptions {
		got = append(got, fmt.Sprintf("%s %s %s", x.Resource, x.Name, x.Outcome))
	}
	if d := cmp.Diff(want, got); d != "" || found.Reason != v1alpha1.ReasonItemsLeftOut {
		t.Errorf("the source is %s: %s\n%s", found.Reason, found.Message, d)
	}
	ready := condition(m, v1alpha1.ConditionReady)
	for _, name := range []string{"leftout-labelled", "kettles.leftout.example.com"} {
		if !strings.Contains(ready.Message, name) {
			t.Errorf("the message has no %q: %s", name, ready.Message)
		}
	}
	awaitEvents(t, m, "Warning kurator-member1 ItemsLeftOut")

	// A filter that selects nothing else is told of it too.
	m = migrateAndComplete(t, manifest("leftout", "{resourceFilter: {includedNamespaces: ['leftout-l*']}}", 2))
	if ready := condition(m, v1alpha1.ConditionReady); ready.Reason != v1alpha1.ReasonNothingMatched || !strings.Contains(ready.Message, "Left out: Namespace leftout-labelled (it has the label") {
		t.Errorf("Ready is %s: %s", ready.Reason, ready.Message)
	}

	// Velero refuses a namespace with the label that the filter lists by name.
	m = migrate(t, manifest("leftout", "{resourceFilter: {includedNamespaces: [leftout-labelled]}}", 2)).awaitEnd(t, v1alpha1.MigratePhaseFailedValidation)
	if message := m.Status.SourceClusterStatus.Message; !strings.Contains(message, "leftout-labelled. Velero excludes a namespace that has the label velero.io/exclude-from-backup=true.") {
		t.Errorf("the message of the source is %q", message)
	}
}
