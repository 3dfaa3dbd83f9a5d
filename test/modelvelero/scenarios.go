// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package modelvelero

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Harness is a pair of Veleros, modelled or real, that run scenarios. They share a bucket.
type Harness struct {
	// Source and Target store the objects of the two Veleros.
	Source, Target Store
	// Prefix begins the names of all objects.
	Prefix string
	// Advance takes one step of each modelled Velero, or waits a moment for the real ones.
	Advance func()
	// PauseStorage stops the storage from responding until the returned function is called.
	PauseStorage func() (resume func())
	// KillSource kills the Velero of the source; the returned function starts it again.
	KillSource func() (start func())
	// Now returns the time.
	Now func() time.Time

	// seen are the phases in which each object of the source was seen.
	seen map[string][]string
}

// Scenario is a sequence of actions on a Harness, with the expected phases of objects.
type Scenario struct {
	Name string
	Run  func(t *testing.T, h *Harness)
	// Want are the phases of each object, by name, the terminal phase last. With a real
	// Velero some phases may be missed, but not the last one, and the order is the same.
	Want map[string][]string
}

// Scenarios test what our driver relies on. They must run in this order, because some use
// objects of others.
var Scenarios = []Scenario{
	{
		"Backup and Restore succeed",
		func(t *testing.T, h *Harness) {
			h.backup(t, "well", "")
			h.await(t, "well", "Completed")
			h.restore(t, "of-well", "well")
			h.await(t, "of-well", "Completed")
			c := h.read(t, h.Source)
			if b := c.Backup(h.Prefix + "well"); b.Labels[velerov1.StorageLocationLabel] != "default" || b.Spec.StorageLocation != "default" ||
				b.Status.Expiration == nil || b.Status.CompletionTimestamp == nil || b.CreationTimestamp.After(b.Status.CompletionTimestamp.Time) {
				t.Errorf("unexpected completed Backup: %+v", b)
			}
			if r := c.Restore(h.Prefix + "of-well"); !slices.Equal(r.Finalizers, []string{restoreFinalizer}) {
				t.Errorf("the finalizers of the Restore are %q, want only Velero's", r.Finalizers)
			}
		},
		map[string][]string{
			"well":    {"", "Queued", "ReadyToStart", "InProgress", "Finalizing", "Completed"},
			"of-well": {"", "InProgress", "Finalizing", "Completed"},
		},
	},
	{
		"Backup name exists in the bucket",
		func(t *testing.T, h *Harness) {
			h.backup(t, "twice", "")
			h.await(t, "twice", "Completed")
			if err := h.Source.Delete(t.Context(), h.read(t, h.Source).Backup(h.Prefix+"twice")); err != nil {
				t.Fatal(err)
			}
			delete(h.seen, "twice")
			h.backup(t, "twice", "")
			h.await(t, "twice", "Failed")
			h.wantReason(t, h.read(t, h.Source).Backup(h.Prefix+"twice").Status.FailureReason, "backup already exists in object storage")
		},
		map[string][]string{"twice": {"", "Queued", "ReadyToStart", "InProgress", "Failed"}},
	},
	{
		"Restore of a missing Backup",
		func(t *testing.T, h *Harness) {
			h.restore(t, "of-none", "none")
			h.await(t, "of-none", "FailedValidation")
			h.wantReason(t, strings.Join(h.read(t, h.Source).Restore(h.Prefix+"of-none").Status.ValidationErrors, ";"), "can't find backup")
		},
		map[string][]string{"of-none": {"", "FailedValidation"}},
	},
	{
		"read-only location",
		func(t *testing.T, h *Harness) {
			h.location(t, "readonly", func(l *velerov1.BackupStorageLocation) {
				l.Spec.AccessMode = velerov1.BackupStorageLocationAccessModeReadOnly
			})
			h.until(t, "the location is Available", func(c *Cluster) bool {
				return c.Location(h.Prefix+"readonly").Status.Phase == velerov1.BackupStorageLocationPhaseAvailable
			})
			h.backup(t, "readonly", h.Prefix+"readonly")
			h.await(t, "readonly", "FailedValidation")
			h.wantReason(t, strings.Join(h.read(t, h.Source).Backup(h.Prefix+"readonly").Status.ValidationErrors, ";"), "read-only mode")
		},
		map[string][]string{"readonly": {"", "Queued", "ReadyToStart", "FailedValidation"}},
	},
	{
		"missing location",
		func(t *testing.T, h *Harness) {
			h.backup(t, "nowhere", h.Prefix+"nowhere")
			h.await(t, "nowhere", "FailedValidation")
		},
		map[string][]string{"nowhere": {"", "Queued", "ReadyToStart", "FailedValidation"}},
	},
	{
		"ServerStatusRequest",
		func(t *testing.T, h *Harness) {
			create(t, h.Source, &velerov1.ServerStatusRequest{ObjectMeta: metav1.ObjectMeta{Name: h.Prefix + "status"}})
			h.until(t, "the request is processed", func(c *Cluster) bool {
				r := named(c.Requests, h.Prefix+"status")
				return r != nil && r.Status.Phase == velerov1.ServerStatusRequestPhaseProcessed && r.Status.ProcessedTimestamp != nil
			})
		},
		nil,
	},
	{
		"queues and a restart",
		func(t *testing.T, h *Harness) {
			resume := h.PauseStorage()
			h.backup(t, "killed", "")
			h.await(t, "killed", "InProgress")
			h.backup(t, "queued", "")
			h.await(t, "queued", "Queued")
			h.restore(t, "of-killed", "well")
			h.await(t, "of-killed", "InProgress")
			h.restore(t, "waiting", "well")
			// Velero processes the request, which is the newest object, while the Restore still waits.
			create(t, h.Source, &velerov1.ServerStatusRequest{ObjectMeta: metav1.ObjectMeta{Name: h.Prefix + "busy"}})
			h.until(t, "the request is processed", func(c *Cluster) bool {
				r := named(c.Requests, h.Prefix+"busy")
				return r != nil && r.Status.Phase == velerov1.ServerStatusRequestPhaseProcessed
			})
			c := h.read(t, h.Source)
			if p := c.Restore(h.Prefix + "waiting").Status.Phase; p != "" && p != velerov1.RestorePhaseNew {
				t.Errorf("the second Restore is %q, want it to wait", p)
			}
			if b := c.Backup(h.Prefix + "queued"); b.Status.Phase != velerov1.BackupPhaseQueued || b.Status.QueuePosition != 1 {
				t.Errorf("the second Backup is %q at position %d, want Queued at position 1", b.Status.Phase, b.Status.QueuePosition)
			}
			start := h.KillSource()
			resume()
			start()
			h.await(t, "killed", "Failed")
			h.await(t, "of-killed", "Failed")
			h.await(t, "waiting", "Completed")
			c = h.read(t, h.Source)
			h.wantReason(t, c.Backup(h.Prefix+"killed").Status.FailureReason, "found a backup with status \"InProgress\" during the server starting")
			h.wantReason(t, c.Restore(h.Prefix+"of-killed").Status.FailureReason, "found a restore with status \"InProgress\" during the server starting")
		},
		map[string][]string{
			"killed":    {"", "Queued", "ReadyToStart", "InProgress", "Failed"},
			"of-killed": {"", "InProgress", "Failed"},
			"waiting":   {"", "InProgress", "Finalizing", "Completed"},
		},
	},
	{
		"sync into another cluster",
		func(t *testing.T, h *Harness) {
			for end := h.Now().Add(scenarioTimeout); h.Now().Before(end); h.advance(t) {
				if b := h.read(t, h.Target).Backup(h.Prefix + "well"); b != nil {
					from := h.read(t, h.Source).Backup(b.Name)
					if b.Labels[velerov1.StorageLocationLabel] != "default" || b.Labels["a"] != "b" || b.Spec.StorageLocation != "default" ||
						b.Status.Phase != velerov1.BackupPhaseCompleted || b.UID == from.UID || !from.Status.CompletionTimestamp.Before(&b.CreationTimestamp) {
						t.Errorf("unexpected synced Backup: %+v", b)
					}
					return
				}
			}
			t.Errorf("the Backup was not synced within %v", scenarioTimeout)
		},
		nil,
	},
}

// Check runs a scenario and compares the seen phases of its objects. If all is set, all
// wanted phases must have been seen, otherwise some in their order and the last one.
func (s *Scenario) Check(t *testing.T, h *Harness, all bool) {
	h.seen = map[string][]string{}
	s.Run(t, h)
	for name, want := range s.Want {
		switch seen := h.seen[name]; {
		case all && !slices.Equal(seen, want):
			t.Errorf("%s was seen in %q, want %q", name, seen, want)
		case !isSubsequence(seen, want):
			t.Errorf("%s was seen in %q, want a subsequence of %q with its last phase", name, seen, want)
		}
	}
}

// isSubsequence reports whether seen has some of the phases in their order, and the last
// one.
func isSubsequence(seen, phases []string) bool {
	if len(seen) == 0 || seen[len(seen)-1] != phases[len(phases)-1] {
		return false
	}
	for _, phase := range phases {
		if len(seen) > 0 && seen[0] == phase {
			seen = seen[1:]
		}
	}
	return len(seen) == 0
}

const scenarioTimeout = 2 * time.Minute

func (h *Harness) until(t *testing.T, what string, condition func(*Cluster) bool) {
	t.Helper()
	for end := h.Now().Add(scenarioTimeout); ; h.advance(t) {
		if c := h.read(t, h.Source); condition(c) {
			return
		}
		if h.Now().After(end) {
			t.Fatalf("waiting until %s; seen %q", what, h.seen)
		}
	}
}

func (h *Harness) await(t *testing.T, name, phase string) {
	t.Helper()
	h.until(t, fmt.Sprintf("%s is %s", name, phase), func(*Cluster) bool {
		seen := h.seen[name]
		return len(seen) > 0 && seen[len(seen)-1] == phase
	})
}

// advance calls Advance, and reads the source to record phases.
func (h *Harness) advance(t *testing.T) {
	t.Helper()
	h.Advance()
	h.read(t, h.Source)
}

// read returns the objects of a cluster, and records the phases of those in the source.
func (h *Harness) read(t *testing.T, store Store) *Cluster {
	t.Helper()
	c, err := store.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if store != h.Source {
		return c
	}
	record := func(name string, phase string) {
		if name, ours := strings.CutPrefix(name, h.Prefix); ours {
			if seen := h.seen[name]; len(seen) == 0 || seen[len(seen)-1] != phase {
				h.seen[name] = append(seen, phase)
			}
		}
	}
	for _, b := range c.Backups {
		record(b.Name, string(b.Status.Phase))
	}
	for _, r := range c.Restores {
		record(r.Name, string(r.Status.Phase))
	}
	return c
}

// backup creates a small Backup.
func (h *Harness) backup(t *testing.T, name, location string) {
	t.Helper()
	create(t, h.Source, &velerov1.Backup{
		ObjectMeta: metav1.ObjectMeta{Name: h.Prefix + name, Labels: map[string]string{"a": "b"}},
		Spec:       velerov1.BackupSpec{StorageLocation: location, IncludedNamespaces: []string{"default"}},
	})
	h.read(t, h.Source)
}

func (h *Harness) restore(t *testing.T, name, backup string) {
	t.Helper()
	create(t, h.Source, &velerov1.Restore{
		ObjectMeta: metav1.ObjectMeta{Name: h.Prefix + name},
		Spec:       velerov1.RestoreSpec{BackupName: h.Prefix + backup},
	})
	h.read(t, h.Source)
}

// location creates a copy of the default location with a change, and deletes it when the test
// ends.
func (h *Harness) location(t *testing.T, name string, change func(*velerov1.BackupStorageLocation)) {
	t.Helper()
	original := h.read(t, h.Source).Location("default")
	l := &velerov1.BackupStorageLocation{ObjectMeta: metav1.ObjectMeta{Name: h.Prefix + name}, Spec: *original.Spec.DeepCopy()}
	l.Spec.Default = false
	change(l)
	create(t, h.Source, l)
	t.Cleanup(func() { _ = h.Source.Delete(context.Background(), l) })
}

func (h *Harness) wantReason(t *testing.T, got, want string) {
	t.Helper()
	if !strings.Contains(got, want) {
		t.Errorf("Velero reports %q, want it to contain %q", got, want)
	}
}

func create(t *testing.T, store Store, object Object) {
	t.Helper()
	if _, err := store.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
}
