// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package modelvelero

import (
	"slices"
	"testing"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestBackupIsSyncedAndRestored creates a Backup in one cluster, waits for its sync into
// another, and restores it there.
func TestBackupIsSyncedAndRestored(t *testing.T) {
	now := time.Date(2023, 10, 28, 15, 55, 13, 0, time.UTC)
	clock := func() time.Time { return now }
	bucket := NewBucket()
	options := Options{Items: 3, Volumes: 2}
	source, target := NewMemory("m1", clock), NewMemory("m2", clock)
	servers := map[*Memory]*Server{source: New(options, bucket), target: New(options, bucket)}
	var seen []string
	for _, m := range []*Memory{source, target} {
		m.Changed = func(_ Key, _, after Object) {
			phase := ""
			switch o := after.(type) {
			case *velerov1.Backup:
				phase = "Backup " + string(o.Status.Phase)
			case *velerov1.Restore:
				phase = "Restore " + string(o.Status.Phase)
			}
			if phase != "" && !slices.Contains(seen, phase) {
				seen = append(seen, phase)
			}
		}
		create(t, m, &velerov1.BackupStorageLocation{
			ObjectMeta: metav1.ObjectMeta{Name: "default"}, Spec: velerov1.BackupStorageLocationSpec{Default: true},
		})
	}
	takeSteps := func() {
		for range 30 {
			for m, s := range servers {
				c, _ := m.Read(t.Context())
				for _, step := range s.Steps(c, now) {
					_ = Take(t.Context(), m, step)
				}
			}
		}
	}
	create(t, source, &velerov1.Backup{ObjectMeta: metav1.ObjectMeta{Name: "b"}})
	takeSteps()
	now = now.Add(time.Minute)
	takeSteps()
	create(t, target, &velerov1.Restore{ObjectMeta: metav1.ObjectMeta{Name: "r"}, Spec: velerov1.RestoreSpec{BackupName: "b"}})
	takeSteps()

	want := []string{
		"Backup ", "Backup Queued", "Backup ReadyToStart", "Backup InProgress", "Backup Finalizing", "Backup Completed",
		"Restore ", "Restore InProgress", "Restore Finalizing", "Restore Completed",
	}
	if !slices.Equal(seen, want) {
		t.Errorf("seen %q, want %q", seen, want)
	}
	c, _ := target.Read(t.Context())
	if n := len(c.PodVolumeBackups); n != 2 || c.PodVolumeBackups[0].OwnerReferences[0].UID != c.Backup("b").UID {
		t.Errorf("the target has %d PodVolumeBackups, or the Backup does not own them; want 2 that it owns", n)
	}
}

// TestScenarios runs on the model the scenarios that package e2e runs on a real Velero.
func TestScenarios(t *testing.T) {
	now := time.Date(2023, 10, 28, 15, 55, 13, 0, time.UTC)
	clock := func() time.Time { return now }
	bucket := NewBucket()
	options := Options{Items: 1}
	source, target := NewMemory("m1", clock), NewMemory("m2", clock)
	servers := map[*Memory]*Server{source: New(options, bucket), target: New(options, bucket)}
	for _, m := range []*Memory{source, target} {
		create(t, m, &velerov1.BackupStorageLocation{
			ObjectMeta: metav1.ObjectMeta{Name: "default"}, Spec: velerov1.BackupStorageLocationSpec{Default: true},
			Status: velerov1.BackupStorageLocationStatus{Phase: velerov1.BackupStorageLocationPhaseAvailable},
		})
	}
	storagePaused, killed := false, false
	h := &Harness{
		Source: source, Target: target, Now: clock,
		Advance: func() {
			now = now.Add(100 * time.Millisecond)
			for _, m := range []*Memory{source, target} {
				c, _ := m.Read(t.Context())
				for _, step := range servers[m].Steps(c, now) {
					if killed && m == source || storagePaused && needsStorage(step) {
						continue
					}
					if err := Take(t.Context(), m, step); err != nil {
						t.Errorf("%s: %v", step.What, err)
					}
					break
				}
			}
		},
		PauseStorage: func() func() {
			storagePaused = true
			return func() { storagePaused = false }
		},
		KillSource: func() func() {
			killed = true
			return func() { killed, servers[source] = false, New(options, bucket) }
		},
	}
	for _, scenario := range Scenarios {
		t.Run(scenario.Name, func(t *testing.T) { scenario.Check(t, h, true) })
	}
}

// needsStorage reports whether a step is impossible while the storage does not respond.
func needsStorage(step Step) bool {
	switch before := step.Before.(type) {
	case *velerov1.Backup:
		return before.Status.Phase == velerov1.BackupPhaseInProgress
	case *velerov1.Restore:
		return before.Status.Phase == velerov1.RestorePhaseInProgress
	case *velerov1.BackupStorageLocation, nil:
		return true
	}
	return false
}

// TestOneRestoreAtATime creates several Restores at once. The server takes all steps that
// Steps returns, although one may make the next impossible.
func TestOneRestoreAtATime(t *testing.T) {
	now := time.Date(2023, 10, 28, 15, 55, 13, 0, time.UTC)
	bucket := NewBucket()
	m, server := NewMemory("m1", func() time.Time { return now }), New(Options{Items: 3}, bucket)
	create(t, m, &velerov1.BackupStorageLocation{
		ObjectMeta: metav1.ObjectMeta{Name: "default"}, Spec: velerov1.BackupStorageLocationSpec{Default: true},
	})
	create(t, m, &velerov1.Backup{ObjectMeta: metav1.ObjectMeta{Name: "b"}})
	takeSteps := func() *Cluster {
		c, _ := m.Read(t.Context())
		for _, step := range server.Steps(c, now) {
			_ = Take(t.Context(), m, step)
		}
		c, _ = m.Read(t.Context())
		return c
	}
	for range 10 {
		takeSteps()
	}
	for _, name := range []string{"r1", "r2", "r3"} {
		create(t, m, &velerov1.Restore{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: velerov1.RestoreSpec{BackupName: "b"}})
	}
	for range 20 {
		running := 0
		for _, r := range takeSteps().Restores {
			if r.Status.Phase == velerov1.RestorePhaseInProgress {
				running++
			}
		}
		if running > 1 {
			t.Fatalf("%d Restores are InProgress at the same time", running)
		}
	}
	for _, r := range takeSteps().Restores {
		if r.Status.Phase != velerov1.RestorePhaseCompleted {
			t.Errorf("%s is %q, want Completed", r.Name, r.Status.Phase)
		}
	}
}
