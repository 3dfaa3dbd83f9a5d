// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package transfer_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	etcdtesting "k8s.io/apiserver/pkg/storage/etcd3/testing"

	"kurator.dev/migrate-apiserver/cmd/migrate-apiserver/app/internal/transfer"
	"kurator.dev/migrate-apiserver/cmd/migrate-apiserver/app/options"
	internal "kurator.dev/migrate-apiserver/pkg/apis/backup"
	"kurator.dev/migrate-apiserver/pkg/registry/backup/kurator"
)

const (
	backup  = `{apiVersion: backup.kurator.dev/v1alpha1, kind: Backup, metadata: {name: a, namespace: default, uid: "1", resourceVersion: "10", creationTimestamp: 2025-09-01T10:00:00Z}, spec: {destination: {fleet: f}}, status: {phase: One}}`
	migrate = `{apiVersion: backup.kurator.dev/v1alpha1, kind: Migrate, metadata: {name: m, namespace: default, uid: "2", resourceVersion: "11", creationTimestamp: 2025-09-01T10:00:00Z, finalizers: [migrate.kurator.dev]}, spec: {sourceCluster: {fleet: f}, targetCluster: {fleet: f}}, status: {phase: Completed}}`
)

func TestImport(t *testing.T) {
	s := open(t)
	steps := []struct{ name, objects, want string }{
		{"the first time", backup + "\n---\n" + migrate, "backups/a Created, migrates/m Created"},
		{"again", backup + "\n---\n" + migrate, "backups/a Unchanged, migrates/m Unchanged"},
		{"changed on the host", strings.NewReplacer("One", "Two", `"10"`, `"12"`).Replace(backup), "backups/a Updated"},
		{"made anew on the host", strings.NewReplacer("One", "Three", `"10"`, `"13"`, `uid: "1"`, `uid: "3"`).Replace(backup), "backups/a Updated"},
		{"with a field of another version", strings.NewReplacer("name: a", "name: b", "spec: {", "spec: {other: 1, ").Replace(backup), `backups/b Created (fields that this server does not have were left out: [unknown field "spec.other"])`},
		{"of the wrong type", strings.NewReplacer("name: a", "name: c", "destination: {fleet: f}", "schedule: 1").Replace(backup), "backups/c NotTransferred (json: cannot unmarshal"},
		{"under way", strings.NewReplacer("name: m", "name: o", "Completed", "BackupInProgress").Replace(migrate), "migrates/o NotTransferred (it is not finished, Kurator reports BackupInProgress"},
		{"not begun", strings.NewReplacer("name: m", "name: o", "phase: Completed", "").Replace(migrate), "migrates/o NotTransferred (it is not finished, Kurator reports no phase"},
		{"being deleted", strings.NewReplacer("name: m", "name: o, deletionTimestamp: 2025-09-01T10:00:00Z").Replace(migrate), "migrates/o NotTransferred (it is being deleted"},
	}
	for _, step := range steps {
		if got := imported(t, s, step.objects, false); !strings.HasPrefix(got, step.want) {
			t.Errorf("%s: got %s, want %s", step.name, got, step.want)
		}
	}

	// Everything goes into a file and back: what the server has is newer than any export.
	objects, err := s.Objects(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := transfer.Write(&file, objects); err != nil {
		t.Fatal(err)
	}
	if got, want := imported(t, s, file.String(), false), "backups/a Unchanged, backups/b Unchanged, migrates/m Unchanged"; got != want {
		t.Errorf("an export into the same server: %s, want %s", got, want)
	}
	other := open(t)
	if got, want := imported(t, other, file.String(), true), "backups/a Created, backups/b Created, migrates/m Created"; got != want {
		t.Errorf("a dry run in another server: %s, want %s", got, want)
	}
	if got, want := imported(t, other, file.String(), false), "backups/a Created, backups/b Created, migrates/m Created"; got != want {
		t.Errorf("an export into another server: %s, want %s", got, want)
	}
	copied, err := other.Objects(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range copied {
		copied[i].SetResourceVersion("")
		objects[i].SetResourceVersion("")
	}
	if diff := cmp.Diff(objects, copied); diff != "" {
		t.Errorf("(-exported +imported)\n%s", diff)
	}
	if m := copied[2]; m.GetUID() != "2" || len(m.GetFinalizers()) > 0 {
		t.Errorf("the imported Migrate: %v", m.Object)
	}

	// Nor does a newer export replace anything.
	exported, err := s.Objects(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	exported[0].SetResourceVersion("999")
	exported[0].SetUID("999")
	file.Reset()
	if err := transfer.Write(&file, exported[:1]); err != nil {
		t.Fatal(err)
	}
	if got, want := imported(t, other, file.String(), false), "backups/a NotTransferred (another object of this name was created in this server"; !strings.HasPrefix(got, want) {
		t.Errorf("an export of another object: got %s, want %s", got, want)
	}
}

// TestImportFromHost imports again and again while objects change on the host, here, and on both.
func TestImportFromHost(t *testing.T) {
	s := open(t)
	changedThere := strings.NewReplacer("One", "Two", `"10"`, `"12"`).Replace(backup)
	forged := strings.NewReplacer("One", "Three", `"10"`, `"13"`, "metadata: {", `metadata: {annotations: {backup.kurator.dev/imported: "host/13/0"}, `).Replace(backup)
	fromHost := transfer.ImportOptions{FromHost: true}
	prune, overwrite, both := fromHost, fromHost, fromHost
	prune.Prune, overwrite.Overwrite, both.Prune, both.Overwrite = true, true, true, true
	dry := prune
	dry.DryRun = true
	steps := []struct {
		name, objects string
		options       transfer.ImportOptions
		// changes changes the Backup in the storage first.
		changes    bool
		want, left string
	}{
		{"the first time", backup, fromHost, false, "backups/a Created", "One"},
		{"again", backup, fromHost, false, "backups/a Unchanged", "One"},
		{"changed here", backup, fromHost, true, "backups/a Unchanged", "here"},
		{"changed on both sides", changedThere, fromHost, false, "backups/a NotTransferred (it has changed both here", "here"},
		{"overwritten", changedThere, overwrite, false, "backups/a Updated", "Two"},
		{"with an annotation of somebody", forged, fromHost, false, "backups/a Updated", "Three"},
		{"deleted there", "", fromHost, false, "backups/a NotTransferred (it was deleted on the host since it was imported", "Three"},
		{"pruned, but changed here", "", prune, true, "backups/a NotTransferred (it was deleted on the host and has changed here", "here"},
		{"not pruned by a dry run", "", dry, false, "backups/a NotTransferred", "here"},
		{"pruned", "", both, false, "backups/a Deleted", ""},
		{"and gone", "", both, false, "", ""},
		{"from a file", backup, transfer.ImportOptions{}, false, "backups/a Created", "One"},
		{"which the host never had", "", both, false, "", "One"},
	}
	for _, step := range steps {
		if step.changes {
			change(t, s)
		}
		if got := importedWith(t, s, step.objects, step.options); !strings.HasPrefix(got, step.want) || step.want == "" && got != "" {
			t.Errorf("%s: got %s, want %s", step.name, got, step.want)
		}
		objects, err := s.Objects(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		left := ""
		for i := range objects {
			left, _, _ = unstructured.NestedString(objects[i].Object, "status", "phase")
		}
		if left != step.left {
			t.Errorf("%s: the Backup here is %q, want %q", step.name, left, step.left)
		}
	}
}

// change changes the status of the Backup in the storage, as Kurator's controller does.
func change(t *testing.T, s server) {
	t.Helper()
	ctx := genericapirequest.WithNamespace(t.Context(), "default")
	obj, err := s.kurators.Backup.Get(ctx, "a", &metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	changed := obj.DeepCopyObject().(*internal.Backup)
	changed.Status.Phase = "here"
	if _, _, err := s.kurators.BackupStatus.Update(ctx, "a", rest.DefaultUpdatedObjectInfo(changed), rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestRead(t *testing.T) {
	for text, want := range map[string]string{
		"": "",
		backup + "\n---\n\n---\n" + `{apiVersion: v1, kind: List, items: [` + migrate + `]}`: "Backup/a Migrate/m",
		`{apiVersion: v1, kind: Secret, metadata: {name: a, namespace: default}}`:            `error: Secret "a" of "v1" is not a Backup, Restore or Migrate of backup.kurator.dev/v1alpha1`,
		strings.ReplaceAll(backup, "backup.kurator.dev", "velero.io"):                        "error: Backup",
		strings.ReplaceAll(backup, "name: a", "name: ''"):                                    "error: Backup",
		"[1, 2]": "error: ",
		"a: [":   "error: ",
	} {
		objects, err := transfer.Read(strings.NewReader(text))
		var names []string
		for i := range objects {
			names = append(names, objects[i].GetKind()+"/"+objects[i].GetName())
		}
		got := strings.Join(names, " ")
		if err != nil {
			got = "error: " + err.Error()
		}
		if !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

// server is a storage, and the same one as the server has it.
type server struct {
	*transfer.Storage

	kurators *kurator.Storage
}

func open(t *testing.T) server {
	t.Helper()
	o, err := options.New()
	if err != nil {
		t.Fatal(err)
	}
	_, etcd := etcdtesting.NewUnsecuredEtcd3TestClientServer(t)
	o.Recommended.Etcd.StorageConfig.Transport = etcd.Transport
	scheme, getter, err := o.Storage("")
	if err != nil {
		t.Fatal(err)
	}
	s, err := transfer.Open(scheme, getter)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	kurators, err := kurator.New(scheme, getter)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kurators.Backup.Destroy)
	t.Cleanup(kurators.Restore.Destroy)
	return server{s, kurators}
}

func imported(t *testing.T, s server, text string, dryRun bool) string {
	t.Helper()
	return importedWith(t, s, text, transfer.ImportOptions{DryRun: dryRun})
}

func importedWith(t *testing.T, s server, text string, o transfer.ImportOptions) string {
	t.Helper()
	var objects []unstructured.Unstructured
	objects, err := transfer.Read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	results, err := s.Import(t.Context(), objects, o, time.Unix(1_700_000_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, r := range results {
		line := r.Resource + "/" + r.Name + " " + string(r.Outcome)
		if r.Message != "" {
			line += " (" + r.Message + ")"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, ", ")
}
