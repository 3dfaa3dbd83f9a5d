// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// The names of holds.
const (
	heldNamespace = "namespace"
	otherMigrate  = "other Migrate"
)

// objectFaults returns the cases in which objects in a member block the migration, or are
// deleted.
func objectFaults() []faultCase {
	return []faultCase{{
		name: "namespace-stuck-terminating",
		steps: []step{
			{do(stuckNamespace(2), apply), expectation{2: reports("NamespaceTerminating",
				"Velero is waiting for a namespace of this Restore that is being deleted in kurator-member2: namespace-stuck-terminating.",
				"See what blocks the deletion: kubectl get namespace namespace-stuck-terminating --output=yaml")}},
			{resume(heldNamespace), nil},
		},
	}, {
		name: "backup-deleted",
		steps: []step{
			{do(stop(veleroOf(source)), apply), expectation{source: reports(backupNew)}},
			{deleteObjects(source, backupResource), nil},
		},
		end: "Failed",
		ended: expectation{
			0:      reports("BackupDeleted", "kurator-member1: Backup "),
			source: reports("BackupDeleted", "was deleted before it completed, so nothing can be restored from it."),
			2:      reports("BackupFailed", "Nothing was restored because kurator-member1 has no completed Backup."),
		},
		restored: none,
		backups:  noBackup,
	}, {
		name:    "restore-deleted",
		targets: []int{2, 3},
		steps: []step{
			{do(stop(veleroOf(2)), apply), expectation{2: reports(restoreNew), 3: reports("RestoreCompleted")}},
			{deleteObjects(2, restoreResource), nil},
		},
		end: "PartiallyFailed",
		ended: expectation{
			0:      reports("RestoreDeleted", "1 of 2 targets done. kurator-member2: Restore "),
			source: reports("BackupCompleted"),
			2:      reports("RestoreDeleted", "was deleted before its result was read, so it is unknown what it restored."),
			3:      reports("RestoreCompleted"),
		},
		migrated: []int{3},
		restored: []int{3},
	}, {
		name: "expired-after-the-end",
		steps: []step{
			{do(apply, awaitTerminal), nil},
			// Velero collects expired Backups once an hour, and at its start.
			{do(expireBackup, kill(veleroOf(source), veleroOf(2)), start(veleroOf(source), veleroOf(2)), awaitCollected, checkLive), nil},
		},
		backups: noBackup,
	}}
}

// deleteObjects deletes the Migrate's object of a kind in a member, as an administrator would.
func deleteObjects(n int, resource schema.GroupVersionResource) action {
	return func(t *testing.T, r *run) {
		client := members[n].dynamic.Resource(resource).Namespace(veleroNamespace)
		if err := client.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: uidLabel + "=" + string(r.uid)}); err != nil {
			t.Fatal(err)
		}
	}
}

// expireBackup makes the Backup expire, in the source and the target.
func expireBackup(t *testing.T, r *run) {
	m := r.awaitEnd(t, r.faultCase.end)
	patch := fmt.Sprintf(`{"status":{"expiration":%q}}`, time.Now().Add(-time.Minute).UTC().Format(time.RFC3339))
	for _, n := range []int{source, 2} {
		client := members[n].dynamic.Resource(backupResource).Namespace(veleroNamespace)
		if _, err := client.Patch(t.Context(), m.Status.SourceClusterStatus.BackupNameInCluster, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// awaitCollected waits until Velero has deleted all objects of a Migrate.
func awaitCollected(t *testing.T, r *run) {
	for _, n := range []int{source, 2} {
		eventually(t, members[n].name+" has deleted the expired objects", func() (string, bool) {
			left := members[n].objectsOf(t, r.uid)
			return fmt.Sprintf("%q", left), len(left) == 0
		})
	}
}

// objectsOf returns the Velero objects that we created in a member for a Migrate, without
// those that Velero creates for each Backup that it syncs from the storage.
func (c *cluster) objectsOf(t *testing.T, uid types.UID) []string {
	t.Helper()
	var found []string
	for _, b := range c.backups(t, uid) {
		if !slices.ContainsFunc(b.ManagedFields, func(f metav1.ManagedFieldsEntry) bool { return f.Manager == "migrate-apiserver" }) {
			continue
		}
		found = append(found, fmt.Sprintf("%s: Backup %s %s", c.name, b.Name, b.UID))
	}
	for _, r := range c.restores(t, uid) {
		found = append(found, fmt.Sprintf("%s: Restore %s %s", c.name, r.Name, r.UID))
	}
	return found
}

// holdNamespace makes the migrated namespace Terminating in a target until it is released, so
// that Velero waits in the middle of the Restore.
func holdNamespace(n int) action {
	return func(t *testing.T, r *run) {
		members[n].apply(t, fmt.Sprintf(`{apiVersion: v1, kind: Namespace, metadata: {name: %s, finalizers: [test.kurator.dev/hold]}}`, r.name))
		terminate(t, r, n, func(ctx context.Context) error {
			_, err := members[n].kube.CoreV1().Namespaces().Patch(ctx, r.name, types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
			return err
		})
	}
}

// stuckNamespace is like holdNamespace. It blocks the deletion by an object in the namespace
// with a finalizer that no controller removes.
func stuckNamespace(n int) action {
	return func(t *testing.T, r *run) {
		members[n].apply(t, fmt.Sprintf(`
{apiVersion: v1, kind: Namespace, metadata: {name: %[1]s}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: stuck, namespace: %[1]s, finalizers: [test.kurator.dev/hold]}}
`, r.name))
		terminate(t, r, n, func(ctx context.Context) error {
			_, err := members[n].kube.CoreV1().ConfigMaps(r.name).Patch(ctx, "stuck", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
			return err
		})
	}
}

// terminate deletes a namespace whose deletion is blocked until unblock is called.
func terminate(t *testing.T, r *run, n int, unblock func(context.Context) error) {
	t.Helper()
	if err := members[n].kube.CoreV1().Namespaces().Delete(t.Context(), r.name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	r.release[heldNamespace] = func() {
		if err := unblock(t.Context()); err != nil && !apierrors.IsNotFound(err) {
			t.Errorf("%s: %v", members[n].name, err)
		}
	}
	r.addCleanup(r.release[heldNamespace])
}

// busy makes the Velero of a member process another Migrate's Restore until it is released.
func busy(n int) action {
	return func(t *testing.T, r *run) {
		other := newRun(faultCase{name: r.name + "-other", targets: []int{n}}, r.network)
		r.addCleanup(other.cleanUp)
		ensureAbsent(t, other.name)
		members[source].apply(t, settings(other.name))
		do(holdNamespace(n), apply)(t, other)
		other.awaitReport(t, "in its Restore", expectation{n: reports(restoreHeld)})
		r.release[otherMigrate] = other.release[heldNamespace]
	}
}
