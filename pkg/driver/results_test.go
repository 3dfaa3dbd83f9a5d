// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// newPartialWorld returns a world in which the Restore in m2 ends PartiallyFailed. results returns
// its errors.
func newPartialWorld(t *testing.T, results func() migration.Results) *world {
	w := newWorld(t)
	w.members[m2].partiallyFail, w.members[m2].results = true, results
	return w
}

func (w *world) wantTarget(reason, message string) {
	w.t.Helper()
	target := w.migrate().Status.TargetClusterStatus[0]
	if target.Reason != reason || !strings.Contains(target.Message, message) {
		w.t.Errorf("the target has status %s: %q, want %s: %q", target.Reason, target.Message, reason, message)
	}
}

// TestDriverRecordsAnEndWithItsErrors checks that an end is recorded after its errors are read, even
// if the first attempts fail.
func TestDriverRecordsAnEndWithItsErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attempts := 0
		w := newPartialWorld(t, func() migration.Results {
			if attempts++; attempts < 3 {
				return migration.Results{Err: errors.New("connection reset")}
			}
			return migration.Results{Errors: []string{"quota exceeded", "no such class"}}
		})
		stop := w.drive()
		defer stop()
		w.apply(m2)
		time.Sleep(processingTime)
		w.wantPhase("RestoreInProgress")
		time.Sleep(2 * resultsInterval)
		w.wantPhase("PartiallyFailed")
		w.wantTarget("RestorePartiallyFailed", "ended PartiallyFailed with 2 errors and 0 warnings: quota exceeded; no such class.")
	})
}

// TestDriverRecordsAnEndWithoutItsErrorsAfterTheProgressDeadline lets all reads of the errors fail.
func TestDriverRecordsAnEndWithoutItsErrorsAfterTheProgressDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPartialWorld(t, func() migration.Results { return migration.Results{Err: errors.New("connection refused")} })
		stop := w.drive()
		defer stop()
		w.apply(m2)
		time.Sleep(2 * resultsInterval)
		w.wantPhase("RestoreInProgress")
		w.wantTarget("ReadingResults", "is PartiallyFailed for Velero; reading from the storage what became of the items. That failed, trying again: connection refused")
		time.Sleep(migration.DefaultProgressDeadline)
		w.wantPhase("PartiallyFailed")
		w.wantTarget("RestorePartiallyFailed", "(reading the errors from the storage failed: connection refused)")
	})
}

// TestDriverChecksTheNamesOfTheFilter checks that an end is recorded after the names of the filter are
// checked in the source, even if the first attempt fails.
func TestDriverChecksTheNamesOfTheFilter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		attempts := 0
		w.members[m1].unknownResources = func() ([]string, error) {
			if attempts++; attempts < 2 {
				return nil, errors.New("connection reset")
			}
			return []string{"deploymentz"}, nil
		}
		stop := w.drive()
		defer stop()
		w.policy = &v1alpha1.MigratePolicy{ResourceFilter: &v1alpha1.ResourceFilter{IncludedResources: []string{"deploymentz"}}}
		w.apply(m2)
		time.Sleep(processingTime)
		w.wantPhase("BackupInProgress")
		time.Sleep(2 * resultsInterval)
		w.wantPhase("Completed")
		if message := w.migrate().Status.SourceClusterStatus.Message; !strings.Contains(message, "deploymentz") {
			t.Errorf("the message of the source is %q", message)
		}
	})
}

// TestDriverKeepsAnObservedEndOfADeletedRestore deletes the Restore while its errors are being read.
func TestDriverKeepsAnObservedEndOfADeletedRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read := make(chan struct{})
		w := newPartialWorld(t, func() migration.Results {
			<-read
			return migration.Results{Errors: []string{"quota exceeded", "no such class"}}
		})
		stop := w.drive()
		defer stop()
		w.apply(m2)
		time.Sleep(processingTime)
		w.members[m2].remove("Restore", restoreName)
		time.Sleep(processingTime)
		w.wantPhase("RestoreInProgress")
		close(read)
		time.Sleep(processingTime)
		w.wantPhase("PartiallyFailed")
		w.wantTarget("RestorePartiallyFailed", "quota exceeded; no such class")
	})
}

// TestDriverRecordsTheEndOfADeletedMigrate deletes a Migrate with a finalizer while its Restore is
// running: the end is recorded with its errors.
func TestDriverRecordsTheEndOfADeletedMigrate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read := make(chan struct{})
		w := newPartialWorld(t, func() migration.Results {
			<-read
			return migration.Results{Errors: []string{"quota exceeded", "no such class"}}
		})
		w.members[m2].restoreRunning = true
		stop := w.drive()
		defer stop()
		w.apply(m2)
		time.Sleep(processingTime)
		w.wantPhase("RestoreInProgress")
		w.beginDeletion()
		w.members[m2].change(func() { w.members[m2].restoreRunning = false })
		close(read)
		time.Sleep(2 * resultsInterval)
		w.wantPhase("PartiallyFailed")
		w.wantTarget("RestorePartiallyFailed", "quota exceeded; no such class")
	})
}

// TestDriverWritesNothingForADeletedMigrate deletes a Migrate, without or with a finalizer, between
// the decision to create an object and the request.
func TestDriverWritesNothingForADeletedMigrate(t *testing.T) {
	for name, remove := range map[string]func(*world){
		"deleted":       (*world).delete,
		"being deleted": (*world).beginDeletion,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.apply(m2)
				d := w.driver()
				l := newLoop(d.Config, &sharings{})
				defer l.queue.ShutDown()
				m := w.migrate()
				source := l.writable(m, migration.Resolve(m, w.Observe("", nil)).Of(m1))
				remove(w)
				backup := &velerov1.Backup{ObjectMeta: metav1.ObjectMeta{Name: backupName}}
				err := l.createBackup(t.Context(), m, migration.CreateBackup{Source: m1, Backup: backup}, source)
				if !errors.Is(err, errNotLive) {
					t.Errorf("createBackup: %v", err)
				}
				if _, err := source.CreatePodVolumeBackup(t.Context(), &velerov1.PodVolumeBackup{}); !errors.Is(err, errNotLive) {
					t.Errorf("CreatePodVolumeBackup: %v", err)
				}
				if _, err := source.CreateRestore(t.Context(), &velerov1.Restore{}); !errors.Is(err, errNotLive) {
					t.Errorf("CreateRestore: %v", err)
				}
				if err := source.DeleteRestore(t.Context(), &velerov1.Restore{}); !errors.Is(err, errNotLive) {
					t.Errorf("DeleteRestore: %v", err)
				}
				w.wantCreates(m1)
			})
		})
	}
}

// TestResults reads results before and after the end of the Backup, and results that can't be read.
func TestResults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.members[m1].backupRunning = true
		stop := w.drive()
		defer stop()
		d := w.driver()
		w.apply(m2)
		time.Sleep(processingTime)
		read := func(i int) string {
			operations, err := migration.Operations(w.migrate(), "")
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			errs, warnings, err := d.Results(t.Context(), w.migrate(), operations[i], migration.ResultsVisitor{
				Item: func(r v1alpha1.ItemResult) error {
					got = append(got, r.Resource+" "+r.Namespace+"/"+r.Name+" "+string(r.Outcome))
					return nil
				},
				Volume: func(r v1alpha1.VolumeResult) error {
					got = append(got, r.Namespace+"/"+r.Claim+" "+string(r.Outcome))
					return nil
				},
			})
			return fmt.Sprint(got, errs, warnings, err)
		}
		if got := read(0); got != "[] [] [] "+backupName+" in m1 is InProgress, and Velero uploads its results when it has ended" {
			t.Errorf("before the end: %s", got)
		}
		if got := read(1); !strings.HasPrefix(got, "[] [] [] there is no Restore in m2: Waiting for the Backup in m1") {
			t.Errorf("before there is a Restore: %s", got)
		}
		w.endBackup(backupName)
		time.Sleep(processingTime)
		w.members[m2].results = func() migration.Results {
			return migration.Results{Errors: []string{"a\x1b[31m"}, Warnings: []string{"b"}}
		}
		if got := read(0); got != "[ConfigMap app/"+backupName+" Created app/data Moved] [] [] <nil>" {
			t.Errorf("of the Backup: %s", got)
		}
		if got := read(1); got != "[ConfigMap app/"+restoreName+" Created app/data Moved] [a?[31m] [b] <nil>" {
			t.Errorf("of the Restore: %s", got)
		}
		for err, want := range map[error]string{
			migration.ErrNotInStorage: "there are no results of " + restoreName + " in m2: Velero did not upload them, or they were deleted or have expired",
			errors.New("no route"):    "no route",
		} {
			w.members[m2].results = func() migration.Results { return migration.Results{ListsErr: err} }
			if got := read(1); !strings.HasSuffix(got, want) {
				t.Errorf("%v: %s", err, got)
			}
		}
	})
}
