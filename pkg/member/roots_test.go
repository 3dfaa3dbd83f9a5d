// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"testing"

	"kurator.dev/migrate-apiserver/pkg/member/internal/membertest"
	"kurator.dev/migrate-apiserver/pkg/member/internal/results"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// TestWithoutSystemRoots runs in a process of its own, because roots are loaded once, and without
// the system's CAs, as in an image from scratch. Storages, and members whose kubeconfig has no CA,
// are verified with the roots in the program.
func TestWithoutSystemRoots(t *testing.T) {
	if os.Getenv("TEST_WITHOUT_SYSTEM_ROOTS") == "" {
		command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWithoutSystemRoots$", "-test.v")
		command.Env = append(os.Environ(), "TEST_WITHOUT_SYSTEM_ROOTS=1", "SSL_CERT_FILE=/nowhere", "SSL_CERT_DIR=/nowhere")
		if output, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
		return
	}
	kinds := map[string]string{"backups": "BackupList", "restores": "RestoreList", "backupstoragelocations": "BackupStorageLocationList"}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"apiVersion":"velero.io/v1","kind":"`+kinds[path.Base(r.URL.Path)]+`","items":[]}`)
	}))
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	x509.SetFallbackRoots(roots)

	o := Options{Addresses: Addresses{AllowLocal: true}}.WithDefaults()
	if err := results.Fetch(t.Context(), o.Addresses, server.URL, nil, func(io.Reader) error { return nil }); err != nil {
		t.Errorf("reading from the storage: %v", err)
	}
	kubeconfig := `{"apiVersion":"v1","kind":"Config","current-context":"c","contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],` +
		`"clusters":[{"name":"c","cluster":{"server":"` + server.URL + `"}}],"users":[{"name":"u","user":{"token":"t"}}]}`
	pool := newTestPool(t, membertest.NewHost(kubeconfig), o)
	if seen := pool.Member("default", velero1).Read(t.Context(), migration.Objects{UID: "u1"}); seen.Err != nil {
		t.Errorf("asking the member: %v", seen.Err)
	}
}
