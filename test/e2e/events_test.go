// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// eventsOf returns the Events of a Migrate as "Type cluster Reason"; the cluster is "-" for an
// Event about no cluster.
func eventsOf(t *testing.T, m *v1alpha1.Migrate) []string {
	t.Helper()
	events, err := host.kube.EventsV1().Events(m.Namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, e := range events.Items {
		if e.Regarding.UID != m.UID {
			continue
		}
		cluster := "-"
		if e.Related != nil {
			cluster = e.Related.Name
		}
		found = append(found, e.Type+" "+cluster+" "+e.Reason)
	}
	slices.Sort(found)
	return found
}

// awaitEvents waits until a Migrate has all of these Events, which are sent asynchronously.
func awaitEvents(t *testing.T, m *v1alpha1.Migrate, want ...string) {
	t.Helper()
	eventually(t, "there are the events "+strings.Join(want, ", "), func() (string, bool) {
		found := eventsOf(t, m)
		return strings.Join(found, ", "), !slices.ContainsFunc(want, func(step string) bool { return !slices.Contains(found, step) })
	})
}

// checkEvents checks the Events of a successful migration to kurator-member2: what a person would
// write down. It may have to wait in Velero's queue or for its sync.
func checkEvents(t *testing.T, m *v1alpha1.Migrate) {
	want := []string{
		"Normal kurator-member1 BackupStarting",
		"Normal kurator-member1 BackupCompleted",
		"Normal kurator-member2 RestoreStarting",
		"Normal kurator-member2 RestoreCompleted",
		"Normal - Completed",
	}
	awaitEvents(t, m, want...)
	waits := []string{"Normal kurator-member1 BackupQueued", "Normal kurator-member2 RestoreQueued", "Normal kurator-member2 WaitingForBackupSync"}
	for _, found := range eventsOf(t, m) {
		if !slices.Contains(slices.Concat(want, waits), found) {
			t.Errorf("unexpected Event %q", found)
		}
	}
}
