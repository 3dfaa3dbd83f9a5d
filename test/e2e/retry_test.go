// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// act creates a subresource of a Migrate by which a user acts on it. options are the fields of its body.
func act(t *testing.T, name, subresource, options string) (answer string, err error) {
	t.Helper()
	kinds := map[string]string{"cancel": "MigrateCancelOptions", "retry": "MigrateRetryOptions"}
	body := manifestFile(t, fmt.Sprintf(`{"apiVersion": "backup.kurator.dev/v1alpha1", "kind": %q%s}`, kinds[subresource], options))
	return fleet.Kubectl(t.Context(), host.kubeconfig, "create", "--raw", "/apis/backup.kurator.dev/v1alpha1/namespaces/default/migrates/"+name+"/"+subresource, "--filename="+body)
}

// retry begins another attempt of a Migrate.
func retry(t *testing.T, name, options string) {
	t.Helper()
	if answer, err := act(t, name, "retry", options); err != nil || !strings.Contains(answer, "begins for the targets that are not Completed") {
		t.Fatalf("the answer is %s, %v", answer, err)
	}
}

const retriedInSource = `
apiVersion: v1
kind: Namespace
metadata: {name: retried}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: same, namespace: retried}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: changed, namespace: retried}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: foreign, namespace: retried}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: refused-in-m3, namespace: retried}
`

const refusal = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: refused-in-m3}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]}
  validations: [{expression: object.metadata.name != 'refused-in-m3', message: not here}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: refused-in-m3}
spec: {policyName: refused-in-m3, validationActions: [Deny]}
`

// TestRetry retries a migration of which a target refuses an item, until it does not. What its first attempt restored, and the
// cluster has changed since, is no exception; what somebody else has made in its place is one.
func TestRetry(t *testing.T) {
	needsFleet(t)
	ensureAbsent(t, "retried")
	members[source].apply(t, retriedInSource)
	members[3].apply(t, refusal)
	allow := func() {
		members[3].kubectl(t, "delete", "validatingadmissionpolicy,validatingadmissionpolicybinding", "refused-in-m3", "--ignore-not-found")
	}
	defer allow()
	refuses := func(want bool) {
		t.Helper()
		eventually(t, fmt.Sprintf("the target refuses the item: %t", want), func() (string, bool) {
			_, err := fleet.Kubectl(t.Context(), members[3].kubeconfig, "create", "configmap", "refused-in-m3", "--dry-run=server")
			return fmt.Sprint(err), (err != nil) == want
		})
	}
	refuses(true)
	migration := migrate(t, manifest("retried", "{resourceFilter: {includedNamespaces: [retried]}}", 2, 3))
	first := migration.awaitEnd(t, v1alpha1.MigratePhasePartiallyFailed)
	if got := first.Status.TargetClusterStatus[1]; got.Reason != v1alpha1.ReasonRestorePartiallyFailed || got.Items.Failed != 1 {
		t.Fatalf("the target that refuses is %s: %s", got.Reason, got.Message)
	}
	members[3].kubectl(t, "annotate", "configmap/changed", "--namespace=retried", "by=controller")
	members[3].kubectl(t, "delete", "configmap/foreign", "--namespace=retried")
	members[3].kubectl(t, "create", "configmap", "foreign", "--namespace=retried", "--from-literal=of=others")

	// It is refused again.
	retry(t, "retried", "")
	second := migration.await(t, "the second attempt has ended", func(m *v1alpha1.Migrate) bool {
		return m.Status.Attempt() == 2 && m.Status.Phase == v1alpha1.MigratePhasePartiallyFailed
	})
	target := second.Status.TargetClusterStatus[1]
	if d := cmp.Diff(&v1alpha1.ItemCounts{Total: 4, Unchanged: 2, Kept: 1, Failed: 1}, target.Items); d != "" {
		t.Errorf("the second attempt (-want +got):\n%s%s", d, target.Message)
	}
	allow()
	refuses(false)
	members[3].kubectl(t, "delete", "configmap/foreign", "--namespace=retried")
	retry(t, "retried", `, "backup": "Existing"`)
	third := migration.awaitCompleted(t)

	name := first.Status.TargetClusterStatus[1].RestoreNameInCluster
	target = third.Status.TargetClusterStatus[1]
	if d := cmp.Diff(&v1alpha1.ItemCounts{Total: 4, Created: 2, Unchanged: 2}, target.Items); d != "" || target.RestoreNameInCluster != name+"-3" {
		t.Errorf("the third attempt, with Restore %s (-want +got):\n%s%s", target.RestoreNameInCluster, d, target.Message)
	}
	if !strings.Contains(target.Message, "restored 2 items; the cluster had 2 items as in the source or of an earlier attempt.") {
		t.Errorf("the message is %q", target.Message)
	}
	if d := cmp.Diff(first.Status.TargetClusterStatus[0], third.Status.TargetClusterStatus[0]); d != "" {
		t.Errorf("the Completed target has changed:\n%s", d)
	}
	if d := cmp.Diff(first.Status.SourceClusterStatus, third.Status.SourceClusterStatus); d != "" {
		t.Errorf("the source has changed:\n%s", d)
	}
	var attempts []string
	for _, a := range third.Status.Attempts {
		attempts = append(attempts, fmt.Sprint(a.Number, a.Username, a.Phase, len(a.Targets)))
	}
	if want := []string{"1kubernetes-adminPartiallyFailed2", "2kubernetes-adminPartiallyFailed1", "3kubernetes-admin0"}; !cmp.Equal(attempts, want) {
		t.Errorf("the attempts are %q", attempts)
	}
	if n, restored, again := len(members[source].backups(t, third.UID)), len(members[2].restores(t, third.UID)), len(members[3].restores(t, third.UID)); n != 1 || restored != 1 || again != 3 {
		t.Errorf("%d Backups, %d and %d Restores", n, restored, again)
	}
	awaitEvents(t, third, "Normal - Retried", "Normal - Completed")
	results := host.kubectl(t, "get", "--raw", "/apis/backup.kurator.dev/v1alpha1/namespaces/default/migrates/retried/results?cluster=kurator-member3&outcome=Unchanged")
	if !strings.Contains(results, `"name":"changed","outcome":"Unchanged","message":"an earlier attempt restored it"`) {
		t.Errorf("the results are %s", results)
	}
	if _, err := act(t, "retried", "retry", ""); err == nil || !strings.Contains(err.Error(), "all its targets are Completed, so there is nothing to retry") {
		t.Errorf("a retry after the end: %v", err)
	}
}

// TestRetryWithANewBackup retries a migration that was canceled before it had a Backup, and one whose Backup was rejected.
func TestRetryWithANewBackup(t *testing.T) {
	needsFleet(t)
	ensureAbsent(t, "retried-anew")
	members[source].apply(t, settings("retried-anew"))
	canceled := migrate(t, strings.Replace(manifest("retried-anew", only("retried-anew"), 2), "spec:\n", "spec:\n  suspend: true\n", 1))
	host.kubectl(t, "wait", "migrate/retried-anew", "--for=condition=Suspended", "--timeout=60s")
	if _, err := act(t, "retried-anew", "retry", ""); err == nil || !strings.Contains(err.Error(), "it has not ended") {
		t.Errorf("a retry before the end: %v", err)
	}
	if _, err := act(t, "retried-anew", "cancel", ""); err != nil {
		t.Fatal(err)
	}
	canceled.awaitEnd(t, v1alpha1.MigratePhaseCanceled)
	host.kubectl(t, "patch", "migrate", "retried-anew", "--type=merge", `--patch={"spec": {"suspend": false}}`)
	if _, err := act(t, "retried-anew", "retry", ""); err == nil || !strings.Contains(err.Error(), "its last attempt created no Backup") {
		t.Errorf("a retry without a Backup: %v", err)
	}
	retry(t, "retried-anew", `, "backup": "New"`)
	m := canceled.awaitCompleted(t)
	if name := m.Status.SourceClusterStatus.BackupNameInCluster; !strings.HasSuffix(name, "-2") {
		t.Errorf("the Backup is %s", name)
	}

	members[source].kubectl(t, "label", "namespace/retried-anew", "velero.io/exclude-from-backup=true")
	rejected := migrate(t, manifest("retried-anew", only("retried-anew"), 2))
	rejected.awaitEnd(t, v1alpha1.MigratePhaseFailedValidation)
	members[source].kubectl(t, "label", "namespace/retried-anew", "velero.io/exclude-from-backup-")
	if _, err := act(t, "retried-anew", "retry", ""); err == nil || !strings.Contains(err.Error(), "which is FailedValidation; to retry with a new one") {
		t.Errorf("a retry of a rejected Backup: %v", err)
	}
	retry(t, "retried-anew", `, "backup": "New"`)
	rejected.awaitCompleted(t)
}
