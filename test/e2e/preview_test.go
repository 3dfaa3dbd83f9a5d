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

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

const (
	// plannedInSource has an application with the label app=planned, of which a Secret and a ServiceAccount do not
	// have it.
	plannedInSource = `
apiVersion: v1
kind: Namespace
metadata: {name: planned}
---
apiVersion: v1
kind: Namespace
metadata: {name: planned-excluded, labels: {velero.io/exclude-from-backup: "true"}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: planned, labels: {app: planned}}
data: {mode: new}
---
apiVersion: v1
kind: Secret
metadata: {name: password, namespace: planned}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: runner, namespace: planned}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: planned, labels: {app: planned}}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccountName: runner
      containers:
      - name: main
        image: localhost/none
        envFrom: [{configMapRef: {name: settings}}, {secretRef: {name: password}}, {secretRef: {name: optional, optional: true}}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: planned, labels: {app: planned}}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, nodePort: 30801}]}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: planned, labels: {app: planned}}
spec: {storageClassName: planned-fast, accessModes: [ReadWriteOnce], resources: {requests: {storage: 5Gi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: bare, namespace: planned, labels: {app: planned}}
spec:
  containers: [{name: main, image: localhost/none, securityContext: {privileged: true}}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
`
	plannedInTarget = `
apiVersion: v1
kind: Namespace
metadata: {name: arrived, labels: {pod-security.kubernetes.io/enforce: baseline}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: arrived}
data: {mode: old}
---
apiVersion: v1
kind: Service
metadata: {name: other, namespace: default}
spec: {type: NodePort, selector: {app: other}, ports: [{port: 80, nodePort: 30801}]}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: small, namespace: arrived}
spec: {hard: {requests.storage: 1Gi, count/deployments.apps: "0"}}
---
apiVersion: v1
kind: LimitRange
metadata: {name: small, namespace: arrived}
spec: {limits: [{type: PersistentVolumeClaim, max: {storage: 2Gi}}]}
`
)

// preview creates a MigratePreview with the spec of a manifest of a Migrate, and returns its status and findings.
func preview(t *testing.T, manifest string) (status v1alpha1.MigratePreviewStatus, findings []string) {
	t.Helper()
	file := manifestFile(t, strings.Replace(manifest, "kind: Migrate\n", "kind: MigratePreview\n", 1))
	var found v1alpha1.MigratePreview
	if err := json.Unmarshal([]byte(host.kubectl(t, "create", "--filename="+file, "--output=json")), &found); err != nil {
		t.Fatal(err)
	}
	for _, f := range found.Status.Findings {
		findings = append(findings, strings.Join([]string{string(f.Severity), f.ClusterName, f.Reason}, " "))
	}
	return found.Status, findings
}

// TestPreview plans a migration to a target that is in its way in every respect, and to one that has nothing. The
// migration then ends as planned.
func TestPreview(t *testing.T) {
	needsFleet(t)
	ensureAbsent(t, "planned", "planned-excluded", "arrived")
	defer ensureAbsent(t, "planned", "planned-excluded", "arrived")
	// Without a node no controller removes its finalizer.
	defer members[source].kubectl(t, "patch", "persistentvolumeclaim/data", "--namespace=planned", "--type=merge", `--patch={"metadata": {"finalizers": null}}`)
	defer members[2].kubectl(t, "delete", "service/other", "--namespace=default", "--ignore-not-found")
	members[source].apply(t, plannedInSource)
	members[2].apply(t, plannedInTarget)
	for n, namespace := range map[int]string{source: "planned", 2: "arrived"} {
		members[n].kubectl(t, "create", "configmap", "same", "--namespace="+namespace, "--from-literal=mode=same")
		members[n].kubectl(t, "label", "configmap/same", "--namespace="+namespace, "app=planned")
	}
	eventually(t, "the quota is computed", func() (string, bool) {
		used := members[2].kubectl(t, "get", "resourcequota/small", "--namespace=arrived", "--output=jsonpath={.status.hard}")
		return used, used != ""
	})
	const policy = `{resourceFilter: {includedNamespaces: [planned, planned-excluded, nowhere], excludedResources: [ovens], labelSelector: {matchLabels: {app: planned}}},
		namespaceMapping: {planned: arrived}}`
	status, findings := preview(t, manifest("planned", policy, 2, 3))
	want := []string{
		"Warning kurator-member1 ItemsLeftOut", "Warning kurator-member1 NothingMatched", "Warning kurator-member1 UnknownResources",
		"Warning kurator-member1 VolumeMethodUnknown",
		"Warning kurator-member2 AddressTaken", "Warning kurator-member2 AdmissionDenied", "Warning kurator-member2 ExistingItemsKept",
		"Warning kurator-member2 QuotaExceeded", "Warning kurator-member2 ReferenceLeftBehind", "Warning kurator-member2 StorageClassNotFound",
		"Warning kurator-member3 ReferenceLeftBehind", "Warning kurator-member3 StorageClassNotFound",
	}
	slices.Sort(findings)
	if d := cmp.Diff(want, findings); d != "" {
		t.Errorf("%s\n%+v", d, status.Findings)
	}
	all := fmt.Sprint(status.Findings)
	for _, text := range []string{
		"planned-excluded", "nowhere", "ovens", "planned/data", "planned-fast", "ConfigMap arrived/settings",
		"node port 30801 of Service arrived/web by default/other", "violates PodSecurity", "Secret planned/password, which Deployment.apps planned/web refers to",
		"ServiceAccount planned/runner", "allows 0 of count/deployments.apps", "allows 1Gi of requests.storage", "at most 2Gi of storage, and one has 5Gi",
	} {
		if !strings.Contains(all, text) {
			t.Errorf("no finding has %q: %s", text, all)
		}
	}
	if status.Verdict != v1alpha1.PreviewReadyWithWarnings || status.Source.ItemsTotal != 8 || status.Source.Volumes.Bytes != 5<<30 {
		t.Errorf("verdict %s, %d items, volumes %+v", status.Verdict, status.Source.ItemsTotal, status.Source.Volumes)
	}
	if d := cmp.Diff(v1alpha1.ExistingItems{Same: 1, Different: 1}, *status.Targets[0].Existing); d != "" {
		t.Error(d)
	}
	for _, c := range []v1alpha1.ClusterPreview{status.Source.ClusterPreview, status.Targets[0].ClusterPreview, status.Targets[1].ClusterPreview} {
		if !c.Reachable || !strings.HasPrefix(c.KubernetesVersion, "v1.") || c.StorageLocation == nil || c.StorageLocation.Phase != "Available" {
			t.Errorf("%+v", c)
		}
	}
	if got := members[2].kubectl(t, "get", "pods,deployments,services,persistentvolumeclaims", "--namespace=arrived", "--output=name"); got != "" {
		t.Errorf("the preview has created %s", got)
	}

	if out, err := fleet.Kubectl(t.Context(), host.kubeconfig, "create", "--dry-run=server", "--filename="+manifestFile(t, manifest("planned", policy, 2, 3))); err != nil || !strings.Contains(out, "created (server dry run)") {
		t.Errorf("a dry run: %q, %v", out, err)
	}

	m := migrate(t, manifest("planned", `{resourceFilter: {includedNamespaces: [planned], includedResources: [cm, deploy, svc]}, namespaceMapping: {planned: arrived}}`, 2)).
		awaitEnd(t, v1alpha1.MigratePhasePartiallyFailed)
	target := m.Status.TargetClusterStatus[0]
	for _, text := range []string{"ConfigMap arrived/settings", "provided port is already allocated", "exceeded quota: small"} {
		if !strings.Contains(target.Message, text) {
			t.Errorf("the message does not have %q: %s", text, target.Message)
		}
	}
}

// TestPreviewOfABlockedMigration plans migrations that would not start, or that nothing hinders.
func TestPreviewOfABlockedMigration(t *testing.T) {
	needsFleet(t)
	ensureAbsent(t, "blocked")
	members[source].apply(t, settings("blocked"))
	for name, tt := range map[string]struct {
		manifest string
		verdict  v1alpha1.PreviewVerdict
		want     string
	}{
		"ready":         {manifest("blocked", only("blocked"), 2, 3), v1alpha1.PreviewReady, ""},
		"no storage":    {manifest("blocked", `{storageLocation: none, resourceFilter: {includedNamespaces: [blocked]}}`, 2), v1alpha1.PreviewBlocked, "Blocking kurator-member1 StorageNotConfigured"},
		"no node-agent": {manifest("blocked", `{volumes: {data: FileSystemBackup}, resourceFilter: {includedNamespaces: [blocked]}}`, 2), v1alpha1.PreviewBlocked, "Blocking kurator-member1 NodeAgentNotReady"},
		"no fleet":      {strings.ReplaceAll(manifest("blocked", only("blocked"), 2), "fleet: quickstart", "fleet: nowhere"), v1alpha1.PreviewBlocked, "Blocking  FleetNotFound"},
		"nothing":       {manifest("blocked", `{resourceFilter: {includedNamespaces: [blocked], labelSelector: {matchLabels: {a: b}}}}`, 2), v1alpha1.PreviewReadyWithWarnings, "Warning kurator-member1 NothingMatched"},
	} {
		status, findings := preview(t, tt.manifest)
		if status.Verdict != tt.verdict || tt.want == "" && len(findings) > 0 || tt.want != "" && !slices.Contains(findings, tt.want) {
			t.Errorf("%s: %s, %q: %+v", name, status.Verdict, findings, status.Findings)
		}
	}
}

// TestSuspend creates a suspended Migrate, which is planned and starts when it is resumed.
func TestSuspend(t *testing.T) {
	needsFleet(t)
	ensureAbsent(t, "suspended")
	members[source].apply(t, settings("suspended"))
	m := migrate(t, strings.Replace(manifest("suspended", only("suspended"), 2), "spec:\n", "spec:\n  suspend: true\n", 1))
	host.kubectl(t, "wait", "migrate/suspended", "--for=jsonpath={.status.preview.verdict}=Ready", "--timeout=60s")
	host.kubectl(t, "wait", "migrate/suspended", "--for=condition=Suspended", "--timeout=60s")
	planned, err := m.get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if planned.Status.Phase != v1alpha1.MigratePhasePending || planned.Status.SourceClusterStatus.Reason != v1alpha1.ReasonSuspended || planned.Status.Preview.Source.ItemsTotal != 1 {
		t.Errorf("%s: %+v, preview %+v", planned.Status.Phase, planned.Status.SourceClusterStatus, planned.Status.Preview)
	}
	if backups := members[source].kubectl(t, "get", "backups.velero.io", "--namespace=velero", "--selector=backup.kurator.dev/migrate-uid="+string(planned.UID), "--output=name"); backups != "" {
		t.Errorf("a suspended Migrate has %s", backups)
	}
	if _, err := fleet.Kubectl(t.Context(), host.kubeconfig, "patch", "migrate", "suspended", "--type=merge", `--patch={"spec": {"suspend": false, "progressDeadlineSeconds": 1}}`); err == nil || !strings.Contains(err.Error(), "spec.progressDeadlineSeconds: Forbidden") {
		t.Errorf("another field of the spec can be changed: %v", err)
	}
	host.kubectl(t, "patch", "migrate", "suspended", "--type=merge", `--patch={"spec": {"suspend": false}}`)
	done := m.awaitCompleted(t)
	if done.Generation != 2 || done.Status.ObservedGeneration != 2 || done.Status.Progress == nil || done.Status.Progress.ItemsDone != 1 || done.Status.Progress.ItemsTotal != 1 {
		t.Errorf("generation %d, observed %d, progress %+v", done.Generation, done.Status.ObservedGeneration, done.Status.Progress)
	}
	checkCondition(t, done, v1alpha1.ConditionSuspended, "False", v1alpha1.ReasonResumed)
	if row := host.kubectl(t, "get", "migrate", "suspended", "--no-headers"); !strings.Contains(row, " 1/1 ") {
		t.Errorf("kubectl get shows %q", row)
	}
}

// TestCancel cancels a migration before it has started, while its Backup runs, and one that has ended in one of two
// targets.
func TestCancel(t *testing.T) {
	needsFleet(t)
	ensureAbsent(t, "canceled")
	members[source].apply(t, settings("canceled"))
	cancel := func(name string) {
		t.Helper()
		if got, err := act(t, name, "cancel", ""); err != nil || !strings.Contains(got, "what Velero has begun goes on to its end") {
			t.Errorf("the answer is %s, %v", got, err)
		}
	}
	created := func(m *v1alpha1.Migrate, kind string, n int) string {
		return members[n].kubectl(t, "get", kind+".velero.io", "--namespace=velero", "--selector=backup.kurator.dev/migrate-uid="+string(m.UID), "--output=name")
	}

	waiting := migrate(t, strings.Replace(manifest("canceled", only("canceled"), 2), "spec:\n", "spec:\n  suspend: true\n", 1))
	host.kubectl(t, "wait", "migrate/canceled", "--for=condition=Suspended", "--timeout=60s")
	cancel("canceled")
	m := waiting.awaitEnd(t, v1alpha1.MigratePhaseCanceled)
	if created(m, "backups", source) != "" || m.Status.Cancellation.Username != "kubernetes-admin" {
		t.Errorf("%+v", m.Status)
	}

	resumeVelero := pauseVelero(t, source)
	running := migrate(t, manifest("canceled", only("canceled"), 2))
	running.awaitPhase(t, v1alpha1.MigratePhaseBackupInProgress)
	cancel("canceled")
	resumeVelero()
	m = running.awaitEnd(t, v1alpha1.MigratePhaseCanceled)
	if m.Status.SourceClusterStatus.Phase != v1alpha1.MigratePhaseCompleted || created(m, "restores", 2) != "" {
		t.Errorf("%+v", m.Status)
	}
	checkCondition(t, m, v1alpha1.ConditionReady, "False", "Canceled")
	checkCondition(t, m, v1alpha1.ConditionFinished, "True", "Canceled")

	resumeVelero = pauseVelero(t, 3)
	partly := migrate(t, manifest("canceled", only("canceled"), 2, 3))
	partly.await(t, "the first target is done and the second one has begun", func(m *v1alpha1.Migrate) bool {
		targets := m.Status.TargetClusterStatus
		return len(targets) == 2 && targets[0].Phase == v1alpha1.MigratePhaseCompleted && targets[1].RestoreStatusInCluster != nil
	})
	cancel("canceled")
	resumeVelero()
	m = partly.awaitEnd(t, v1alpha1.MigratePhaseCompleted) // what had begun has ended well
	if m.Status.Cancellation == nil {
		t.Errorf("%+v", m.Status)
	}
	if _, err := act(t, "canceled", "cancel", ""); err == nil || !strings.Contains(err.Error(), "it has ended Completed") {
		t.Errorf("a migration that has ended is canceled: %v", err)
	}
}
