// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strings"
	"testing"
	"time"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// TestLog reads the logs of a Backup and a Restore: while the Backup waits for Velero, and after the end.
func TestLog(t *testing.T) {
	needsFleet(t)
	ensureAbsent(t, "logged")
	members[source].apply(t, settings("logged"))
	resumeVelero := pauseVelero(t, source)
	m := migrate(t, manifest("logged", only("logged"), 2))
	m.awaitPhase(t, v1alpha1.MigratePhaseBackupInProgress)
	const path = "/apis/backup.kurator.dev/v1alpha1/namespaces/default/migrates/logged/log"
	read := func(query string) (string, error) {
		return fleet.Kubectl(t.Context(), host.kubeconfig, "get", "--raw", path+query)
	}
	wantError := func(query, want string) {
		t.Helper()
		if got, err := read(query); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("log%s is %q, %v", query, got, err)
		}
	}
	wantLog := func(log string, err error, want string) {
		t.Helper()
		if err != nil || !strings.HasPrefix(log, "time=") || !strings.Contains(log, want) {
			t.Errorf("the log is %.500q, %v", log, err)
		}
	}
	wantError("", "and Velero uploads its log when it has ended. To wait for it, set follow=true.")
	wantError("?stage=restore", "there is no log yet, because there is no Restore in kurator-member2")
	wantError("?cluster=nowhere", "nowhere is not a cluster of this migration; the source is kurator-member1, the targets are kurator-member2")

	followed := make(chan func())
	go func() {
		log, err := read("?follow=true")
		followed <- func() { wantLog(log, err, "Backed up a total of") }
	}()
	select {
	case check := <-followed:
		check()
		t.Error("a log is followed before it is there")
	case <-time.After(3 * time.Second):
	}
	resumeVelero()
	(<-followed)()
	m.awaitCompleted(t)
	log, err := read("")
	wantLog(log, err, "Backed up a total of")
	log, err = read("?cluster=kurator-member2")
	wantLog(log, err, "restore completed")
	log, err = read("?stage=restore")
	wantLog(log, err, "restore completed")
}
