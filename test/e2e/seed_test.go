// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// The objects that the seed's Migrate selects, and one without the label.
const busybox = `
apiVersion: v1
kind: Namespace
metadata: {name: busybox, labels: {app: busybox}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: busybox, labels: {app: busybox}}
data: {greeting: hello}
---
apiVersion: v1
kind: Secret
metadata: {name: password, namespace: busybox, labels: {app: busybox}}
stringData: {password: secret}
---
apiVersion: v1
kind: Service
metadata: {name: busybox, namespace: busybox, labels: {app: busybox}}
spec: {selector: {app: busybox}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: busybox, namespace: busybox, labels: {app: busybox}}
spec:
  selector: {matchLabels: {app: busybox}}
  template:
    metadata: {labels: {app: busybox}}
    spec: {containers: [{name: busybox, image: "busybox:1"}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: stays-behind, namespace: busybox}
`

// The Migrate that the seed shows at the end, with the placeholders TIME, SUFFIX and
// ANY for values that differ from run to run.
const seedResult = `
apiVersion: backup.kurator.dev/v1alpha1
kind: Migrate
metadata:
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: ANY
  creationTimestamp: TIME
  generation: 1
  name: select-labels
  namespace: default
  resourceVersion: ANY
  uid: ANY
spec:
  policy:
    resourceFilter:
      labelSelector:
        matchLabels:
          app: busybox
  sourceCluster:
    clusters:
    - kind: AttachedCluster
      name: kurator-member1
    fleet: quickstart
  targetCluster:
    clusters:
    - kind: AttachedCluster
      name: kurator-member2
    fleet: quickstart
status:
  phase: Completed
  sourceClusterStatus:
    backupNameInCluster: kurator-member1-migrate-default-select-labels-SUFFIX
    backupStatusInCluster:
      completionTimestamp: TIME
      expiration: TIME
      formatVersion: 1.1.0
      phase: Completed
      progress: {}
      startTimestamp: TIME
      version: 1
    clusterKind: AttachedCluster
    clusterName: kurator-member1
  targetClusterStatus:
  - clusterKind: AttachedCluster
    clusterName: kurator-member2
    restoreNameInCluster: kurator-member2-migrate-default-select-labels-SUFFIX
    restoreStatusInCluster:
      completionTimestamp: TIME
      phase: Completed
      startTimestamp: TIME
`

const seedSourceReady = `
lastTransitionTime: TIME
status: "True"
type: sourceReady
`

// TestSeed runs the commands of the seed's walkthrough.
func TestSeed(t *testing.T) {
	needsFleet(t)
	ensureAbsent(t, "busybox")
	members[source].apply(t, busybox)
	example := filepath.Join("..", "..", "artifacts", "examples", "migrate-select-labels.yaml")
	content, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}

	m := migrate(t, string(content))
	host.kubectl(t, "wait", "--for=condition=Ready", "migrates.backup.kurator.dev/select-labels", "--timeout="+deadline.String())
	ended := m.awaitCompleted(t)

	t.Run("the status equals the seed's", func(t *testing.T) { checkSeedResult(t) })
	t.Run("the status has additional fields", func(t *testing.T) { checkAdditionalStatus(t, ended) })
	t.Run("the live status equals the recorded one", checkLiveEqualsRecorded)
	t.Run("every step has an Event", func(t *testing.T) { checkEvents(t, ended) })
	t.Run("the application is migrated", func(t *testing.T) {
		// The list excludes Pods and other objects that the target's controllers create.
		got := members[2].restored(t, ended.Status.TargetClusterStatus[0].RestoreNameInCluster)
		want := []string{"ConfigMap/busybox/settings", "Deployment/busybox/busybox", "Secret/busybox/password", "Service/busybox/busybox"}
		if !slices.Equal(got, want) {
			t.Errorf("restored %q, want %q", got, want)
		}
		if data := members[2].configMap(t, "busybox", "settings"); data["greeting"] != "hello" {
			t.Errorf("ConfigMap settings has %q in the target", data)
		}
		if data := members[2].configMap(t, "busybox", "stays-behind"); data != nil {
			t.Error("the object without the label was migrated")
		}
	})
	t.Run("applying it again changes nothing", func(t *testing.T) {
		if got, want := host.kubectl(t, "apply", "--filename", example), "migrate.backup.kurator.dev/select-labels unchanged\n"; got != want {
			t.Errorf("kubectl apply printed %q, want %q", got, want)
		}
		again := m.awaitCompleted(t)
		if again.ResourceVersion != ended.ResourceVersion {
			t.Errorf("resourceVersion %s became %s", ended.ResourceVersion, again.ResourceVersion)
		}
		checkOnce(t, again, 2)
	})
	t.Run("deleting it deletes nothing else", func(t *testing.T) {
		before := inventory(t, ended)
		host.kubectl(t, "delete", "migrates.backup.kurator.dev", "select-labels")
		after := inventory(t, ended)
		if !slices.Equal(before, after) {
			t.Errorf("before the deletion there was\n%s\nafter it\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
		}
	})
}

func checkSeedResult(t *testing.T) {
	var want, got map[string]any
	if err := yaml.Unmarshal([]byte(seedResult), &want); err != nil {
		t.Fatal(err)
	}
	output := host.kubectl(t, "get", "migrates.backup.kurator.dev", "select-labels", "--output=yaml")
	if err := yaml.Unmarshal([]byte(output), &got); err != nil {
		t.Fatal(err)
	}
	for _, difference := range findDifferences("", want, got) {
		t.Error(difference)
	}
	var sourceReady any
	if err := yaml.Unmarshal([]byte(seedSourceReady), &sourceReady); err != nil {
		t.Fatal(err)
	}
	conditions, _, err := unstructured.NestedSlice(got, "status", "conditions")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(conditions, func(c any) bool { return len(findDifferences("", sourceReady, c)) == 0 }) {
		t.Errorf("no condition is%sin\n%s", seedSourceReady, output)
	}
}

var (
	timePattern   = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`)
	suffixPattern = regexp.MustCompile(`-[0-9a-f]{8}$`)
)

// findDifferences returns the values of want that got lacks. got may hold more.
func findDifferences(path string, want, got any) (differences []string) {
	different := []string{fmt.Sprintf("%s is %#v, want %#v", path, got, want)}
	switch want := want.(type) {
	case map[string]any:
		fields, ok := got.(map[string]any)
		if !ok {
			return different
		}
		for key := range want {
			differences = append(differences, findDifferences(path+"."+key, want[key], fields[key])...)
		}
		return differences
	case []any:
		items, ok := got.([]any)
		if !ok || len(items) != len(want) {
			return different
		}
		for i := range want {
			differences = append(differences, findDifferences(fmt.Sprintf("%s[%d]", path, i), want[i], items[i])...)
		}
		return differences
	}
	text, _ := got.(string)
	switch want {
	case "ANY":
		got, want = text != "", true
	case "TIME":
		got, want = timePattern.MatchString(text), true
	}
	if name, ok := want.(string); ok && strings.HasSuffix(name, "-SUFFIX") {
		got = suffixPattern.ReplaceAllString(text, "-SUFFIX")
	}
	if !reflect.DeepEqual(want, got) {
		return different
	}
	return nil
}

func checkAdditionalStatus(t *testing.T, m *v1alpha1.Migrate) {
	checkCondition(t, m, v1alpha1.ConditionReady, metav1.ConditionTrue, "Completed")
	checkCondition(t, m, v1alpha1.ConditionReconciling, metav1.ConditionFalse, "Completed")
	checkCondition(t, m, v1alpha1.ConditionStalled, metav1.ConditionFalse, "Progressing")
	checkCondition(t, m, v1alpha1.ConditionItemsFound, metav1.ConditionTrue, "ItemsFound")
	checkCondition(t, m, v1alpha1.ConditionMembersReachable, metav1.ConditionTrue, "AllReachable")
	checkCondition(t, m, v1alpha1.ConditionSourceReady, metav1.ConditionTrue, "BackupCompleted")
	if m.Status.ObservedGeneration != 1 {
		t.Errorf("observedGeneration is %d, want 1", m.Status.ObservedGeneration)
	}
	if status := m.Status.SourceClusterStatus; status.Phase != "Completed" || status.Reason != "BackupCompleted" || status.Message == "" {
		t.Errorf("the source's status is %q, reason %q, message %q", status.Phase, status.Reason, status.Message)
	}
	if status := m.Status.TargetClusterStatus[0]; status.Phase != "Completed" || status.Reason != "RestoreCompleted" || status.Message == "" {
		t.Errorf("the target's status is %q, reason %q, message %q", status.Phase, status.Reason, status.Message)
	}
}

// checkLiveEqualsRecorded compares the Migrate with its status subresource.
func checkLiveEqualsRecorded(t *testing.T) {
	read := func(output string) (object map[string]any) {
		if err := json.Unmarshal([]byte(output), &object); err != nil {
			t.Fatal(err)
		}
		return object
	}
	const path = "/apis/backup.kurator.dev/v1alpha1/namespaces/default/migrates/select-labels"
	recorded, live := read(host.kubectl(t, "get", "--raw", path)), read(host.kubectl(t, "get", "--raw", path+"/status"))
	if !reflect.DeepEqual(recorded, live) {
		t.Errorf("the recorded Migrate is\n%v\nthe live one is\n%v", recorded, live)
	}
}

// inventory lists all objects and files that must outlive a Migrate, with their UIDs.
func inventory(t *testing.T, m *v1alpha1.Migrate) []string {
	var found []string
	for _, n := range []int{source, 2} {
		application := members[n].kubectl(t, "get", "configmaps,secrets,services,deployments", "--namespace=busybox",
			"--output=jsonpath={range .items[*]}{.kind} {.metadata.name} {.metadata.uid}{\"\\n\"}{end}")
		for line := range strings.Lines(application) {
			found = append(found, members[n].name+" "+strings.TrimSpace(line))
		}
		for _, backup := range members[n].backups(t, m.UID) {
			found = append(found, fmt.Sprintf("%s Backup %s %s", members[n].name, backup.Name, backup.UID))
		}
		for _, restore := range members[n].restores(t, m.UID) {
			found = append(found, fmt.Sprintf("%s Restore %s %s", members[n].name, restore.Name, restore.UID))
		}
	}
	for _, folder := range []string{
		"backups/" + m.Status.SourceClusterStatus.BackupNameInCluster,
		"restores/" + m.Status.TargetClusterStatus[0].RestoreNameInCluster,
	} {
		err := filepath.WalkDir(filepath.Join(fleet.Bucket(), folder), func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.Type().IsRegular() {
				found = append(found, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}
