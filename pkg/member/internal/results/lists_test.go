// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package results

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/member/internal/clienttest"
	"kurator.dev/migrate-apiserver/pkg/member/internal/membertest"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// newStorage returns a member whose storage has files, by path, and the CA of the storage.
func newStorage(t *testing.T, files map[string]string) (*membertest.APIServer, migration.StorageCA) {
	packed := map[string]string{}
	for path, text := range files {
		packed["/"+path] = gzipped(text)
	}
	at, ca := storage(t, packed, "<Error><Code>NoSuchKey</Code></Error>")
	s := membertest.NewAPIServer(t)
	s.OnCreate = func(_ string, obj *unstructured.Unstructured) {
		_ = unstructured.SetNestedField(obj.Object, at.URL+"/"+fileOf(obj), "status", "downloadURL")
	}
	s.Answers = map[string]string{}
	return s, migration.StorageCA{PEM: ca}
}

// exceptions returns the first exceptions with an outcome.
func exceptions(lists *migration.Lists, outcome v1alpha1.ItemOutcome) []string {
	var all []string
	for _, x := range lists.Exceptions.First[outcome] {
		all = append(all, fmt.Sprintf("%s %s/%s", x.Kind, x.Namespace, x.Name))
	}
	return all
}

const (
	backedUp = `{"v1/ConfigMap":["app/a","app/kube-root-ca.crt"],"v1/Namespace":["app"],
		"v1/PersistentVolumeClaim":["app/../../secrets","app/bound","app/data","app/gone","app/plain","app/unbound"],"v1/Pod":["app/one"]}`
	backedUpVolumes = `[
		{"pvcName":"plain","pvcNamespace":"app","pvName":"pv1","skipped":true,"skippedReason":"opted out;"},
		{"pvcName":"data","pvcNamespace":"app","pvName":"pv2","backupMethod":"PodVolumeBackup","result":"succeeded",
			"pvbInfo":{"size":100,"volumeName":"data","podName":"one","podNamespace":"app"}},
		{"backupMethod":"PodVolumeBackup","result":"succeeded","pvbInfo":{"size":7,"volumeName":"scratch","podName":"one","podNamespace":"app"}},
		{"pvcName":"moved","pvcNamespace":"app","pvName":"pv3","backupMethod":"CSISnapshot","snapshotDataMoved":true,"result":"succeeded","snapshotDataMovementInfo":{"size":5}},
		{"pvcName":"snap","pvcNamespace":"app","pvName":"pv4","backupMethod":"CSISnapshot","csiSnapshotInfo":{"size":3}}]`
)

func TestListsOfABackup(t *testing.T) {
	s, ca := newStorage(t, map[string]string{"list": backedUp, "volumes": backedUpVolumes})
	s.Answers["/api/v1/namespaces/app/persistentvolumeclaims/bound"] = `{"status":{"phase":"Bound"}}`
	s.Answers["/api/v1/namespaces/app/persistentvolumeclaims/unbound"] = `{"status":{"phase":"Pending"}}`
	s.Answers["/api/v1/namespaces/app/persistentvolumeclaims/gone"] = membertest.Absent
	got := Read(t.Context(), clienttest.New(s, brief), migration.ResultsRequest{BackedUp: file("list"), BackedUpVolumes: file("volumes"), CA: ca}, velero.Visitor{})
	if got.Err != nil || got.ListsErr != nil {
		t.Fatal(got.Err, got.ListsErr)
	}
	if d := cmp.Diff(v1alpha1.ItemCounts{Total: 8}, got.Lists.Items); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(v1alpha1.VolumeCounts{Total: 7, Moved: 4, Bytes: 115}, got.Lists.Volumes); d != "" {
		t.Error(d)
	}
	// The name of one claim is a path; it is not read, and so may be bound.
	want := []string{"PersistentVolumeClaim app/plain", "PersistentVolumeClaim app/../../secrets", "PersistentVolumeClaim app/bound"}
	if d := cmp.Diff(want, exceptions(got.Lists, v1alpha1.ItemWithoutData)); d != "" {
		t.Error(d)
	}
}

func TestListsOfABackupWithoutVolumes(t *testing.T) {
	s, ca := newStorage(t, map[string]string{"list": `{"v1/ConfigMap":["app/a"]}`})
	got := Read(t.Context(), clienttest.New(s, brief), migration.ResultsRequest{BackedUp: file("list"), BackedUpVolumes: file("volumes"), CA: ca}, velero.Visitor{})
	if got.ListsErr != nil || got.Lists.Items.Total != 1 {
		t.Errorf("%+v, %v", got.Lists, got.ListsErr)
	}
}

func TestListsOfARestore(t *testing.T) {
	s, ca := newStorage(t, map[string]string{
		"results":  `{"errors":{"namespaces":{"there":["error restoring pods/there/one: denied"]}}}`,
		"list":     backedUp,
		"volumes":  backedUpVolumes,
		"restored": `{"v1/ConfigMap":["there/a(created)"],"v1/PersistentVolumeClaim":["there/bound(created)","there/data(created)","there/gone(created)","there/plain(created)","there/unbound(created)","there/../../secrets(created)"],"v1/Pod":["there/one(failed)"]}`,
		"arrived":  `[{"pvcName":"snap","pvcNamespace":"there","restoreMethod":"CSISnapshot"},{"pvcName":"moved","pvcNamespace":"there","restoreMethod":"CSISnapshot","snapshotDataMoved":true}]`,
	})
	for volume, phase := range map[string]string{"data": "Completed", "scratch": "InProgress"} {
		s.Put("podvolumerestores", &unstructured.Unstructured{Object: map[string]any{
			"metadata": map[string]any{"name": volume, "namespace": "velero", "labels": map[string]any{"velero.io/restore-name": "r"}},
			"spec":     map[string]any{"pod": map[string]any{"namespace": "there", "name": "one"}, "volume": volume},
			"status":   map[string]any{"phase": phase},
		}})
	}
	s.Answers["/api/v1/namespaces/there/persistentvolumeclaims/snap"] = `{"status":{"phase":"Bound"}}`
	s.Answers["/apis/velero.io/v2alpha1/namespaces/velero/datadownloads"] = `{"items":[{"metadata":{"name":"dd"},"spec":{"targetVolume":{"namespace":"there","pvc":"moved"}},"status":{"phase":"Failed","message":"no space left"}}]}`
	got := Read(t.Context(), clienttest.New(s, brief), migration.ResultsRequest{
		Results: file("results"), Log: file("log"), BackedUp: file("list"), BackedUpVolumes: file("volumes"), Restored: file("restored"), RestoredVolumes: file("arrived"),
		Restore: "r", NamespaceMapping: map[string]string{"app": "there"}, WithoutInfo: &[]velero.Claim{{Namespace: "app", Name: "bound"}}, CA: ca,
	}, velero.Visitor{})
	if got.Err != nil || got.ListsErr != nil {
		t.Fatal(got.Err, got.ListsErr)
	}
	if d := cmp.Diff(v1alpha1.ItemCounts{Total: 8, Created: 7, Failed: 1}, got.Lists.Items); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(v1alpha1.VolumeCounts{Total: 6, Moved: 2, Bytes: 103}, got.Lists.Volumes); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"Pod there/one"}, exceptions(got.Lists, v1alpha1.ItemFailed)); d != "" {
		t.Error(d)
	}
	want := []string{"PersistentVolumeClaim there/plain", "Pod there/one", "PersistentVolumeClaim there/moved", "PersistentVolumeClaim there/bound"}
	if d := cmp.Diff(want, exceptions(got.Lists, v1alpha1.ItemWithoutData)); d != "" {
		t.Error(d)
	}
	for i, why := range map[int]string{1: " of volume scratch is in the Backup and was not written: PodVolumeRestore scratch is InProgress", 2: " is in the Backup and was not written: DataDownload dd is Failed: no space left"} {
		if got := got.Lists.Exceptions.First[v1alpha1.ItemWithoutData][i].Message; got != "its data"+why {
			t.Errorf("the message is %q", got)
		}
	}
}

// TestLinksAreRemoved reads with and without an error: no DownloadRequest remains.
func TestLinksAreRemoved(t *testing.T) {
	full := errors.New("full")
	for name, tt := range map[string]struct {
		files map[string]string
		end   error
		want  error
	}{
		"read":    {map[string]string{"results": "{}", "list": `{"v1/ConfigMap":["app/a"],"v1/Pod":["app/one"]}`, "volumes": backedUpVolumes}, nil, nil},
		"ended":   {map[string]string{"results": "{}", "list": `{"v1/ConfigMap":["app/a"]}`}, full, full},
		"missing": {map[string]string{"results": "{}"}, nil, migration.ErrNotInStorage},
	} {
		t.Run(name, func(t *testing.T) {
			s, ca := newStorage(t, tt.files)
			visited := []string{}
			to := velero.Visitor{
				Item:   func(r velero.ItemResult) error { visited = append(visited, r.Name); return tt.end },
				Volume: func(r velero.VolumeResult) error { visited = append(visited, r.Method()); return tt.end },
			}
			request := migration.ResultsRequest{Results: file("results"), Log: file("log"), BackedUp: file("list"), BackedUpVolumes: file("volumes"), CA: ca}
			if got := Read(t.Context(), clienttest.New(s, brief), request, to); !errors.Is(got.ListsErr, tt.want) {
				t.Error(got.ListsErr)
			}
			want := map[string]string{
				"read": "a one  FileSystemBackup FileSystemBackup SnapshotDataMovement Snapshot", "ended": "a", "missing": "",
			}[name]
			if got := strings.Join(visited, " "); got != want {
				t.Errorf("visited %q, want %q", got, want)
			}
			if created, deleted := s.Count("post downloadrequests"), s.Count("delete downloadrequests"); created == 0 || deleted != created {
				t.Errorf("%d DownloadRequests created, %d deleted: %v", created, deleted, s.Requests())
			}
		})
	}
}

// TestListsThatCannotBeRead leaves one of the files out, or makes it unreadable.
func TestListsThatCannotBeRead(t *testing.T) {
	for name, broken := range map[string]string{
		"results": "parsing the results failed", "list": "parsing the list of resources failed",
		"restored": "parsing the list of resources failed", "volumes": "parsing the volume info failed",
	} {
		for _, text := range []string{"", "secret"} {
			files := map[string]string{"results": `{}`, "list": backedUp, "restored": `{}`, "volumes": `[]`, "log": "log"}
			want := broken
			if files[name] = text; text == "" {
				delete(files, name)
				want = "the storage does not have it"
			}
			s, ca := newStorage(t, files)
			got := Read(t.Context(), clienttest.New(s, brief), migration.ResultsRequest{
				Results: file("results"), Log: file("log"), BackedUp: file("list"), BackedUpVolumes: file("volumes"), Restored: file("restored"), RestoredVolumes: file("arrived"),
				Restore: "r", CA: ca,
			}, velero.Visitor{})
			if got.Lists != nil || got.ListsErr == nil || !strings.HasPrefix(got.ListsErr.Error(), want) || strings.Contains(got.ListsErr.Error(), "secret") {
				t.Errorf("%s %q: lists %+v, error %v", name, text, got.Lists, got.ListsErr)
			}
		}
	}
}
