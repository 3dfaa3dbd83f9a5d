// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-base/metrics/testutil"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

const (
	backupName  = "m1-migrate-default-app-c948154d"
	restoreName = "m2-migrate-default-app-c948154d"
	// processingTime is longer than the driver and immediate members need.
	processingTime = 500 * time.Millisecond
)

func (w *world) wantCreates(c migration.Cluster, want ...string) {
	w.t.Helper()
	member := w.members[c]
	member.mutex.Lock()
	defer member.mutex.Unlock()
	if diff := cmp.Diff(want, member.creates); diff != "" {
		w.t.Errorf("created in %s (-want +got):\n%s", c.Name, diff)
	}
}

func TestDriverMigratesToTwoTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		stop := w.drive()
		w.apply(m2, m3)
		time.Sleep(processingTime)
		stop()

		w.wantPhase("Completed")
		w.wantCreates(m1, "backups "+backupName)
		w.wantCreates(m2, "backups "+backupName, "restores "+restoreName)
		w.wantCreates(m3, "backups "+backupName, "restores m3-migrate-default-app-c948154d")
		for c, member := range w.members {
			if n := len(member.watches); n > 0 {
				t.Errorf("%d watches of %s are open after the end", n, c.Name)
			}
		}
	})
}

func TestDriverCreatesPodVolumeBackupsBeforeTheRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.members[m1].put(podVolumeBackup("shop", "db-0"))
		stop := w.drive()
		w.apply(m2)
		time.Sleep(processingTime)
		stop()

		w.wantPhase("Completed")
		w.wantCreates(m2, "backups "+backupName, "podvolumebackups "+backupName+"-4d16e5ed5a", "restores "+restoreName)
		backup, err := w.members[m2].Backup(t.Context(), backupName)
		if err != nil {
			t.Fatal(err)
		}
		volumes, _ := w.members[m2].PodVolumeBackups(t.Context(), backupName)
		if len(volumes) != 1 || volumes[0].OwnerReferences[0].UID != backup.UID {
			t.Errorf("want one PodVolumeBackup in m2, owned by Backup %s: %v", backup.UID, volumes)
		}
	})
}

// TestDriverPreparesTheBackup checks that a Backup whose patterns match no namespace has no cluster-scoped
// objects, and that the resource policies of a Backup are created before it.
func TestDriverPreparesTheBackup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := newLoop(w.driver().Config, &sharings{})
		defer l.queue.ShutDown()
		w.apply(m2)
		m := w.migrate()
		m.Spec.Policy = &v1alpha1.MigratePolicy{
			ResourceFilter: &v1alpha1.ResourceFilter{IncludedNamespaces: []string{"shop-*"}},
			Volumes:        &v1alpha1.VolumePolicy{Data: v1alpha1.VolumeDataNone},
		}
		action := migration.CreateBackup{Source: m1, Policies: velero.NoVolumeData(), Backup: velero.NewBackup(m, m1.Name, "default")}
		if err := l.createBackup(t.Context(), m, action, w.members[m1]); err != nil {
			t.Fatal(err)
		}
		w.wantCreates(m1, "configmaps kurator-migrate-no-volume-data", "backups "+backupName)
		backup, err := w.members[m1].Backup(t.Context(), backupName)
		if err != nil {
			t.Fatal(err)
		}
		if c := backup.Spec.IncludeClusterResources; c == nil || *c {
			t.Errorf("the Backup is %+v", backup.Spec)
		}
	})
}

// podVolumeBackup returns a PodVolumeBackup of the Backup in the source.
func podVolumeBackup(namespace, pod string) *velerov1.PodVolumeBackup {
	return &velerov1.PodVolumeBackup{
		ObjectMeta: metav1.ObjectMeta{Name: "p-" + pod, Labels: map[string]string{velerov1.BackupNameLabel: backupName}},
		Spec:       velerov1.PodVolumeBackupSpec{Pod: corev1.ObjectReference{Namespace: namespace, Name: pod}, Volume: "data"},
		Status:     velerov1.PodVolumeBackupStatus{Phase: velerov1.PodVolumeBackupPhaseCompleted, SnapshotID: "s"},
	}
}

// TestDriverIgnoresAForeignBackupWithItsLabel adds to the source a finished Backup of another tenant
// of the storage, with the Migrate's label, before the driver creates its Backup.
func TestDriverIgnoresAForeignBackupWithItsLabel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.members[m1].put(&velerov1.Backup{
			ObjectMeta: metav1.ObjectMeta{Name: "bank-ledger", Labels: map[string]string{"backup.kurator.dev/migrate-uid": "c948154d-1727"}},
			Spec:       velerov1.BackupSpec{IncludedNamespaces: []string{"bank"}},
			Status:     velerov1.BackupStatus{Phase: velerov1.BackupPhaseCompleted, Progress: &velerov1.BackupProgress{TotalItems: 3, ItemsBackedUp: 3}},
		})
		stop := w.drive()
		defer stop()
		w.apply(m2)
		time.Sleep(processingTime)

		w.wantPhase("Pending")
		w.wantCreates(m2)
		source := w.migrate().Status.SourceClusterStatus
		const want = "Backup bank-ledger in m1 has the label backup.kurator.dev/migrate-uid of this Migrate, which did not create it, and is ignored." +
			" Nothing is started in the cluster until the label is removed or the object deleted."
		if source.Reason != "UnexpectedObject" || source.Message != want {
			t.Errorf("the source has status %s: %s", source.Reason, source.Message)
		}

		w.members[m1].remove("Backup", "bank-ledger")
		time.Sleep(processingTime)
		w.wantPhase("Completed")
		w.wantCreates(m2, "backups "+backupName, "restores "+restoreName)
	})
}

// TestDriverRejectsVolumesOfUnselectedNamespaces adds to the source a PodVolumeBackup of a pod outside
// the selected namespaces.
func TestDriverRejectsVolumesOfUnselectedNamespaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.policy = &v1alpha1.MigratePolicy{ResourceFilter: &v1alpha1.ResourceFilter{IncludedNamespaces: []string{"shop"}}}
		w.members[m1].put(podVolumeBackup("shop", "db-0"))
		w.members[m1].put(podVolumeBackup("bank", "ledger-0"))
		stop := w.drive()
		defer stop()
		w.apply(m2)
		time.Sleep(processingTime)

		w.wantPhase("RestoreInProgress")
		w.wantCreates(m2)
		target := w.migrate().Status.TargetClusterStatus[0]
		if target.Reason != "RestoreCreateFailed" || !strings.Contains(target.Message, `m1: PodVolumeBackup p-ledger-0 belongs to a pod in namespace "bank", which the Migrate does not select`) {
			t.Errorf("the target has status %s: %s", target.Reason, target.Message)
		}
	})
}

func TestDriverReportsAndRetriesAFailedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.members[m2].createErr = errors.New("quota exceeded")
		stop := w.drive()
		defer stop()
		w.apply(m2, m3)
		time.Sleep(stepInterval + processingTime)

		w.wantPhase("RestoreInProgress")
		targets := w.migrate().Status.TargetClusterStatus
		if got, want := targets[0].Message, "Creating the Restore in m2 failed, trying again: quota exceeded"; got != want {
			t.Errorf("m2 has message %q, want %q", got, want)
		}
		if targets[1].Phase != v1alpha1.MigratePhaseCompleted {
			t.Errorf("m3 is %s, want Completed: writes fail in m2 only", targets[1].Phase)
		}

		w.members[m2].change(func() { w.members[m2].createErr = nil })
		time.Sleep(2 * time.Second)
		w.wantPhase("Completed")
		w.wantCreates(m2, "backups "+backupName, "restores "+restoreName)
	})
}

// TestDriverRecreatesARestoreRejectedBeforeItsBackupWasNoticed has Velero reject Restores because its
// cache lacks the Backup. Velero did not start them, so the migration goes on.
func TestDriverRecreatesARestoreRejectedBeforeItsBackupWasNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.members[m2].rejectEarly = 2
		stop := w.drive()
		defer stop()
		before := countWriteErrors(t)
		w.apply(m2)
		time.Sleep(processingTime)
		w.wantPhase("RestoreInProgress")
		target := w.migrate().Status.TargetClusterStatus[0]
		if want := "Creating the Restore in m2 failed, trying again: Velero had not noticed Backup " + backupName + " yet and rejected the Restore"; target.Reason != "RestoreCreateFailed" || target.Message != want {
			t.Errorf("m2 has status %s: %q, want RestoreCreateFailed: %q", target.Reason, target.Message, want)
		}

		time.Sleep(10 * time.Second)
		w.wantPhase("Completed")
		w.wantCreates(m2, "backups "+backupName, "restores "+restoreName, "restores "+restoreName, "restores "+restoreName)
		if got := countWriteErrors(t); got != before {
			t.Errorf("expected rejections count as %v write errors", got-before)
		}
	})
}

func TestDriverCountsFailedWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.members[m2].createErr = errors.New("not now")
		stop := w.drive()
		defer stop()
		before := countWriteErrors(t)
		w.apply(m2)
		time.Sleep(processingTime)
		if got := countWriteErrors(t); got == before {
			t.Error("a failed write is not counted")
		}
	})
}

// countWriteErrors returns the number of write errors. Parallel tests don't change it, because they
// start after the sequential ones.
func countWriteErrors(t *testing.T) float64 {
	t.Helper()
	got, err := testutil.GetCounterMetricValue(memberWriteErrors.CounterMetric)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestHangingMemberDoesNotDelayOtherTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.members[m2].hang = true
		stop := w.drive()
		defer stop()
		w.apply(m2, m3)
		time.Sleep(stepInterval + processingTime)
		if got := w.migrate().Status.TargetClusterStatus[1].Phase; got != v1alpha1.MigratePhaseCompleted {
			t.Errorf("m3 is %s", got)
		}
	})
}

func TestNewLeaderContinuesAMigration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.members[m2].createErr = errors.New("not now")
		stop := w.drive()
		w.apply(m2)
		time.Sleep(processingTime)
		stop()
		w.wantPhase("RestoreInProgress")

		w.members[m2].createErr = nil
		stop = w.drive()
		time.Sleep(processingTime)
		stop()
		w.wantPhase("Completed")
		w.wantCreates(m1, "backups "+backupName)
		w.wantCreates(m2, "backups "+backupName, "restores "+restoreName)
	})
}

func TestTwoDriversCreateEachObjectOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		stop1, stop2 := w.drive(), w.drive()
		w.apply(m2, m3)
		time.Sleep(5 * time.Second)
		stop1()
		stop2()
		w.wantPhase("Completed")
		w.wantCreates(m1, "backups "+backupName)
		w.wantCreates(m2, "backups "+backupName, "restores "+restoreName)
	})
}

func TestDriverRetriesAFailedStatusUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.failRecords = 5
		stop := w.drive()
		defer stop()
		w.apply(m2)
		// The watches report changes in the meantime.
		for range 10 {
			w.members[m1].change(func() {})
			time.Sleep(processingTime)
		}
		w.wantPhase("Completed")
	})
}

func TestDriverFindsABackupWithoutItsLabelByName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.members[m1].backupRunning = true
		stop := w.drive()
		defer stop()
		w.apply(m2)
		time.Sleep(processingTime)
		w.wantPhase("BackupInProgress")
		edit(w.members[m1], "Backup", backupName, func(b *velerov1.Backup) { b.Labels = nil })
		time.Sleep(10 * time.Second)
		w.wantPhase("BackupInProgress")
		if live, err := w.driver().LiveStatus(t.Context(), w.migrate()); err != nil || live.Phase != v1alpha1.MigratePhaseBackupInProgress {
			t.Errorf("live: %v, %v", live, err)
		}
		w.members[m1].remove("Backup", backupName)
		time.Sleep(10 * time.Second)
		w.wantPhase("Failed")
	})
}

func TestDriverDoesNotAdoptAForeignObjectOfItsName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.members[m1].put(&velerov1.Backup{ObjectMeta: metav1.ObjectMeta{Name: backupName}})
		stop := w.drive()
		defer stop()
		w.apply(m2)
		time.Sleep(processingTime)
		w.wantPhase("Pending")
		if got := w.migrate().Status.SourceClusterStatus.Reason; got != v1alpha1.ReasonBackupCreateFailed {
			t.Errorf("the source has reason %s", got)
		}
		w.wantCreates(m1)
	})
}

func TestDriverConfirmsADeletionWithALiveRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.apply(m2)
		m := w.migrate()
		m.Status.SourceClusterStatus = &v1alpha1.BackupDetails{BackupStatusInCluster: &velerov1.BackupStatus{}}
		m.Status.SourceClusterStatus.ClusterKind, m.Status.SourceClusterStatus.ClusterName = m1.Kind, m1.Name

		w.members[m1].put(&velerov1.Backup{ObjectMeta: metav1.ObjectMeta{
			Name: backupName, Labels: map[string]string{"backup.kurator.dev/migrate-uid": string(m.UID)},
		}})
		l := newLoop(w.driver().Config, &sharings{})
		defer l.queue.ShutDown()
		state := l.stateOf(m)
		of := migration.Objects{UID: m.UID, Backup: backupName}
		if _, ok := l.confirmed(t.Context(), state, m, migration.Velero{Cluster: m1}, of, migration.Member{}); ok {
			t.Error("confirmed returned a member before the live read")
		}
		synctest.Wait()
		if seen, ok := l.confirmed(t.Context(), state, m, migration.Velero{Cluster: m1}, of, migration.Member{}); !ok || seen.Backup == nil {
			t.Error("a Backup that the watch lacks counts as deleted")
		}
	})
}

func TestConcurrentLiveStatusCallsShareOneRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.apply(m2, m3)
		d := w.driver()
		m := w.migrate()
		w.members[m2].blockReads = make(chan struct{})
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				status, err := d.LiveStatus(t.Context(), m)
				if err != nil || status.Phase != v1alpha1.MigratePhasePending {
					t.Errorf("LiveStatus: %v, %v", status, err)
				}
			})
		}
		synctest.Wait()
		close(w.members[m2].blockReads)
		wg.Wait()
		if got := w.members[m1].reads; got != 1 {
			t.Errorf("m1 got %d reads for 20 readers, want 1", got)
		}
	})
}

func TestDriverRecordsProgressAtMostOncePerSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.members[m2].createErr = errors.New("wait")
		stop := w.drive()
		defer stop()
		w.apply(m2)
		time.Sleep(processingTime)
		m := w.migrate()
		w.members[m2].put(&velerov1.Restore{
			ObjectMeta: metav1.ObjectMeta{Name: restoreName, Labels: map[string]string{"backup.kurator.dev/migrate-uid": string(m.UID)}},
			Status:     velerov1.RestoreStatus{Phase: velerov1.RestorePhaseInProgress},
		})
		synctest.Wait()
		before := w.recordCount()
		for i := range 100 {
			edit(w.members[m2], "Restore", restoreName, func(r *velerov1.Restore) {
				r.Status.Progress = &velerov1.RestoreProgress{TotalItems: 100, ItemsRestored: i + 1}
			})
			time.Sleep(50 * time.Millisecond)
		}
		time.Sleep(time.Second)
		if got := w.recordCount() - before; got < 4 || got > 6 {
			t.Errorf("%d status updates in 5 seconds of progress, want 5", got)
		}
		if got := w.migrate().Status.TargetClusterStatus[0].RestoreStatusInCluster.Progress.ItemsRestored; got != 100 {
			t.Errorf("recorded progress is %d, want 100", got)
		}
	})
}
