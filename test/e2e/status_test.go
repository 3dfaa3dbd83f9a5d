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

// TestLiveStatusOfARunningMigrate stops Velero during the Backup, reads the status
// subresource, and then stops the source's API server.
func TestLiveStatusOfARunningMigrate(t *testing.T) {
	needsFleet(t)
	ensureAbsent(t, "live")
	members[source].apply(t, settings("live"))
	resumeVelero := pauseVelero(t, source)
	m := migrate(t, manifest("live", only("live"), 2))
	recorded := m.awaitPhase(t, v1alpha1.MigratePhaseBackupInProgress)

	t.Run("the live status equals the recorded one", func(t *testing.T) {
		live := liveStatus(t, metav1.NamespaceDefault, "live")
		if live.Status.Phase != "BackupInProgress" || live.Status.SourceClusterStatus.Reason != "BackupNew" {
			t.Errorf("live is %s with reason %s", live.Status.Phase, live.Status.SourceClusterStatus.Reason)
		}
		if live.ResourceVersion != recorded.ResourceVersion {
			t.Errorf("live has resourceVersion %s, recorded %s", live.ResourceVersion, recorded.ResourceVersion)
		}
	})
	t.Run("the live status has Velero's progress", func(t *testing.T) {
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
	t.Run("the status can't be written", func(t *testing.T) { checkReadOnly(t) })
	t.Run("a hanging source is reported with its recorded status", func(t *testing.T) {
		resume := hangAPIServer(t, source)
		defer resume()
		began := time.Now()
		live := liveStatus(t, metav1.NamespaceDefault, "live")
		t.Logf("the live status took %v", time.Since(began))
		status := live.Status.SourceClusterStatus
		if live.Status.Phase != "BackupInProgress" || status.Reason != "MemberUnreachable" || status.BackupStatusInCluster == nil {
			t.Errorf("live is %s, the source's status has reason %s", live.Status.Phase, status.Reason)
		}
		if !strings.HasPrefix(status.Message, "Reading kurator-member1 has failed since ") {
			t.Errorf("the source's message is %q", status.Message)
		}
		checkCondition(t, live, v1alpha1.ConditionMembersReachable, metav1.ConditionFalse, "MemberUnreachable")
	})
	resumeVelero()
	checkOnce(t, m.awaitCompleted(t), 2)
}

// liveStatus returns a Migrate with its live status, from the status subresource.
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
		t.Errorf("phase is %q after a patch of the Migrate", phase)
	}
}
