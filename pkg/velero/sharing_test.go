// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

var noon = time.Date(2023, 10, 28, 12, 0, 0, 0, time.UTC)

// finishedBackup returns a Backup as Velero's sync creates it.
func finishedBackup() *velerov1.Backup {
	return &velerov1.Backup{
		ObjectMeta: metav1.ObjectMeta{Name: "daily", Generation: 1, Labels: map[string]string{"velero.io/storage-location": "default"}},
		Spec:       velerov1.BackupSpec{StorageLocation: "default"},
		Status: velerov1.BackupStatus{
			Phase:          velerov1.BackupPhaseCompleted,
			StartTimestamp: &metav1.Time{Time: noon}, CompletionTimestamp: &metav1.Time{Time: noon.Add(2 * time.Second)},
			Expiration: &metav1.Time{Time: noon.Add(time.Hour)}, Warnings: 1,
			Progress: &velerov1.BackupProgress{TotalItems: 7, ItemsBackedUp: 6},
		},
	}
}

func TestAsFinishedBackup(t *testing.T) {
	got, ok := AsFinishedBackup(finishedBackup())
	want := FinishedBackup{
		Name: "daily", Location: "default", Started: 1698494400, Completed: 1698494402, Items: 6, Warnings: 1, Expiration: 1698498000, Synced: true,
	}
	if !ok || got != want {
		t.Errorf("%v (-want +got)\n%s", ok, cmp.Diff(want, got))
	}
	made := finishedBackup()
	made.Generation = 5
	if got, ok := AsFinishedBackup(made); !ok || got.Synced {
		t.Errorf("a Backup that Velero made is %+v, %v", got, ok)
	}
	for name, change := range map[string]func(*velerov1.Backup){
		"is running":          func(b *velerov1.Backup) { b.Status.Phase = velerov1.BackupPhaseInProgress },
		"has errors":          func(b *velerov1.Backup) { b.Status.Phase = velerov1.BackupPhasePartiallyFailed },
		"is being deleted":    func(b *velerov1.Backup) { b.DeletionTimestamp = &metav1.Time{Time: noon} },
		"has no start":        func(b *velerov1.Backup) { b.Status.StartTimestamp = nil },
		"has no end":          func(b *velerov1.Backup) { b.Status.CompletionTimestamp = nil },
		"has no location":     func(b *velerov1.Backup) { b.Labels = nil },
		"has two locations":   func(b *velerov1.Backup) { b.Spec.StorageLocation = "archive" },
		"has an invalid name": func(b *velerov1.Backup) { b.Name = "daily\n" },
		"has the annotation":  func(b *velerov1.Backup) { b.Annotations = map[string]string{HandedOverAnnotation: "0"} },
		"is handed over":      func(b *velerov1.Backup) { *b = *handedOver() },
		"lost the annotation": func(b *velerov1.Backup) { *b = *handedOver(); b.Annotations = nil },
	} {
		b := finishedBackup()
		change(b)
		if got, ok := AsFinishedBackup(b); ok {
			t.Errorf("one that %s counts: %+v", name, got)
		}
	}
}

// handedOver returns a Backup that this server creates in a target.
func handedOver() *velerov1.Backup {
	m := &v1alpha1.Migrate{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "app", UID: "c948154d-1727"}}
	return NewHandedOverBackup(m, "daily", finishedBackup(), "default", 0)
}

func TestSharedBackup(t *testing.T) {
	const started, completed = 1000, 1002
	made := func(name string) FinishedBackup {
		return FinishedBackup{Name: name, Location: "default", Started: started, Completed: completed, Items: 5, Expiration: 5000}
	}
	synced := func(name string, changes ...func(*FinishedBackup)) FinishedBackup {
		b := made(name)
		b.Location, b.Synced = "of-source", true
		for _, change := range changes {
			change(&b)
		}
		return b
	}
	newer := func(b *FinishedBackup) { b.Started, b.Completed = 2000, 2001 }
	newest := made("b")
	newer(&newest)
	for _, tt := range []struct {
		name            string
		source, target  []FinishedBackup
		proof, conflict string
	}{
		{name: "nothing"},
		{"made and synced", []FinishedBackup{made("a")}, []FinishedBackup{synced("a")}, "a", ""},
		{"the newest one", []FinishedBackup{made("a"), newest, made("c")}, []FinishedBackup{synced("a"), synced("b", newer), synced("c")}, "b", ""},
		{"others only", []FinishedBackup{made("a")}, []FinishedBackup{synced("b")}, "", ""},
		{"another start", []FinishedBackup{made("a")}, []FinishedBackup{synced("a", func(b *FinishedBackup) { b.Started++ })}, "", "a"},
		{"another end", []FinishedBackup{made("a")}, []FinishedBackup{synced("a", func(b *FinishedBackup) { b.Completed++ })}, "", "a"},
		{"a proof and a conflict", []FinishedBackup{made("a"), made("b")}, []FinishedBackup{synced("a"), synced("b", newer)}, "", "b"},
		{"other items", []FinishedBackup{made("a")}, []FinishedBackup{synced("a", func(b *FinishedBackup) { b.Items++ })}, "", ""},
		{"other warnings", []FinishedBackup{made("a")}, []FinishedBackup{synced("a", func(b *FinishedBackup) { b.Warnings++ })}, "", ""},
		{"another expiry", []FinishedBackup{made("a")}, []FinishedBackup{synced("a", func(b *FinishedBackup) { b.Expiration++ })}, "", ""},
		// Clusters that are set up alike, each with a storage of its own.
		{"made by both", []FinishedBackup{made("a")}, []FinishedBackup{made("a")}, "", ""},
		{"made by neither", []FinishedBackup{synced("a")}, []FinishedBackup{synced("a")}, "", ""},
		{"made by the target", []FinishedBackup{synced("a")}, []FinishedBackup{made("a")}, "", ""},
		{"made by both at other times", []FinishedBackup{made("a"), made("b")}, []FinishedBackup{func() FinishedBackup { b := made("b"); newer(&b); return b }(), synced("a")}, "", "b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if proof, conflict := SharedBackup(tt.source, tt.target); proof != tt.proof || conflict != tt.conflict {
				t.Errorf("proof %q, conflict %q, want %q, %q", proof, conflict, tt.proof, tt.conflict)
			}
		})
	}
}

func TestStoredIn(t *testing.T) {
	all := []FinishedBackup{{Name: "a", Location: "default"}, {Name: "b", Location: "archive"}}
	if got := StoredIn("archive", all); len(got) != 1 || got[0].Name != "b" {
		t.Errorf("got %+v", got)
	}
	if len(all) != 2 || all[1].Name != "b" {
		t.Errorf("the list has changed: %+v", all)
	}
}

func TestLocationKey(t *testing.T) {
	base := func() *velerov1.BackupStorageLocation {
		l := location("aws", "b", "p", endpoint("http://minio.velero.svc:9000"))
		l.UID = "1"
		return l
	}
	key := LocationKey(base())
	for name, change := range map[string]func(*velerov1.BackupStorageLocation){
		"the default": func(l *velerov1.BackupStorageLocation) { l.Spec.Default = true },
		"the status":  func(l *velerov1.BackupStorageLocation) { l.Status.LastSyncedTime = &metav1.Time{Time: noon} },
		"the provider's prefix": func(l *velerov1.BackupStorageLocation) {
			l.Spec.Provider = "velero.io/aws"
		},
	} {
		l := base()
		if change(l); LocationKey(l) != key {
			t.Errorf("%s changes the key", name)
		}
	}
	for name, change := range map[string]func(*velerov1.BackupStorageLocation){
		"UID":        func(l *velerov1.BackupStorageLocation) { l.UID = "2" },
		"name":       func(l *velerov1.BackupStorageLocation) { l.Name = "other" },
		"provider":   func(l *velerov1.BackupStorageLocation) { l.Spec.Provider = "gcp" },
		"bucket":     func(l *velerov1.BackupStorageLocation) { l.Spec.ObjectStorage.Bucket = "c" },
		"prefix":     func(l *velerov1.BackupStorageLocation) { l.Spec.ObjectStorage.Prefix = "q" },
		"CA":         func(l *velerov1.BackupStorageLocation) { l.Spec.ObjectStorage.CACert = []byte("x") },
		"config":     func(l *velerov1.BackupStorageLocation) { l.Spec.Config["s3Url"] = "http://minio.velero.svc:9001" },
		"no storage": func(l *velerov1.BackupStorageLocation) { l.Spec.ObjectStorage = nil },
	} {
		l := base()
		if change(l); LocationKey(l) == key {
			t.Errorf("another %s does not change the key", name)
		}
	}
}

func TestIsSyncedSinceChange(t *testing.T) {
	at := func(seconds int) *metav1.Time {
		return &metav1.Time{Time: noon.Add(time.Duration(seconds) * time.Second)}
	}
	entry := func(seconds int, fields string) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{Time: at(seconds), FieldsV1: metav1.NewFieldsV1(fields)}
	}
	const storage, other = `{"f:spec":{".":{},"f:config":{"f:s3Url":{}}}}`, `{"f:spec":{"f:default":{}},"f:status":{"f:phase":{}}}`
	for _, tt := range []struct {
		name   string
		synced *metav1.Time
		fields []metav1.ManagedFieldsEntry
		want   bool
	}{
		{"never synced", nil, nil, false},
		{"synced after its creation", at(31), nil, true},
		{"a sync that may have begun before its creation", at(30), nil, false},
		{"synced after a change", at(131), []metav1.ManagedFieldsEntry{entry(0, storage), entry(100, storage)}, true},
		{"not synced after a change", at(99), []metav1.ManagedFieldsEntry{entry(100, storage), entry(0, storage)}, false},
		{"a sync that may have begun before a change", at(130), []metav1.ManagedFieldsEntry{entry(100, storage)}, false},
		{"a change of something else", at(31), []metav1.ManagedFieldsEntry{entry(0, storage), entry(100, other)}, true},
		{"fields that can't be read", at(99), []metav1.ManagedFieldsEntry{entry(100, "?")}, false},
		{"a manager without fields", at(31), []metav1.ManagedFieldsEntry{{Time: at(100)}}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := location("aws", "b", "", nil)
			l.CreationTimestamp, l.ManagedFields, l.Status.LastSyncedTime = *at(0), tt.fields, tt.synced
			if got := IsSyncedSinceChange(l); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
