// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// TestSyncedBackupProvesTheStorage migrates by two storage locations whose endpoints have different names in the two clusters. The first
// migration waits for Velero's sync, and its Backup proves to the second one that they are one storage. A Backup that
// both have with different times proves nothing. It waits most of the time, and other tests run beside it.
func TestSyncedBackupProvesTheStorage(t *testing.T) {
	needsFleet(t)
	t.Parallel()
	ensureAbsent(t, "shared")
	members[source].apply(t, settings("shared"))
	// Objects in the bucket outlive the test, so each run needs its own.
	bucket := fmt.Sprintf("shared-%d", time.Now().UnixNano())
	if err := os.MkdirAll(filepath.Join(filepath.Dir(fleet.Bucket()), bucket), 0o700); err != nil {
		t.Fatal(err)
	}
	locations := map[int]string{2: bucket + "-of-member1", source: bucket}
	created := map[int]time.Time{}
	for n, name := range locations {
		created[n] = createLocation(t, n, name, bucket, map[int]string{source: "127.0.0.1", 2: "localhost"}[n])
		defer members[n].kubectl(t, "delete", "backupstoragelocation", name, "--namespace="+veleroNamespace)
	}
	policy := fmt.Sprintf("{storageLocation: %s, resourceFilter: {includedNamespaces: [shared]}}", bucket)

	// The source makes a Backup, and the target has one of the same name that was made at another time.
	members[source].apply(t, fmt.Sprintf(`{apiVersion: velero.io/v1, kind: Backup, metadata: {name: %[1]s, namespace: velero}, spec: {storageLocation: %[1]s, includedNamespaces: [shared]}}`, bucket))
	members[source].kubectl(t, "wait", "backup.velero.io/"+bucket, "--namespace="+veleroNamespace, "--for=jsonpath={.status.phase}=Completed", "--timeout=2m")
	members[2].apply(t, fmt.Sprintf(`{apiVersion: velero.io/v1, kind: Backup, metadata: {name: %[1]s, namespace: velero, labels: {velero.io/storage-location: %[2]s}}, spec: {storageLocation: %[2]s},
status: {phase: Completed, startTimestamp: "2023-10-28T12:00:00Z", completionTimestamp: "2023-10-28T12:00:02Z"}}`, bucket, locations[2]))

	first := migrate(t, manifest("shared", policy, 2))
	first.await(t, "that it waits for Velero's sync", func(m *v1alpha1.Migrate) bool {
		return len(m.Status.TargetClusterStatus) == 1 && m.Status.TargetClusterStatus[0].Reason == v1alpha1.ReasonWaitingForBackupSync
	})
	done := first.awaitCompleted(t)
	backup := done.Status.SourceClusterStatus.BackupNameInCluster
	wantProof(t, done, v1alpha1.StorageProof{Type: "OwnBackup", BackupName: backup})

	for n, name := range locations {
		awaitSync(t, n, name, created[n].Add(31*time.Second))
	}
	sharing := func() (*v1alpha1.StorageLocationPreview, string) {
		status, _ := preview(t, manifest("shared", policy, 2))
		var messages []string
		for _, f := range status.Findings {
			messages = append(messages, f.Reason+": "+f.Message)
		}
		return status.Targets[0].StorageLocation, strings.Join(messages, "\n")
	}
	eventually(t, "the preview has the Backup with different times", func() (string, bool) {
		location, messages := sharing()
		return messages, location.Sharing == "Unproven" && location.Proof == nil && strings.Contains(messages, "Both have a Backup "+bucket+", with different times")
	})

	members[2].kubectl(t, "delete", "backup.velero.io/"+bucket, "--namespace="+veleroNamespace)
	awaitSync(t, 2, locations[2], time.Now())
	eventually(t, "the preview has the proof", func() (string, bool) {
		location, messages := sharing()
		return messages, location.Sharing == "Same" && location.Proof != nil && *location.Proof == v1alpha1.StorageProof{Type: "SyncedBackup", BackupName: backup}
	})

	if err := members[2].deleteNamespaces(t.Context(), []string{"shared"}); err != nil {
		t.Fatal(err)
	}
	done = migrate(t, manifest("shared-again", policy, 2)).awaitCompleted(t)
	wantProof(t, done, v1alpha1.StorageProof{Type: "SyncedBackup", BackupName: backup})
	if annotations := members[2].backups(t, done.UID)[0].Annotations; annotations["backup.kurator.dev/handed-over-pod-volume-backups"] != "0" {
		t.Errorf("the Backup is not handed over; its annotations are %v", annotations)
	}
	if members[2].configMap(t, "shared", "settings")["greeting"] != "hello" {
		t.Error("the ConfigMap did not arrive")
	}
}

func wantProof(t *testing.T, m *v1alpha1.Migrate, want v1alpha1.StorageProof) {
	t.Helper()
	if got := m.Status.TargetClusterStatus[0].StorageProof; got == nil || *got != want {
		t.Errorf("the proof is %+v, want %+v", got, want)
	}
}

// createLocation creates a storage location like the default one of a member, with another bucket, and another host in its endpoint, and waits
// until it is available. It returns the time of its creation.
func createLocation(t *testing.T, n int, name, bucket, host string) time.Time {
	t.Helper()
	client := members[n].dynamic.Resource(locationResource).Namespace(veleroNamespace)
	like, err := client.Get(t.Context(), "default", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	location := &unstructured.Unstructured{Object: map[string]any{"spec": like.Object["spec"]}}
	location.SetGroupVersionKind(like.GroupVersionKind())
	location.SetName(name)
	unstructured.RemoveNestedField(location.Object, "spec", "default")
	url, _, _ := unstructured.NestedString(location.Object, "spec", "config", "s3Url")
	for _, err := range []error{
		unstructured.SetNestedField(location.Object, bucket, "spec", "objectStorage", "bucket"),
		unstructured.SetNestedField(location.Object, strings.Replace(url, "127.0.0.1", host, 1), "spec", "config", "s3Url"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	location, err = client.Create(t.Context(), location, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// A Backup in a location that Velero has not looked at yet is not valid.
	members[n].kubectl(t, "wait", "backupstoragelocation/"+name, "--namespace="+veleroNamespace, "--for=jsonpath={.status.phase}=Available", "--timeout=2m")
	return location.GetCreationTimestamp().Time
}

// awaitSync waits until Velero in a member has synced a location after a time.
func awaitSync(t *testing.T, n int, location string, after time.Time) {
	t.Helper()
	eventually(t, members[n].name+" has synced "+location, func() (string, bool) {
		last := members[n].kubectl(t, "get", "backupstoragelocation", location, "--namespace="+veleroNamespace, "--output=jsonpath={.status.lastSyncedTime}")
		synced, err := time.Parse(time.RFC3339, last)
		return last, err == nil && synced.After(after)
	})
}
