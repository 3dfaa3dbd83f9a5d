// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"bytes"
	"compress/gzip"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/member/internal/membertest"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

func memberOf(t *testing.T, s *membertest.APIServer) *Member {
	p := newTestPool(t, membertest.NewHost(s.Kubeconfig()), Options{AnswerTimeout: 200 * time.Millisecond})
	return p.Member("default", velero1)
}

func ours(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Labels: map[string]string{"backup.kurator.dev/migrate-uid": "u1"}}
}

// answering is a Velero that answers every request for its status.
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
	got := memberOf(t, s).Diagnose(t.Context(), &velerov1.ServerStatusRequest{ObjectMeta: ours("ask")}, velerov1.RestoreNameLabel, "r")
	want := migration.Diagnosis{
		Server: migration.ServerAnswers, Terminating: []string{"app", "shop"},
		Volumes: &v1alpha1.VolumeProgress{BytesDone: 15, TotalBytes: 35},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestServerState asks a Velero that is silent, then answers, then is silent again:
// an old answer is none.
func TestServerState(t *testing.T) {
	s := membertest.NewAPIServer(t)
	m := memberOf(t, s)
	ask := func(want migration.ServerState) {
		t.Helper()
		if got := m.serverState(t.Context(), &velerov1.ServerStatusRequest{ObjectMeta: ours("ask")}); got != want {
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

// TestServerStateOfAnother leaves alone what is not this Migrate's.
func TestServerStateOfAnother(t *testing.T) {
	s := membertest.NewAPIServer(t)
	s.Put("serverstatusrequests", request("u2", "Processed"))
	memberOf(t, s).serverState(t.Context(), &velerov1.ServerStatusRequest{ObjectMeta: ours("ask")})
	if n := s.Count("delete serverstatusrequests"); n != 0 {
		t.Error("another's request was deleted")
	}
}

func TestOneAnswerServesAll(t *testing.T) {
	s := membertest.NewAPIServer(t)
	s.OnCreate = answering
	m := newTestPool(t, membertest.NewHost(s.Kubeconfig()), Options{AnswerTimeout: time.Hour}).Member("default", velero1)
	s.Answers = map[string]string{"/api/v1/namespaces": `{}`}
	for range 3 {
		m.Diagnose(t.Context(), &velerov1.ServerStatusRequest{ObjectMeta: ours("ask")}, velerov1.BackupNameLabel, "b")
	}
	if n := s.Count("post serverstatusrequests"); n != 1 {
		t.Errorf("Velero was asked %d times, want once", n)
	}
	if n := s.Count("get /api/v1/namespaces"); n != 1 {
		t.Errorf("namespaces were listed %d times, want once", n)
	}
}

// TestAMemberThatHangsIsNoSilentVelero takes the request and then answers nothing.
func TestAMemberThatHangsIsNoSilentVelero(t *testing.T) {
	s := membertest.NewAPIServer(t)
	m := memberOf(t, s)
	s.OnCreate = func(string, *unstructured.Unstructured) {
		s.SetFault(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	}
	if got := m.serverState(t.Context(), &velerov1.ServerStatusRequest{ObjectMeta: ours("ask")}); got != "" {
		t.Errorf("server %q, want that it is not known", got)
	}
}

// TestRunningRestore names the Restore that another one waits for.
func TestRunningRestore(t *testing.T) {
	s := membertest.NewAPIServer(t)
	for name, phase := range map[string]string{"done": "Completed", "it": "InProgress", "nightly": "InProgress"} {
		obj := &unstructured.Unstructured{Object: map[string]any{"status": map[string]any{"phase": phase}}}
		obj.SetName(name)
		s.Put("restores", obj)
	}
	if got := memberOf(t, s).runningRestore(t.Context(), "it"); got != "nightly" {
		t.Errorf("Velero is at %q", got)
	}
}

// TestDiagnoseWithoutPermission knows nothing, and the member stays in use.
func TestDiagnoseWithoutPermission(t *testing.T) {
	s := membertest.NewAPIServer(t)
	s.SetFault(func(w http.ResponseWriter, _ *http.Request) {
		membertest.WriteStatus(w, http.StatusForbidden, metav1.StatusReasonForbidden, "not allowed")
	})
	m := memberOf(t, s)
	got := m.Diagnose(t.Context(), &velerov1.ServerStatusRequest{ObjectMeta: ours("ask")}, velerov1.BackupNameLabel, "b")
	if d := cmp.Diff(migration.Diagnosis{}, got); d != "" {
		t.Error(d)
	}
	s.SetFault(nil)
	if _, err := m.Locations(t.Context()); err != nil {
		t.Errorf("the member is not used any more: %v", err)
	}
}

func request(uid, phase string) *unstructured.Unstructured {
	obj := &unstructured.Unstructured{Object: map[string]any{"status": map[string]any{"phase": phase}}}
	obj.SetName("ask")
	obj.SetUID("request-uid")
	obj.SetLabels(map[string]string{"backup.kurator.dev/migrate-uid": uid})
	return obj
}

// storage serves files as an object store does, which says of those it does not have
// that they are missing.
func storage(t *testing.T, files map[string]string, missing string) (server *httptest.Server, ca []byte) {
	server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if file, ok := files[r.URL.Path]; ok {
			_, _ = io.WriteString(w, file)
			return
		}
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, missing)
	}))
	t.Cleanup(server.Close)
	return server, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
}

func gzipped(content string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, content)
	_ = w.Close()
	return b.String()
}

func TestResults(t *testing.T) {
	for _, tt := range []struct {
		name   string
		files  map[string]string
		errors []string
		err    string
		log    bool // is missing
	}{
		{
			"errors",
			map[string]string{"/results": gzipped(`{"errors":{"velero":["v"],"cluster":["c"],"namespaces":{"b":["n2"],"a":["n1"]}},"warnings":{"velero":["w"]}}`)},
			[]string{"v", "c", "namespace a: n1", "namespace b: n2"},
			"", false,
		},
		{"neither results nor log", nil, nil, "the storage does not have it", true},
		{"not an object store", nil, nil, "the storage answers 404 Not Found", false},
		{"a log and no results", map[string]string{"/log": "log"}, nil, "the storage does not have it", false},
		{"no gzip", map[string]string{"/results": "secret, and long enough"}, nil, "unpacking the results failed: gzip: invalid header", false},
		{"no JSON", map[string]string{"/results": gzipped("secret")}, nil, "parsing the results failed", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			missing := "<Error><Code>NoSuchKey</Code></Error>"
			if tt.name == "not an object store" {
				missing = "not found"
			}
			at, ca := storage(t, tt.files, missing)
			s := membertest.NewAPIServer(t)
			s.OnCreate = func(resource string, obj *unstructured.Unstructured) {
				if resource == "downloadrequests" {
					_ = unstructured.SetNestedField(obj.Object, at.URL+"/"+obj.GetName(), "status", "downloadURL")
				}
			}
			got := memberOf(t, s).Results(t.Context(), download("results"), download("log"), ca)
			if d := cmp.Diff(tt.errors, got.Errors); d != "" {
				t.Error(d)
			}
			if tt.err == "" != (got.Err == nil) || got.Err != nil && !strings.HasPrefix(got.Err.Error(), tt.err) {
				t.Errorf("error %v, want %q", got.Err, tt.err)
			}
			if got.Err != nil && strings.Contains(got.Err.Error(), "secret") {
				t.Errorf("the error repeats what was read: %v", got.Err)
			}
			if got.LogMissing != tt.log {
				t.Errorf("log missing: %v, want %v", got.LogMissing, tt.log)
			}
		})
	}
}

// TestResultsOutOfReach has a Velero that gives no URL, and one whose URL leads
// nowhere.
func TestResultsOutOfReach(t *testing.T) {
	s := membertest.NewAPIServer(t)
	got := memberOf(t, s).Results(t.Context(), download("results"), download("log"), nil)
	if got.Err == nil || got.Err.Error() != "Velero gives no URL for it within 200ms" {
		t.Errorf("error %v", got.Err)
	}
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	err := Options{AllowLocalAddresses: true}.withDefaults().addresses().fetch(t.Context(), gone.URL+"/?signature=secret", nil, func(io.Reader) error { return nil })
	if err == nil || !strings.HasPrefix(err.Error(), "the storage can't be reached from here: ") || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v", err)
	}
}

func download(name string) *velerov1.DownloadRequest {
	return &velerov1.DownloadRequest{ObjectMeta: ours(name)}
}
