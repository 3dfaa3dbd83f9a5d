// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package kurator_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
	"kurator.dev/migrate-apiserver/pkg/registry/backup/internal/storetest"
	"kurator.dev/migrate-apiserver/pkg/registry/backup/kurator"
)

func TestBackup(t *testing.T) {
	s := newStorage(t)
	sent := &backup.Backup{
		ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "default", Finalizers: []string{"backup.kurator.dev"}},
		Spec:       backup.BackupSpec{Schedule: "0 3 * * *", Destination: backup.Destination{Fleet: "quickstart"}},
		Status:     backup.BackupStatus{Phase: "sent"},
	}
	obj, err := s.Backup.Create(storetest.Context(), sent, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if created := obj.(*backup.Backup); created.Status.Phase != "" || created.Generation != 1 {
		t.Errorf("created with phase %q, generation %d, want none and 1", created.Status.Phase, created.Generation)
	}

	update := func(patcher rest.Patcher, change func(*backup.Backup)) (*backup.Backup, error) {
		current, err := s.Backup.Get(storetest.Context(), "a", &metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		changed := current.DeepCopyObject().(*backup.Backup)
		change(changed)
		obj, _, err := patcher.Update(storetest.Context(), "a", rest.DefaultUpdatedObjectInfo(changed), rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
		if err != nil {
			return nil, err
		}
		return obj.(*backup.Backup), nil
	}
	change := func(b *backup.Backup) {
		b.Spec.Schedule, b.Status.Phase, b.Labels = "0 4 * * *", "changed", map[string]string{"a": "b"}
	}
	updated, err := update(s.BackupStatus, change)
	if err != nil {
		t.Fatal(err)
	}
	if updated.Spec.Schedule != "0 3 * * *" || updated.Status.Phase != "changed" || len(updated.Labels) > 0 || updated.Generation != 1 {
		t.Errorf("an update of the status: %+v", updated)
	}
	updated, err = update(s.Backup, func(b *backup.Backup) { change(b); b.Status.Phase = "again" })
	if err != nil {
		t.Fatal(err)
	}
	if updated.Spec.Schedule != "0 4 * * *" || updated.Status.Phase != "changed" || updated.Labels["a"] != "b" || updated.Generation != 2 {
		t.Errorf("an update: %+v", updated)
	}
	if _, err := update(s.Backup, func(b *backup.Backup) { b.Spec.Destination.Fleet = "" }); !apierrors.IsInvalid(err) {
		t.Errorf("an invalid update: %v", err)
	}
	if _, err := update(s.Backup, func(b *backup.Backup) { b.ResourceVersion = "" }); !apierrors.IsInvalid(err) {
		t.Errorf("an unconditional update: %v", err)
	}
}

// TestImportedIsNotValidatedAgain: a controller must be able to remove its finalizer from what was valid once.
func TestImportedIsNotValidatedAgain(t *testing.T) {
	s := newStorage(t)
	restore := &backup.Restore{ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "default", UID: "1", Finalizers: []string{"restore.kurator.dev"}}}
	if stored, err := s.Restore.Import(storetest.Context(), restore, false, nil); err != nil || !stored {
		t.Fatalf("import: %v, %v", stored, err)
	}
	obj, err := s.Restore.Get(storetest.Context(), "a", &metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	changed := obj.DeepCopyObject().(*backup.Restore)
	changed.Finalizers = nil
	if _, _, err := s.Restore.Update(storetest.Context(), "a", rest.DefaultUpdatedObjectInfo(changed), rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{}); err != nil {
		t.Error(err)
	}
}

func TestImport(t *testing.T) {
	s := newStorage(t)
	imported := func(phase string, replaces bool) bool {
		t.Helper()
		obj := &backup.Backup{ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "default", UID: "1", ResourceVersion: "77", Generation: 4}, Status: backup.BackupStatus{Phase: phase}}
		stored, err := s.Backup.Import(storetest.Context(), obj, false, func(runtime.Object) bool { return replaces })
		if err != nil {
			t.Fatal(err)
		}
		return stored
	}
	got := []bool{imported("first", false), imported("kept", false), imported("second", true)}
	if want := []bool{true, false, true}; !slices.Equal(got, want) {
		t.Errorf("stored %v, want %v", got, want)
	}
	obj, err := s.Backup.Get(storetest.Context(), "a", &metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b := obj.(*backup.Backup)
	if b.UID != "1" || b.Generation != 4 || b.Status.Phase != "second" || b.ResourceVersion == "77" {
		t.Errorf("got %+v", b)
	}
}

// TestImportedAnnotation: only an import sets it.
func TestImportedAnnotation(t *testing.T) {
	s := newStorage(t)
	newBackup := func(imported string) *backup.Backup {
		return &backup.Backup{
			ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "default", UID: "1", Annotations: map[string]string{backup.ImportedAnnotation: imported, "other": "kept"}},
			Spec:       backup.BackupSpec{Destination: backup.Destination{Fleet: "f"}},
		}
	}
	obj, err := s.Backup.Create(storetest.Context(), newBackup("forged"), rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := obj.(*backup.Backup).Annotations, map[string]string{"other": "kept"}; !maps.Equal(got, want) {
		t.Errorf("created with %v, want %v", got, want)
	}
	if _, err := s.Backup.Import(storetest.Context(), newBackup("10/hash"), false, func(runtime.Object) bool { return true }); err != nil {
		t.Fatal(err)
	}
	for _, sent := range []map[string]string{nil, {backup.ImportedAnnotation: "forged"}} {
		obj, err := s.Backup.Get(storetest.Context(), "a", &metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		changed := obj.DeepCopyObject().(*backup.Backup)
		changed.Annotations = sent
		obj, _, err = s.Backup.Update(storetest.Context(), "a", rest.DefaultUpdatedObjectInfo(changed), rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := obj.(*backup.Backup).Annotations, map[string]string{backup.ImportedAnnotation: "10/hash"}; !maps.Equal(got, want) {
			t.Errorf("updated with %v: %v, want %v", sent, got, want)
		}
	}
}

func TestTables(t *testing.T) {
	s := newStorage(t)
	for want, convert := range map[string]struct {
		convertor rest.TableConvertor
		obj       runtime.Object
		cells     []any
	}{
		"Backup":  {s.Backup, &backup.Backup{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: backup.BackupSpec{Schedule: "@daily"}, Status: backup.BackupStatus{Phase: "Done"}}, []any{"a", "@daily", "Done", "<unknown>"}},
		"Status":  {s.BackupStatus, &backup.Backup{ObjectMeta: metav1.ObjectMeta{Name: "a"}}, []any{"a", "", "", "<unknown>"}},
		"Restore": {s.Restore, &backup.Restore{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Status: backup.RestoreStatus{Phase: "Done"}}, []any{"a", "Done", "<unknown>"}},
	} {
		table, err := convert.convertor.ConvertToTable(t.Context(), convert.obj, nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(convert.cells, table.Rows[0].Cells); diff != "" || len(table.ColumnDefinitions) != len(convert.cells) {
			t.Errorf("%s: %d columns, cells (-want +got)\n%s", want, len(table.ColumnDefinitions), diff)
		}
	}
}

func newStorage(t *testing.T) *kurator.Storage {
	t.Helper()
	s, err := kurator.New(storetest.New(t))
	if err != nil {
		t.Fatal(err)
	}
	storetest.Ready(t, s.Backup)
	storetest.Ready(t, s.Restore)
	return s
}
