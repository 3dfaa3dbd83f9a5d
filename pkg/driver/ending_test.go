// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/migration"
)

// partial is a world in which the Restore in m2 ends PartiallyFailed, whose errors
// are read by results.
func partial(t *testing.T, results func() migration.Results) *world {
	w := newWorld(t)
	w.members[m2].partial, w.members[m2].results = true, results
	return w
}

func (w *world) wantTarget(reason, words string) {
	w.t.Helper()
	part := w.migrate().Status.TargetClusterStatus[0]
	if part.Reason != reason || !strings.Contains(part.Message, words) {
		w.t.Errorf("the target's part says %s: %q, want %s: %q", part.Reason, part.Message, reason, words)
	}
}

// TestAnEndIsToldWithItsErrors records nothing of an end before its errors are read,
// also where the first tries fail.
func TestAnEndIsToldWithItsErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		w := partial(t, func() migration.Results {
			if tries++; tries < 3 {
				return migration.Results{Err: errors.New("connection reset")}
			}
			return migration.Results{Errors: []string{"quota exceeded", "no such class"}}
		})
		stop := w.drive()
		defer stop()
		w.apply(m2)
		time.Sleep(aMomentPasses)
		w.wantPhase("RestoreInProgress")
		time.Sleep(2 * resultsInterval)
		w.wantPhase("PartiallyFailed")
		w.wantTarget("RestorePartiallyFailed", "ended PartiallyFailed with 2 errors and 0 warnings: quota exceeded; no such class.")
	})
}

// TestErrorsThatCantBeRead delays an end by no more than resultsDeadline.
func TestErrorsThatCantBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := partial(t, func() migration.Results { return migration.Results{Err: errors.New("connection refused")} })
		stop := w.drive()
		defer stop()
		w.apply(m2)
		time.Sleep(resultsDeadline + resultsInterval + aMomentPasses)
		w.wantPhase("PartiallyFailed")
		w.wantTarget("RestorePartiallyFailed", "(reading the errors from the storage failed: connection refused)")
	})
}

// TestAnEndThatWasSeenStays has the Restore deleted while its errors are read.
func TestAnEndThatWasSeenStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read := make(chan struct{})
		w := partial(t, func() migration.Results {
			<-read
			return migration.Results{Errors: []string{"quota exceeded", "no such class"}}
		})
		stop := w.drive()
		defer stop()
		w.apply(m2)
		time.Sleep(aMomentPasses)
		w.members[m2].remove("Restore", restoreName)
		time.Sleep(aMomentPasses)
		w.wantPhase("RestoreInProgress")
		close(read)
		time.Sleep(aMomentPasses)
		w.wantPhase("PartiallyFailed")
		w.wantTarget("RestorePartiallyFailed", "quota exceeded; no such class")
	})
}

// TestAMigrateThatIsBeingDeletedRecordsItsEnd has a finalizer hold a Migrate whose Restore
// runs: its end is recorded with its errors, as any other.
func TestAMigrateThatIsBeingDeletedRecordsItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read := make(chan struct{})
		w := partial(t, func() migration.Results {
			<-read
			return migration.Results{Errors: []string{"quota exceeded", "no such class"}}
		})
		w.members[m2].running = true
		stop := w.drive()
		defer stop()
		w.apply(m2)
		time.Sleep(aMomentPasses)
		w.wantPhase("RestoreInProgress")
		w.beginDeletion()
		w.members[m2].change(func() { w.members[m2].running = false })
		close(read)
		time.Sleep(resultsDeadline + resultsInterval)
		w.wantPhase("PartiallyFailed")
		w.wantTarget("RestorePartiallyFailed", "quota exceeded; no such class")
	})
}

// TestNothingIsBegunForAMigrateThatIsGone deletes a Migrate, or has a finalizer hold it,
// between the decision to create an object and the request.
func TestNothingIsBegunForAMigrateThatIsGone(t *testing.T) {
	for name, remove := range map[string]func(*world){
		"gone":          (*world).delete,
		"being deleted": (*world).beginDeletion,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.apply(m2)
				d := w.driver()
				l := newLoop(d.Config)
				defer l.queue.ShutDown()
				m := w.migrate()
				source := l.writable(m, migration.Resolve(m, w.Observe("", nil)).Of(m1))
				remove(w)
				backup := &velerov1.Backup{ObjectMeta: metav1.ObjectMeta{Name: backupName}}
				err := l.createBackup(t.Context(), m, migration.CreateBackup{Source: m1, Backup: backup}, source)
				if !errors.Is(err, errNotWritable) {
					t.Errorf("createBackup: %v", err)
				}
				if _, err := source.CreatePodVolumeBackup(t.Context(), &velerov1.PodVolumeBackup{}); !errors.Is(err, errNotWritable) {
					t.Errorf("CreatePodVolumeBackup: %v", err)
				}
				if _, err := source.CreateRestore(t.Context(), &velerov1.Restore{}); !errors.Is(err, errNotWritable) {
					t.Errorf("CreateRestore: %v", err)
				}
				if err := source.DeleteRestore(t.Context(), &velerov1.Restore{}); !errors.Is(err, errNotWritable) {
					t.Errorf("DeleteRestore: %v", err)
				}
				w.wantCreates(m1)
			})
		})
	}
}
