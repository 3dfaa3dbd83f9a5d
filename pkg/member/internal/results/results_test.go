// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package results

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kurator.dev/migrate-apiserver/pkg/member/internal/client"
	"kurator.dev/migrate-apiserver/pkg/member/internal/clienttest"
	"kurator.dev/migrate-apiserver/pkg/member/internal/membertest"
	"kurator.dev/migrate-apiserver/pkg/member/internal/transport"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// brief has a short time to wait for the links to files, and none for other answers.
var brief = client.Options{AnswerTimeout: time.Nanosecond, LinkTimeout: 200 * time.Millisecond}

// allowLocal allows the addresses of test servers.
func allowLocal() transport.Addresses {
	o := client.Options{Addresses: transport.Addresses{AllowLocal: true}}
	return o.WithDefaults().Addresses
}

// storage serves files as an object store does, and answers 404 with the body missing for all
// others.
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
		warns  []string
		err    string
		log    bool // is missing
	}{
		{
			"errors",
			map[string]string{"/results": gzipped(`{"errors":{"velero":["v"],"cluster":["c"],"namespaces":{"b":["n2"],"a":["n1"]}},"warnings":{"velero":["w"]}}`)},
			[]string{"v", "c", "namespace a: n1", "namespace b: n2"},
			[]string{"w"},
			"", false,
		},
		{"neither results nor log", nil, nil, nil, "the storage does not have it", true},
		{"not an object store", nil, nil, nil, "the storage answers 404 Not Found", false},
		{"a log and no results", map[string]string{"/log": "log"}, nil, nil, "the storage does not have it", false},
		{"no gzip", map[string]string{"/results": "secret, and long enough"}, nil, nil, "unpacking the results failed: gzip: invalid header", false},
		{"no JSON", map[string]string{"/results": gzipped("secret")}, nil, nil, "parsing the results failed", false},
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
					_ = unstructured.SetNestedField(obj.Object, at.URL+"/"+fileOf(obj), "status", "downloadURL")
				}
			}
			got := Read(t.Context(), clienttest.New(s, brief), migration.ResultsRequest{Results: file("results"), Log: file("log"), CA: migration.StorageCA{PEM: ca}}, velero.Visitor{})
			if d := cmp.Diff([][]string{tt.errors, tt.warns}, [][]string{got.Errors, got.Warnings}); d != "" {
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

// TestCAInSecret reads results from a storage whose CA is in a Secret (caCertRef).
func TestCAInSecret(t *testing.T) {
	at, ca := storage(t, map[string]string{"/results": gzipped(`{"errors":{"velero":["v"]}}`)}, "")
	s := membertest.NewAPIServer(t)
	s.OnCreate = func(_ string, obj *unstructured.Unstructured) {
		_ = unstructured.SetNestedField(obj.Object, at.URL+"/"+fileOf(obj), "status", "downloadURL")
	}
	s.Answers = map[string]string{
		"/api/v1/namespaces/velero/secrets/storage": `{"kind":"Secret","apiVersion":"v1","data":{"ca.crt":"` + base64.StdEncoding.EncodeToString(ca) + `","other":"c2VjcmV0"}}`,
		"/api/v1/namespaces/velero/secrets/invalid": `["secret"]`,
	}
	for _, tt := range []struct{ secret, key, err string }{
		{"storage", "ca.crt", ""},
		{"storage", "tls.crt", `the CA of the storage is not in Secret storage of caCertRef: it has no key "tls.crt"`},
		{"storage", "other", "caCert or caCertRef of the BackupStorageLocation is not PEM"},
		{"invalid", "ca.crt", "the CA of the storage, in Secret invalid of caCertRef, is invalid"},
		{"none", "ca.crt", "the CA of the storage, in Secret none of caCertRef, can't be read: "},
	} {
		secret := &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: tt.secret}, Key: tt.key}
		got := Read(t.Context(), clienttest.New(s, brief), migration.ResultsRequest{Results: file("results"), Log: file("log"), CA: migration.StorageCA{Secret: secret}}, velero.Visitor{})
		if tt.err == "" {
			if got.Err != nil || len(got.Errors) != 1 {
				t.Errorf("%s of %s: got errors %q, %v", tt.key, tt.secret, got.Errors, got.Err)
			}
			continue
		}
		if got.Err == nil || !strings.HasPrefix(got.Err.Error(), tt.err) {
			t.Errorf("%s of %s: error %v, want %q", tt.key, tt.secret, got.Err, tt.err)
		}
	}
}

// TestUnreachableResults uses a Velero that provides no URL, and one whose URL nothing listens at.
func TestUnreachableResults(t *testing.T) {
	s := membertest.NewAPIServer(t)
	got := Read(t.Context(), clienttest.New(s, brief), migration.ResultsRequest{Results: file("results"), Log: file("log")}, velero.Visitor{})
	if got.Err == nil || got.Err.Error() != "Velero gives no URL for it within 200ms" {
		t.Errorf("error %v", got.Err)
	}
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	err := Fetch(t.Context(), allowLocal(), gone.URL+"/?signature=secret", nil, func(io.Reader) error { return nil })
	if err == nil || !strings.HasPrefix(err.Error(), "the storage can't be reached from here: ") || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v", err)
	}
}

// file requests the file with that path in the storage.
func file(name string) *velerov1.DownloadRequest {
	return &velerov1.DownloadRequest{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"backup.kurator.dev/migrate-uid": "u1"}}}
}

// TestDownloadURLsAreRestricted uses URLs of a hostile Velero: of local addresses, of other schemes,
// and one that redirects.
func TestDownloadURLsAreRestricted(t *testing.T) {
	reached := false
	local := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	t.Cleanup(local.Close)
	read := func(io.Reader) error { return nil }
	strict := client.Options{}.WithDefaults().Addresses
	for _, from := range []string{
		local.URL, strings.ReplaceAll(local.URL, "127.0.0.1", "localhost"), strings.ReplaceAll(local.URL, "127.0.0.1", "[::ffff:7f00:1]"),
		"http://169.254.169.254/latest/meta-data/",
	} {
		if err := Fetch(t.Context(), strict, from, nil, read); !errors.Is(err, migration.ErrAddressNotAllowed) {
			t.Errorf("%s: got %v", from, err)
		}
	}
	for _, from := range []string{"file:///etc/passwd", "unix:///run/s3cret", "ftp://192.0.2.1/", "//192.0.2.1", "https://u:s3cret@\x00"} {
		if err := Fetch(t.Context(), strict, from, nil, read); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: got %v", from, err)
		}
	}
	if reached {
		t.Error("the local server was reached")
	}

	redirecting := httptest.NewServer(http.RedirectHandler(local.URL, http.StatusFound))
	t.Cleanup(redirecting.Close)
	if err := Fetch(t.Context(), allowLocal(), redirecting.URL, nil, read); err == nil || err.Error() != "the storage answers 302 Found" {
		t.Errorf("a redirect: got %v", err)
	}
	if reached {
		t.Error("a redirect was followed")
	}
}

// fileOf returns the file that a DownloadRequest of a test requests: its name without the random suffix.
func fileOf(request *unstructured.Unstructured) string {
	name := request.GetName()
	return name[:len(name)-suffixLength-1]
}
