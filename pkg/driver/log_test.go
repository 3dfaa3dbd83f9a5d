// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// TestLogs reads logs before and after the end of the Backup, and with a storage that does not have them.
func TestLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.members[m1].backupRunning = true
		stop := w.drive()
		defer stop()
		d := w.driver()
		w.apply(m2)
		read := func(options v1alpha1.MigrateLogOptions) (string, error) {
			log, err := d.Log(t.Context(), w.migrate(), &options)
			if err != nil {
				return "", err
			}
			defer func() { _ = log.Close() }()
			text, err := io.ReadAll(log)
			return string(text), err
		}
		followed := make(chan string)
		go func() { // before the migration has started
			log, err := read(v1alpha1.MigrateLogOptions{Follow: true})
			followed <- log + errorText(err)
		}()
		time.Sleep(processingTime)
		if _, err := read(v1alpha1.MigrateLogOptions{}); !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), "uploads its log when it has ended") {
			t.Errorf("before the end: %v", err)
		}
		time.Sleep(time.Minute)
		w.endBackup(backupName)
		if got := <-followed; got != "BackupLog "+backupName {
			t.Errorf("followed %q", got)
		}
		time.Sleep(processingTime)
		if got, err := read(v1alpha1.MigrateLogOptions{Cluster: "m2"}); got != "RestoreLog "+restoreName || err != nil {
			t.Errorf("of the Restore: %q, %v", got, err)
		}
		if _, err := read(v1alpha1.MigrateLogOptions{Cluster: "m9"}); !apierrors.IsBadRequest(err) {
			t.Errorf("of an unknown cluster: %v", err)
		}
		w.members[m1].logErr = migration.ErrNotInStorage
		if _, err := read(v1alpha1.MigrateLogOptions{}); !apierrors.IsNotFound(err) || err.Error() != "there is no log of "+backupName+" in m1: Velero did not upload it, or it was deleted or has expired" {
			t.Errorf("without the file: %v", err)
		}
		w.members[m1].logErr = errors.New("the storage can't be reached from here")
		if _, err := read(v1alpha1.MigrateLogOptions{}); !apierrors.IsServiceUnavailable(err) || !strings.Contains(err.Error(), "the storage can't be reached from here") {
			t.Errorf("without the storage: %v", err)
		}
		w.members[m1].logCut = true
		if got, err := read(v1alpha1.MigrateLogOptions{}); got != "BackupLog "+backupName+"\nThe log is incomplete: the storage can't be reached from here\n" || err != nil {
			t.Errorf("a log that is cut: %q, %v", got, err)
		}
	})
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
