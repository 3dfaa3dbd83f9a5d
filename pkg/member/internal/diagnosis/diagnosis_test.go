// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnosis

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/member/internal/client"
	"kurator.dev/migrate-apiserver/pkg/member/internal/clienttest"
	"kurator.dev/migrate-apiserver/pkg/member/internal/membertest"
	"kurator.dev/migrate-apiserver/pkg/member/internal/serverstatus"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// brief has a short time to wait for Velero.
var brief = client.Options{AnswerTimeout: 200 * time.Millisecond}

func ours(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Labels: map[string]string{"backup.kurator.dev/migrate-uid": "u1"}}
}

// answering models a Velero that processes every ServerStatusRequest.
func answering(resource string, obj *unstructured.Unstructured) {
	if resource == "serverstatusrequests" {
		_ = unstructured.SetNestedField(obj.Object, "Processed", "status", "phase")
	}
}

func TestDiagnose(t *testing.T) {
	s := membertest.NewAPIServer(t)
	s.OnCreate = answering
	s.Answers = map[string]string{
		"/api/v1/namespaces": `{"items":[{"metadata":{"name":"shop"}},{"metadata":{"name":"app"}}]}`,
		"/apis/velero.io/v2alpha1/namespaces/velero/datadownloads": `{"items":[
			{"status":{"progress":{"bytesDone":10,"totalBytes":30}}},{"status":{"progress":{"bytesDone":5,"totalBytes":5}}}]}`,
	}
	got := New(clienttest.New(s, brief)).Diagnose(t.Context(), &velerov1.ServerStatusRequest{ObjectMeta: ours("ask")}, velerov1.RestoreNameLabel, "r")
	want := migration.Diagnosis{
		Server: migration.ServerAnswers, Terminating: []string{"app", "shop"},
		Volumes: &v1alpha1.VolumeProgress{BytesDone: 15, TotalBytes: 35},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestServerState requests the status of a Velero that does not answer, then answers, then does not
// answer again. A processed request of before does not count.
func TestServerState(t *testing.T) {
	s := membertest.NewAPIServer(t)
	c := clienttest.New(s, brief)
	ask := func(want migration.ServerState) {
		t.Helper()
		if got, _ := serverstatus.Ask(t.Context(), c, &velerov1.ServerStatusRequest{ObjectMeta: ours("ask")}); got != want {
			t.Errorf("server %q, want %q", got, want)
		}
	}
	ask(migration.ServerSilent)
	s.Put("serverstatusrequests", request("u1", "Processed"))
	s.OnCreate = answering
	ask(migration.ServerAnswers)
	s.OnCreate = nil
	ask(migration.ServerSilent)
	ask(migration.ServerSilent)
	if n := s.Count("post serverstatusrequests"); n != 6 {
		t.Errorf("%d creates were tried, want 4 and 2 more for a request that was answered before", n)
	}
}

// TestRequestOfOtherMigrateIsNotDeleted finds a ServerStatusRequest of the same name that belongs to
// another Migrate.
func TestRequestOfOtherMigrateIsNotDeleted(t *testing.T) {
	s := membertest.NewAPIServer(t)
	s.Put("serverstatusrequests", request("u2", "Processed"))
	serverstatus.Ask(t.Context(), clienttest.New(s, brief), &velerov1.ServerStatusRequest{ObjectMeta: ours("ask")})
	if n := s.Count("delete serverstatusrequests"); n != 0 {
		t.Error("another's request was deleted")
	}
}

func TestConcurrentDiagnosesShareAnswers(t *testing.T) {
	s := membertest.NewAPIServer(t)
	s.OnCreate = answering
	d := New(clienttest.New(s, client.Options{AnswerTimeout: time.Hour}))
	s.Answers = map[string]string{"/api/v1/namespaces": `{}`}
	for range 3 {
		d.Diagnose(t.Context(), &velerov1.ServerStatusRequest{ObjectMeta: ours("ask")}, velerov1.BackupNameLabel, "b")
	}
	if n := s.Count("post serverstatusrequests"); n != 1 {
		t.Errorf("Velero was asked %d times, want once", n)
	}
	if n := s.Count("get /api/v1/namespaces"); n != 1 {
		t.Errorf("namespaces were listed %d times, want once", n)
	}
}

// TestHangingMemberLeavesServerStateUnknown uses a member that accepts the request and then hangs,
// which says nothing about its Velero.
func TestHangingMemberLeavesServerStateUnknown(t *testing.T) {
	s := membertest.NewAPIServer(t)
	c := clienttest.New(s, brief)
	s.OnCreate = func(string, *unstructured.Unstructured) {
		s.SetFault(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	}
	if got, _ := serverstatus.Ask(t.Context(), c, &velerov1.ServerStatusRequest{ObjectMeta: ours("ask")}); got != "" {
		t.Errorf("server %q, want that it is not known", got)
	}
}

// TestRunning looks for the Backup or Restore that another one waits for.
func TestRunning(t *testing.T) {
	for label, resource := range map[string]string{velerov1.BackupNameLabel: "backups", velerov1.RestoreNameLabel: "restores"} {
		s := membertest.NewAPIServer(t)
		for name, phase := range map[string]string{"done": "Completed", "it": "InProgress", "nightly": "InProgress", "new": "Queued"} {
			obj := &unstructured.Unstructured{Object: map[string]any{"status": map[string]any{"phase": phase}}}
			obj.SetName(name)
			s.Put(resource, obj)
		}
		if got := running(t.Context(), clienttest.New(s, brief), objectResources[label], "it"); got != "nightly" {
			t.Errorf("Velero is processing %q of the %s", got, resource)
		}
	}
}

// TestDiagnoseWithoutPermission expects an empty diagnosis, and that calls to the member continue.
func TestDiagnoseWithoutPermission(t *testing.T) {
	s := membertest.NewAPIServer(t)
	s.SetFault(func(w http.ResponseWriter, _ *http.Request) {
		membertest.WriteStatus(w, http.StatusForbidden, metav1.StatusReasonForbidden, "not allowed")
	})
	c := clienttest.New(s, brief)
	got := New(c).Diagnose(t.Context(), &velerov1.ServerStatusRequest{ObjectMeta: ours("ask")}, velerov1.BackupNameLabel, "b")
	if d := cmp.Diff(migration.Diagnosis{}, got); d != "" {
		t.Error(d)
	}
	s.SetFault(nil)
	if c.Blocked() {
		t.Error("no calls are made to the member any more")
	}
}

func request(uid, phase string) *unstructured.Unstructured {
	obj := &unstructured.Unstructured{Object: map[string]any{"status": map[string]any{"phase": phase}}}
	obj.SetName("ask")
	obj.SetUID("request-uid")
	obj.SetLabels(map[string]string{"backup.kurator.dev/migrate-uid": uid})
	return obj
}
