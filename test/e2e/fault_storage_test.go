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
	"k8s.io/apimachinery/pkg/types"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
)

var locationResource = velerov1.SchemeGroupVersion.WithResource("backupstoragelocations")

// storageFaults returns the cases in which the bucket is unavailable or not shared.
func storageFaults() []faultCase {
	return []faultCase{{
		name: "bucket-unavailable-before-the-backup",
		steps: []step{
			{do(killStorage, awaitValidated("Unavailable", source, 2), apply), expectation{
				0:      reports("StorageUnavailable", "kurator-member1, since ", ": BackupStorageLocation default (aws, bucket velero, https://127.0.0.1:"),
				source: reports("StorageUnavailable", "in kurator-member1 is Unavailable: ", "connection refused"),
				2:      reports("StorageUnavailable", "in kurator-member2 is Unavailable: ", "connection refused"),
			}},
			{do(start(storage), awaitValidated("Available", source, 2)), nil},
		},
	}, {
		name: "bucket-unavailable-during-the-backup",
		steps: []step{
			{do(stop(storage), apply), expectation{source: reports("BackupInProgress")}},
			{killStorage, nil},
		},
		end: "Failed",
		ended: expectation{
			0:      reports("BackupFailed", "kurator-member1: Backup "),
			source: reports("BackupFailed", "backup execution failed: error checking if backup already exists in object storage", "connection refused"),
			2:      reports("BackupFailed", "Nothing was restored because kurator-member1 has no completed Backup."),
		},
		restored: none,
	}, {
		name: "bucket-unavailable-during-the-restore",
		steps: []step{
			{do(stop(veleroOf(2)), apply), expectation{2: reports(restoreNew)}},
			{do(stop(storage), resume(veleroOf(2))), expectation{2: reports("RestoreInProgress")}},
			{killStorage, nil},
		},
		end: "Failed",
		ended: expectation{
			0: reports("RestoreFailed", "0 of 1 target done. kurator-member2: Restore "),
			2: reports("RestoreFailed", "restore execution failed: error downloading backup", "connection refused"),
		},
	}, {
		name: "bucket-unavailable-for-the-log-of-the-restore",
		steps: []step{
			{do(holdNamespace(2), apply), expectation{2: reports(restoreHeld)}},
			{do(awaitRestoreStarted(2), killStorage, resume(heldNamespace)), expectation{2: reports("RestoreFinalizingPartiallyFailed")}},
			{start(storage), nil},
		},
		end:      "PartiallyFailed",
		ended:    expectation{2: reports("RestoreLogNotUploaded", "only because Velero could not upload its log to the storage.")},
		migrated: []int{2},
	}, {
		name: "bucket-unavailable-for-the-results-of-the-restore",
		steps: []step{
			{do(stop(veleroOf(2)), apply), expectation{2: reports(restoreNew)}},
			{do(kill(ourServer), resume(veleroOf(2)), awaitRestoreFinished(2), killStorage, start(ourServer)), expectation{
				2: reports("ReadingResults", "is Completed for Velero; reading from the storage what became of the items. That failed, trying again: the storage can't be reached from here: ", "connection refused"),
			}},
			{start(storage), nil},
		},
	}, {
		// Velero runs one Restore at a time, so this one is still New when the
		// bucket is found to be gone.
		name: "bucket-unavailable-before-the-restore",
		steps: []step{
			{do(busy(2), apply), expectation{2: reports("RestoreQueued", "Velero in kurator-member2 is processing Restore kurator-member2-migrate-faults-")}},
			{do(killStorage, awaitValidated("Unavailable", 2), resume(otherMigrate)), nil},
		},
		end:   "Failed",
		ended: expectation{2: reports("RestoreFailedValidation", "was rejected by Velero: The BSL default is unavailable, cannot retrieve the backup")},
	}, {
		name: "buckets-differ",
		steps: []step{
			{do(setBucket(2, "elsewhere"), apply, checkNoBackup), expectation{
				0:      reports("NoTargetReady", "kurator-member1, since ", ": No target is ready for the Backup, so it is not created yet."),
				source: reports("NoTargetReady", "kurator-member1 and kurator-member2 do not share a storage"),
				2: reports("StorageNotShared",
					"do not share a storage: default (aws, bucket velero, https://127.0.0.1:", "in kurator-member1, default (aws, bucket elsewhere, https://127.0.0.1:",
					"Add a BackupStorageLocation for the source's bucket to Velero in kurator-member2."),
			}},
			{do(checkNoBackup, setBucket(2, "velero")), nil},
		},
	}}
}

// killStorage kills the S3 server until the end of the case, which then waits until every
// Velero has validated its storage again, because some found it unavailable.
func killStorage(t *testing.T, r *run) {
	kill(storage)(t, r)
	r.addCleanup(func() {
		startProcess(t, process(t, storage))
		for n := 1; n < len(members); n++ {
			validate(t, n, velerov1.BackupStorageLocationPhaseAvailable)
		}
	})
}

// awaitRestoreStarted waits until a member's Velero has read the Backup from the storage, by its log.
func awaitRestoreStarted(n int) action {
	return func(t *testing.T, r *run) {
		m, err := r.get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		started := "Starting restore of backup " + veleroNamespace + "/" + m.Status.SourceClusterStatus.BackupNameInCluster
		eventually(t, "the Restore has started", func() (string, bool) {
			log, err := os.ReadFile(process(t, veleroOf(n)).LogFile())
			if err != nil {
				t.Fatal(err)
			}
			return "Velero's log does not mention it", strings.Contains(string(log), started)
		})
	}
}

// awaitValidated makes Veleros validate their storage now, and waits until each has the phase.
func awaitValidated(phase velerov1.BackupStorageLocationPhase, in ...int) action {
	return func(t *testing.T, _ *run) {
		for _, n := range in {
			validate(t, n, phase)
		}
	}
}

// validate changes the validation frequency of a storage, so that Velero validates it at
// once, and waits for the phase.
func validate(t *testing.T, n int, want velerov1.BackupStorageLocationPhase) {
	t.Helper()
	frequency := time.Minute + time.Duration(time.Now().UnixNano()%1e9)
	patchLocation(t, n, fmt.Sprintf(`{"spec":{"validationFrequency":%q}}`, frequency))
	awaitLocation(t, n, want)
}

// setBucket sets the bucket of a member's Velero until the end of the case.
func setBucket(n int, bucket string) action {
	set := func(t *testing.T, bucket string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(filepath.Dir(fleet.Bucket()), bucket), 0o700); err != nil {
			t.Fatal(err)
		}
		patchLocation(t, n, fmt.Sprintf(`{"spec":{"objectStorage":{"bucket":%q}}}`, bucket))
		awaitLocation(t, n, velerov1.BackupStorageLocationPhaseAvailable)
	}
	return func(t *testing.T, r *run) {
		set(t, bucket)
		r.addCleanup(func() { set(t, filepath.Base(fleet.Bucket())) })
	}
}

func patchLocation(t *testing.T, n int, patch string) {
	t.Helper()
	client := members[n].dynamic.Resource(locationResource).Namespace(veleroNamespace)
	if _, err := client.Patch(t.Context(), "default", types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Errorf("%s: %v", members[n].name, err)
	}
}

func awaitLocation(t *testing.T, n int, want velerov1.BackupStorageLocationPhase) {
	t.Helper()
	client := members[n].dynamic.Resource(locationResource).Namespace(veleroNamespace)
	eventually(t, members[n].name+" has a storage that is "+string(want), func() (string, bool) {
		location, err := client.Get(t.Context(), "default", metav1.GetOptions{})
		if err != nil {
			return err.Error(), false
		}
		phase, _, _ := unstructured.NestedString(location.Object, "status", "phase")
		return phase, phase == string(want)
	})
}

// checkNoBackup checks that the source has no Backup of the Migrate.
func checkNoBackup(t *testing.T, r *run) {
	if found := members[source].objectsOf(t, r.uid); len(found) > 0 {
		t.Errorf("there is %q, but no target is ready for it", found)
	}
}
