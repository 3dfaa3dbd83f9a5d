// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"testing"
	"testing/synctest"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// usePrivateStorage gives each member a storage at the name of a Service, which was synced.
func (w *world) usePrivateStorage(service string) {
	for _, member := range w.members {
		edit(member, "BackupStorageLocation", "default", func(l *velerov1.BackupStorageLocation) {
			l.Spec.Config = map[string]string{"s3Url": "http://" + service + ":9000"}
			l.Status.LastSyncedTime = &metav1.Time{Time: time.Now()}
		})
	}
}

// putSynced has the source make a Backup, and gives the target the same as if its Velero had synced it, with changes.
func (w *world) putSynced(name string, change func(*velerov1.Backup)) {
	w.t.Helper()
	w.members[m1].put(&velerov1.Backup{ObjectMeta: metav1.ObjectMeta{Name: name}})
	made, err := w.members[m1].Backup(w.t.Context(), name)
	if err != nil || made.Status.Phase != velerov1.BackupPhaseCompleted {
		w.t.Fatalf("Backup %s: %+v, %v", name, made, err)
	}
	made.UID, made.ResourceVersion = "", ""
	change(made)
	w.members[m2].put(made)
}

// replace creates a Migrate to the targets, in place of the one that exists.
func (w *world) replace(uid types.UID, targets ...migration.Cluster) {
	w.t.Helper()
	if w.version > 0 {
		w.delete()
	}
	w.create("default", "app", uid, targets...)
}

func (w *world) wantProof(want v1alpha1.StorageProof) {
	w.t.Helper()
	got := w.migrate().Status.TargetClusterStatus[0].StorageProof
	if got == nil {
		got = &v1alpha1.StorageProof{}
	}
	if *got != want {
		w.t.Errorf("the proof is %+v, want %+v", *got, want)
	}
}

func (w *world) wantStoredReads(want int) {
	w.t.Helper()
	for _, c := range []migration.Cluster{m1, m2} {
		member := w.members[c]
		member.mutex.Lock()
		if member.storedReads != want {
			w.t.Errorf("the Backups of %s were read %d times, want %d", c.Name, member.storedReads, want)
		}
		member.mutex.Unlock()
	}
}

// TestDriverRemembersWhichClustersShareAStorage migrates three times: the second time by what the first one has read, and the third
// time after the location of the target was created again.
func TestDriverRemembersWhichClustersShareAStorage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		time.Sleep(time.Minute)
		w.usePrivateStorage("minio.velero.svc")
		w.putSynced("daily", func(*velerov1.Backup) {})
		defer w.drive()()
		proven := v1alpha1.StorageProof{Type: "SyncedBackup", BackupName: "daily"}
		migrate := func(uid types.UID, reads int) {
			t.Helper()
			w.replace(uid, m2)
			time.Sleep(processingTime)
			w.wantPhase("Completed")
			w.wantProof(proven)
			w.wantStoredReads(reads)
		}
		migrate("00000001-1727", 1)
		migrate("00000002-1727", 1)

		location, err := get[*velerov1.BackupStorageLocation](w.members[m2].modelMember, "BackupStorageLocation", "default")
		if err != nil {
			t.Fatal(err)
		}
		w.members[m2].remove("BackupStorageLocation", "default")
		w.members[m2].put(&velerov1.BackupStorageLocation{ObjectMeta: metav1.ObjectMeta{Name: "default"}, Spec: location.Spec, Status: location.Status})
		w.replace("00000003-1727", m2)
		time.Sleep(processingTime)
		w.wantPhase("RestoreInProgress")
		w.wantProof(v1alpha1.StorageProof{})
		w.wantStoredReads(2)

		// The first sync of the new location is the proof.
		time.Sleep(time.Minute)
		edit(w.members[m2], "BackupStorageLocation", "default", func(l *velerov1.BackupStorageLocation) {
			l.Status.LastSyncedTime = &metav1.Time{Time: time.Now()}
		})
		time.Sleep(processingTime)
		w.wantPhase("Completed")
		w.wantProof(proven)
	})
}

// TestDriverRemembersAProofForAnHourOnly drops the proof after an hour: the name of a Service may get another address.
func TestDriverRemembersAProofForAnHourOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		time.Sleep(time.Minute)
		w.usePrivateStorage("minio.velero.svc")
		w.putSynced("daily", func(*velerov1.Backup) {})
		defer w.drive()()
		w.replace("00000001-1727", m2)
		time.Sleep(time.Hour + processingTime)
		w.wantStoredReads(1)
		w.replace("00000002-1727", m2)
		time.Sleep(processingTime)
		w.wantPhase("Completed")
		w.wantStoredReads(2)
	})
}

// TestDriverWaitsWithoutAProof has Backups of the same names in both clusters that prove nothing.
func TestDriverWaitsWithoutAProof(t *testing.T) {
	for name, change := range map[string]func(*velerov1.Backup){
		"other times": func(b *velerov1.Backup) {
			b.Status.CompletionTimestamp = &metav1.Time{Time: b.Status.CompletionTimestamp.Add(time.Second)}
		},
		"another location": func(b *velerov1.Backup) { b.Labels[velerov1.StorageLocationLabel] = "archive" },
		"no location":      func(b *velerov1.Backup) { delete(b.Labels, velerov1.StorageLocationLabel) },
		"handed over": func(b *velerov1.Backup) {
			b.Annotations = map[string]string{"backup.kurator.dev/handed-over-pod-volume-backups": "0"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				time.Sleep(time.Minute)
				w.usePrivateStorage("minio.velero.svc")
				w.putSynced("daily", change)
				defer w.drive()()
				w.apply(m2)
				time.Sleep(processingTime)
				w.wantPhase("RestoreInProgress")
				w.wantProof(v1alpha1.StorageProof{})
				w.wantCreates(m2)
				if got := w.migrate().Status.TargetClusterStatus[0].Reason; got != v1alpha1.ReasonWaitingForBackupSync {
					t.Errorf("the reason is %s", got)
				}
			})
		})
	}
}

// TestLiveStatusAndPreviewKnowTheProof reads the proof in a process that does not lead, and remembers it there.
func TestLiveStatusAndPreviewKnowTheProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		time.Sleep(time.Minute)
		w.usePrivateStorage("minio.velero.svc")
		w.putSynced("daily", func(*velerov1.Backup) {})
		w.apply(m2)
		d := w.driver()
		status, err := d.LiveStatus(t.Context(), w.migrate())
		if err != nil {
			t.Fatal(err)
		}
		if got := status.TargetClusterStatus[0].StorageProof; got == nil || got.BackupName != "daily" {
			t.Errorf("the live status has the proof %+v", got)
		}
		preview, err := d.Preview(t.Context(), w.migrate())
		if err != nil {
			t.Fatal(err)
		}
		if got := preview.Targets[0].StorageLocation; got.Sharing != "Same" || got.Proof == nil || got.Proof.BackupName != "daily" {
			t.Errorf("the preview has the location %+v", got)
		}
		w.wantStoredReads(1)
	})
}
