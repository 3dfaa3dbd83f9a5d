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

// Trial is a pair of Veleros that scenarios are run on: of the model or real ones.
// They share a bucket.
type Trial struct {
	// Source and Target are where their objects are.
	Source, Target Store
	// Prefix begins the names of all objects of the trial.
	Prefix string
	// Work lets both Veleros work a little: one step, or one moment.
	Work func()
	// Freeze has the storage not answer, and returns what ends that.
	Freeze func() (thaw func())
	// Kill ends the Velero of the source, and returns what starts it again.
	Kill func() (start func())
	// Now returns the time.
	Now func() time.Time

	// seen are the phases that each object of the source was seen in.
	seen map[string][]string
}

// Scenario is something that is done to a Velero, and what it does.
type Scenario struct {
	Name string
	// Run does it.
	Run func(t *testing.T, v *Trial)
	// Want are the phases that each object goes through. The model goes through all of
	// them; of a real one some may be missed, but none of another order is seen, and
	// the last always is.
	Want map[string][]string
}

// Scenarios are what our driver relies on. They build on each other, in this order.
var Scenarios = []Scenario{
	{
		"a Backup and its Restore",
		func(t *testing.T, v *Trial) {
			v.backup(t, "well", "")
			v.await(t, "well", "Completed")
			v.restore(t, "of-well", "well")
			v.await(t, "of-well", "Completed")
			c := v.read(t, v.Source)
			if b := c.Backup(v.Prefix + "well"); b.Labels[velerov1.StorageLocationLabel] != "default" || b.Spec.StorageLocation != "default" ||
				b.Status.Expiration == nil || b.Status.CompletionTimestamp == nil || b.CreationTimestamp.After(b.Status.CompletionTimestamp.Time) {
				t.Errorf("a finished Backup is %+v", b)
			}
			if r := c.Restore(v.Prefix + "of-well"); !slices.Equal(r.Finalizers, []string{restoreFinalizer}) {
				t.Errorf("a Restore has the finalizers %q", r.Finalizers)
			}
		},
		map[string][]string{
			"well":    {"", "Queued", "ReadyToStart", "InProgress", "Finalizing", "Completed"},
			"of-well": {"", "InProgress", "Finalizing", "Completed"},
		},
	},
	{
		"a name that is in the bucket",
		func(t *testing.T, v *Trial) {
			v.backup(t, "twice", "")
			v.await(t, "twice", "Completed")
			if err := v.Source.Delete(t.Context(), v.read(t, v.Source).Backup(v.Prefix+"twice")); err != nil {
				t.Fatal(err)
			}
			delete(v.seen, "twice")
			v.backup(t, "twice", "")
			v.await(t, "twice", "Failed")
			v.wantReason(t, v.read(t, v.Source).Backup(v.Prefix+"twice").Status.FailureReason, "backup already exists in object storage")
		},
		map[string][]string{"twice": {"", "Queued", "ReadyToStart", "InProgress", "Failed"}},
	},
	{
		"a Restore of no Backup",
		func(t *testing.T, v *Trial) {
			v.restore(t, "of-none", "none")
			v.await(t, "of-none", "FailedValidation")
			v.wantReason(t, strings.Join(v.read(t, v.Source).Restore(v.Prefix+"of-none").Status.ValidationErrors, ";"), "can't find backup")
		},
		map[string][]string{"of-none": {"", "FailedValidation"}},
	},
	{
		"a location that is read-only",
		func(t *testing.T, v *Trial) {
			v.location(t, "readonly", func(l *velerov1.BackupStorageLocation) {
				l.Spec.AccessMode = velerov1.BackupStorageLocationAccessModeReadOnly
			})
			v.until(t, "the location is Available", func(c *Cluster) bool {
				return c.Location(v.Prefix+"readonly").Status.Phase == velerov1.BackupStorageLocationPhaseAvailable
			})
			v.backup(t, "readonly", v.Prefix+"readonly")
			v.await(t, "readonly", "FailedValidation")
			v.wantReason(t, strings.Join(v.read(t, v.Source).Backup(v.Prefix+"readonly").Status.ValidationErrors, ";"), "read-only mode")
		},
		map[string][]string{"readonly": {"", "Queued", "ReadyToStart", "FailedValidation"}},
	},
	{
		"a location that does not exist",
		func(t *testing.T, v *Trial) {
			v.backup(t, "nowhere", v.Prefix+"nowhere")
			v.await(t, "nowhere", "FailedValidation")
		},
		map[string][]string{"nowhere": {"", "Queued", "ReadyToStart", "FailedValidation"}},
	},
	{
		"a request for the server's status",
		func(t *testing.T, v *Trial) {
			create(t, v.Source, &velerov1.ServerStatusRequest{ObjectMeta: metav1.ObjectMeta{Name: v.Prefix + "status"}})
			v.until(t, "the request is answered", func(c *Cluster) bool {
				r := named(c.Requests, v.Prefix+"status")
				return r != nil && r.Status.Phase == velerov1.ServerStatusRequestPhaseProcessed && r.Status.ProcessedTimestamp != nil
			})
		},
		nil,
	},
	{
		"what waits, and a restart",
		func(t *testing.T, v *Trial) {
			thaw := v.Freeze()
			v.backup(t, "killed", "")
			v.await(t, "killed", "InProgress")
			v.backup(t, "queued", "")
			v.await(t, "queued", "Queued")
			v.restore(t, "of-killed", "well")
			v.await(t, "of-killed", "InProgress")
			v.restore(t, "waiting", "well")
			// What is asked for last is answered, and the Restore still waits.
			create(t, v.Source, &velerov1.ServerStatusRequest{ObjectMeta: metav1.ObjectMeta{Name: v.Prefix + "busy"}})
			v.until(t, "the request is answered", func(c *Cluster) bool {
				r := named(c.Requests, v.Prefix+"busy")
				return r != nil && r.Status.Phase == velerov1.ServerStatusRequestPhaseProcessed
			})
			c := v.read(t, v.Source)
			if p := c.Restore(v.Prefix + "waiting").Status.Phase; p != "" && p != velerov1.RestorePhaseNew {
				t.Errorf("a second Restore is %q", p)
			}
			if b := c.Backup(v.Prefix + "queued"); b.Status.Phase != velerov1.BackupPhaseQueued || b.Status.QueuePosition != 1 {
				t.Errorf("a second Backup is %q at position %d", b.Status.Phase, b.Status.QueuePosition)
			}
			start := v.Kill()
			thaw()
			start()
			v.await(t, "killed", "Failed")
			v.await(t, "of-killed", "Failed")
			v.await(t, "waiting", "Completed")
			c = v.read(t, v.Source)
			v.wantReason(t, c.Backup(v.Prefix+"killed").Status.FailureReason, "found a backup with status \"InProgress\" during the server starting")
			v.wantReason(t, c.Restore(v.Prefix+"of-killed").Status.FailureReason, "found a restore with status \"InProgress\" during the server starting")
		},
		map[string][]string{
			"killed":    {"", "Queued", "ReadyToStart", "InProgress", "Failed"},
			"of-killed": {"", "InProgress", "Failed"},
			"waiting":   {"", "InProgress", "Finalizing", "Completed"},
		},
	},
	{
		"the sync into another cluster",
		func(t *testing.T, v *Trial) {
			for end := v.Now().Add(trialDeadline); v.Now().Before(end); v.work(t) {
				if b := v.read(t, v.Target).Backup(v.Prefix + "well"); b != nil {
					from := v.read(t, v.Source).Backup(b.Name)
					if b.Labels[velerov1.StorageLocationLabel] != "default" || b.Labels["a"] != "b" || b.Spec.StorageLocation != "default" ||
						b.Status.Phase != velerov1.BackupPhaseCompleted || b.UID == from.UID || !from.Status.CompletionTimestamp.Before(&b.CreationTimestamp) {
						t.Errorf("the Backup that was found is %+v", b)
					}
					return
				}
			}
			t.Errorf("the Backup was not found within %v", trialDeadline)
		},
		nil,
	},
}

// Check runs a scenario, and compares what was seen: all, or as much of it as a real
// Velero shows.
func (s *Scenario) Check(t *testing.T, v *Trial, all bool) {
	v.seen = map[string][]string{}
	s.Run(t, v)
	for name, want := range s.Want {
		switch seen := v.seen[name]; {
		case all && !slices.Equal(seen, want):
			t.Errorf("%s was seen in %q, want %q", name, seen, want)
		case !isPart(seen, want):
			t.Errorf("%s was seen in %q, which is no part of %q with its end", name, seen, want)
		}
	}
}

// isPart says whether what was seen are some of the phases, in their order, the last
// among them.
func isPart(seen, phases []string) bool {
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

const trialDeadline = 2 * time.Minute

func (v *Trial) until(t *testing.T, what string, so func(*Cluster) bool) {
	t.Helper()
	for end := v.Now().Add(trialDeadline); ; v.work(t) {
		if c := v.read(t, v.Source); so(c) {
			return
		}
		if v.Now().After(end) {
			t.Fatalf("waiting until %s; seen %q", what, v.seen)
		}
	}
}

func (v *Trial) await(t *testing.T, name, phase string) {
	t.Helper()
	v.until(t, fmt.Sprintf("%s is %s", name, phase), func(*Cluster) bool {
		seen := v.seen[name]
		return len(seen) > 0 && seen[len(seen)-1] == phase
	})
}

func (v *Trial) work(t *testing.T) {
	t.Helper()
	v.Work()
	v.read(t, v.Source)
}

// read returns the objects of a cluster, and notes the phases of those in the source.
func (v *Trial) read(t *testing.T, store Store) *Cluster {
	t.Helper()
	c, err := store.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if store != v.Source {
		return c
	}
	note := func(name string, phase string) {
		if name, ours := strings.CutPrefix(name, v.Prefix); ours {
			if seen := v.seen[name]; len(seen) == 0 || seen[len(seen)-1] != phase {
				v.seen[name] = append(seen, phase)
			}
		}
	}
	for _, b := range c.Backups {
		note(b.Name, string(b.Status.Phase))
	}
	for _, r := range c.Restores {
		note(r.Name, string(r.Status.Phase))
	}
	return c
}

// backup makes a Backup of next to nothing.
func (v *Trial) backup(t *testing.T, name, location string) {
	t.Helper()
	create(t, v.Source, &velerov1.Backup{
		ObjectMeta: metav1.ObjectMeta{Name: v.Prefix + name, Labels: map[string]string{"a": "b"}},
		Spec:       velerov1.BackupSpec{StorageLocation: location, IncludedNamespaces: []string{"default"}},
	})
	v.read(t, v.Source)
}

func (v *Trial) restore(t *testing.T, name, backup string) {
	t.Helper()
	create(t, v.Source, &velerov1.Restore{
		ObjectMeta: metav1.ObjectMeta{Name: v.Prefix + name},
		Spec:       velerov1.RestoreSpec{BackupName: v.Prefix + backup},
	})
	v.read(t, v.Source)
}

// location makes a location like the default one.
func (v *Trial) location(t *testing.T, name string, change func(*velerov1.BackupStorageLocation)) {
	t.Helper()
	like := v.read(t, v.Source).Location("default")
	l := &velerov1.BackupStorageLocation{ObjectMeta: metav1.ObjectMeta{Name: v.Prefix + name}, Spec: *like.Spec.DeepCopy()}
	l.Spec.Default = false
	change(l)
	create(t, v.Source, l)
	t.Cleanup(func() { _ = v.Source.Delete(context.Background(), l) })
}

func (v *Trial) wantReason(t *testing.T, got, want string) {
	t.Helper()
	if !strings.Contains(got, want) {
		t.Errorf("Velero says %q, want %q in it", got, want)
	}
}

func create(t *testing.T, store Store, object Object) {
	t.Helper()
	if _, err := store.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
}
