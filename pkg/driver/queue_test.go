// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// wantWaiting checks the messages of the Migrates that wait in the queue of m1, sorted.
func (w *world) wantWaiting(want ...string) {
	w.t.Helper()
	all, err := w.client.BackupV1alpha1().Migrates("").List(w.t.Context(), metav1.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	var got []string
	for _, m := range all.Items {
		if source := m.Status.SourceClusterStatus; source != nil && source.Reason == v1alpha1.ReasonWaitingInQueue {
			got = append(got, strings.Replace(source.Message, " in the queue for Backups in m1", "", 1)+" "+m.Name)
		}
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		w.t.Errorf("waiting (-want +got):\n%s", cmp.Diff(want, got))
	}
}

// endBackup completes a Backup in m1.
func (w *world) endBackup(name string) {
	edit(w.members[m1], "Backup", name, func(b *velerov1.Backup) {
		b.Status.Phase = velerov1.BackupPhaseCompleted
		b.Status.Progress = &velerov1.BackupProgress{TotalItems: 3, ItemsBackedUp: 3}
	})
	time.Sleep(stepInterval + processingTime)
}

// TestMigratesTakeTurns creates three Migrates of two namespaces while the source runs a Backup of others.
// Each gets its turn at once when the one before it is done, of each namespace one after the other.
func TestMigratesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.members[m1].backupRunning = true
		w.members[m1].put(&velerov1.Backup{ObjectMeta: metav1.ObjectMeta{Name: "nightly"}})
		stop := w.drive()
		defer stop()
		w.create("default", "one", "11111111-1", m2)
		time.Sleep(time.Second)
		w.create("default", "two", "22222222-2", m2)
		time.Sleep(time.Second)
		w.create("other", "three", "33333333-3", m2)
		time.Sleep(2 * frontInterval) // the two of default have moved
		w.wantCreates(m1)
		w.wantWaiting(
			"Place 1. Backup nightly comes first. one",
			"Place 2, behind Migrate default/one. Backup nightly comes first. three",
			"Place 3, behind Migrate other/three. Backup nightly comes first. two")

		w.endBackup("nightly")
		one, two, three := "m1-migrate-default-one-11111111", "m1-migrate-default-two-22222222", "m1-migrate-other-three-33333333"
		w.wantCreates(m1, "backups "+one)
		w.endBackup(one)
		w.wantCreates(m1, "backups "+one, "backups "+three)
		w.wantWaiting("Place 1. Migrate other/three comes first. two")
		w.endBackup(three)
		w.wantCreates(m1, "backups "+one, "backups "+three, "backups "+two)
		w.endBackup(two)
		w.wantWaiting()
	})
}

// TestFailedCreationsKeepTheQueue has many Migrates whose Backups are refused for a while. Each is tried, so that
// one does not hold up the others, and then their Backups still run one after the other.
func TestFailedCreationsKeepTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		m := w.members[m1]
		m.backupRunning = true
		m.change(func() { m.createErr = errors.New("forbidden") })
		stop := w.drive()
		defer stop()
		const migrates = 12
		for i := range migrates {
			w.create("default", fmt.Sprint("app-", i), types.UID(fmt.Sprintf("%08d-1", i)), m2)
		}
		time.Sleep(10 * time.Second)
		refused := 0
		all, _ := w.client.BackupV1alpha1().Migrates("").List(t.Context(), metav1.ListOptions{})
		for _, m := range all.Items {
			if source := m.Status.SourceClusterStatus; source != nil && source.Reason == v1alpha1.ReasonBackupCreateFailed {
				refused++
			}
		}
		if refused != migrates {
			t.Errorf("%d of %d were tried", refused, migrates)
		}
		m.change(func() { m.createErr = nil })
		for n := 1; n <= migrates; n++ {
			time.Sleep(lastRetry)
			m.mutex.Lock()
			created := slices.Clone(m.creates)
			m.mutex.Unlock()
			if len(created) != n {
				t.Fatalf("%d Backups are created, want %d: %v", len(created), n, created)
			}
			w.endBackup(strings.TrimPrefix(created[n-1], "backups "))
		}
	})
}

// TestMigrateThatCannotBeRecordedHoldsUpNobody has a Migrate whose status can't be recorded.
func TestMigrateThatCannotBeRecordedHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.unrecordable = "one"
		stop := w.drive()
		defer stop()
		w.create("default", "one", "11111111-1", m2)
		time.Sleep(time.Second)
		w.create("default", "two", "22222222-2", m2)
		time.Sleep(lastSyncRetry)
		w.wantCreates(m1, "backups m1-migrate-default-two-22222222")
	})
}

// TestDeletedMigrateLeavesTheQueue deletes the Migrate that has its turn.
func TestDeletedMigrateLeavesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		m := w.members[m1]
		m.change(func() { m.createErr = errors.New("forbidden") })
		stop := w.drive()
		defer stop()
		w.create("default", "one", "11111111-1", m2)
		time.Sleep(processingTime)
		if err := w.client.BackupV1alpha1().Migrates("default").Delete(t.Context(), "one", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		m.change(func() { m.createErr = nil })
		w.create("default", "two", "22222222-2", m2)
		time.Sleep(processingTime)
		w.wantCreates(m1, "backups m1-migrate-default-two-22222222")
	})
}
