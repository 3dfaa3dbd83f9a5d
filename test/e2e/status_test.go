// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

func livePath(namespace, name string) string {
	return "/apis/backup.kurator.dev/v1alpha1/namespaces/" + namespace + "/migrates/" + name + "/status"
}

// TestStatusWhileItRuns holds a migration in its Backup by a Velero that does
// nothing, and then has the source hang.
func TestStatusWhileItRuns(t *testing.T) {
	needsFleet(t)
	absent(t, "live")
	members[source].apply(t, settings("live"))
	resumeVelero := pauseVelero(t, source)
	m := migrate(t, manifest("live", only("live"), 2))
	recorded := m.awaitPhase(t, v1alpha1.MigratePhaseBackupInProgress)

	t.Run("live is what is recorded", func(t *testing.T) {
		live := liveStatus(t, metav1.NamespaceDefault, "live")
		if live.Status.Phase != "BackupInProgress" || live.Status.SourceClusterStatus.Reason != "BackupNew" {
			t.Errorf("live is %s with reason %s", live.Status.Phase, live.Status.SourceClusterStatus.Reason)
		}
		if live.ResourceVersion != recorded.ResourceVersion {
			t.Errorf("live has resourceVersion %s, recorded %s", live.ResourceVersion, recorded.ResourceVersion)
		}
	})
	t.Run("what Velero reports is live", func(t *testing.T) {
		backup := recorded.Status.SourceClusterStatus.BackupNameInCluster
		members[source].kubectl(t, "patch", "backup.velero.io", backup, "--namespace="+veleroNamespace, "--type=merge",
			`--patch={"status":{"progress":{"totalItems":7,"itemsBackedUp":3}}}`)
		progress := liveStatus(t, metav1.NamespaceDefault, "live").Status.SourceClusterStatus.BackupStatusInCluster.Progress
		if progress == nil || progress.TotalItems != 7 || progress.ItemsBackedUp != 3 {
			t.Errorf("live progress is %+v, want 3 of 7", progress)
		}
		m.await(t, "the progress", func(m *v1alpha1.Migrate) bool {
			progress := m.Status.SourceClusterStatus.BackupStatusInCluster.Progress
			return progress != nil && progress.ItemsBackedUp == 3
		})
	})
	t.Run("nobody writes it", func(t *testing.T) { checkReadOnly(t) })
	t.Run("a source that hangs is reported, and what was recorded of it", func(t *testing.T) {
		resume := hang(t, source)
		defer resume()
		began := time.Now()
		live := liveStatus(t, metav1.NamespaceDefault, "live")
		t.Logf("the live status took %v", time.Since(began))
		status := live.Status.SourceClusterStatus
		if live.Status.Phase != "BackupInProgress" || status.Reason != "MemberUnreachable" || status.BackupStatusInCluster == nil {
			t.Errorf("live is %s, the source's status has reason %s", live.Status.Phase, status.Reason)
		}
		if !strings.HasPrefix(status.Message, "Reading kurator-member1 has failed since ") {
			t.Errorf("the source's status says %q", status.Message)
		}
		checkCondition(t, live, v1alpha1.ConditionMembersReachable, metav1.ConditionFalse, "MemberUnreachable")
	})
	resumeVelero()
	checkOnce(t, m.completed(t), 2)
}

// liveStatus is what a Migrate's status subresource reports now.
func liveStatus(t *testing.T, namespace, name string) *v1alpha1.Migrate {
	t.Helper()
	var live v1alpha1.Migrate
	if err := json.Unmarshal([]byte(host.kubectl(t, "get", "--raw", livePath(namespace, name))), &live); err != nil {
		t.Fatal(err)
	}
	return &live
}

func checkReadOnly(t *testing.T) {
	claim := manifestFile(t, `{"apiVersion":"backup.kurator.dev/v1alpha1","kind":"Migrate","metadata":{"name":"live","namespace":"default"},"status":{"phase":"Completed"}}`)
	for _, args := range [][]string{
		{"replace", "--raw", livePath(metav1.NamespaceDefault, "live"), "--filename", claim},
		{"patch", "migrate", "live", "--subresource=status", "--type=merge", `--patch={"status":{"phase":"Completed"}}`},
	} {
		output, err := fleet.Kubectl(t.Context(), host.kubeconfig, args...)
		if err == nil || !strings.Contains(err.Error(), "MethodNotAllowed") && !strings.Contains(err.Error(), "does not allow this method") {
			t.Errorf("kubectl %s: %q, %v, want that the method is not allowed", args[0], output, err)
		}
	}
	host.kubectl(t, "patch", "migrate", "live", "--type=merge", `--patch={"status":{"phase":"Completed"}}`)
	if phase := host.kubectl(t, "get", "migrate", "live", "--output=jsonpath={.status.phase}"); phase != "BackupInProgress" {
		t.Errorf("phase is %q after a patch of the whole", phase)
	}
}
