// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/cert"

	"kurator.dev/migrate-apiserver/test/localfleet"
	"kurator.dev/migrate-apiserver/test/localfleet/pki"
)

// protectedPaths are paths that require authentication.
var protectedPaths = []string{
	"/", "/version", "/version/", "/openapi/v2", "/openapi/v3", "/openapi/v3/apis/backup.kurator.dev/v1alpha1",
	"/metrics", "/metrics/slis", "/debug/pprof/", "/debug/pprof/heap", "/debug/flags/v", "/debug/api_priority_and_fairness/dump_priority_levels",
	"/apis", "/apis/backup.kurator.dev", "/apis/backup.kurator.dev/v1alpha1", "/apis/backup.kurator.dev/v1alpha1/migrates",
	"/apis/backup.kurator.dev/v1alpha1/namespaces/default/migrates/a/status",
	"/healthz/", "/livez/ping", "/readyz/etcd", "/logs", "/nowhere",
}

// TestAnonymousReadsHealthOnly sends requests without credentials, with invalid ones and with
// forged identity headers.
func TestAnonymousReadsHealthOnly(t *testing.T) {
	unauthenticated := directClientAs(t, rest.AnonymousClientConfig)
	for _, path := range []string{"/healthz", "/livez", "/readyz"} {
		equal(t, path, unauthenticated.get(t, path), "ok")
	}
	forged := http.Header{
		"X-Remote-User": {"kubernetes-admin"}, "X-Remote-Group": {"system:masters"}, "X-Remote-Uid": {"1"}, "X-Remote-Extra-A": {"b"},
	}
	for name, as := range map[string]struct {
		apiClient
		header http.Header
	}{
		"request without credentials":               {unauthenticated, nil},
		"forged administrator":                      {unauthenticated, forged},
		"forged anonymous user":                     {unauthenticated, http.Header{"X-Remote-User": {"system:anonymous"}, "X-Remote-Group": {"system:unauthenticated"}}},
		"impersonation":                             {unauthenticated, http.Header{"Impersonate-User": {"kubernetes-admin"}, "Impersonate-Group": {"system:masters"}}},
		"invalid token":                             {unauthenticated, http.Header{"Authorization": {"Bearer none"}}},
		"empty token":                               {unauthenticated, http.Header{"Authorization": {"Bearer "}}},
		"password":                                  {unauthenticated, http.Header{"Authorization": {"Basic YWRtaW46YWRtaW4="}}},
		"certificate of an unknown authority":       {withCertificate(t, newAuthority(t), "front-proxy"), forged},
		"front-proxy certificate with another name": {withCertificate(t, authorityOf(t, "front-proxy"), "other"), forged},
		"front proxy without a user":                {withCertificate(t, authorityOf(t, "front-proxy"), "front-proxy"), nil},
		"front proxy for the anonymous user":        {withCertificate(t, authorityOf(t, "front-proxy"), "front-proxy"), http.Header{"X-Remote-User": {"system:anonymous"}}},
		"certificate of the server's own authority": {withCertificate(t, authorityOf(t, "migrate-apiserver"), "front-proxy"), forged},
	} {
		for _, path := range protectedPaths {
			if code, body := as.send(t, http.MethodGet, path, as.header, ""); code != http.StatusUnauthorized {
				t.Errorf("%s at %s: got %d\n%s", name, path, code, body)
			}
		}
	}
	// The control: with the certificate of the front proxy the headers count.
	front := withCertificate(t, authorityOf(t, "front-proxy"), "front-proxy")
	if code, body := front.send(t, http.MethodGet, "/apis/backup.kurator.dev/v1alpha1/migrates", forged, ""); code != http.StatusOK {
		t.Errorf("the front proxy: got %d\n%s", code, body)
	}
}

// TestMetricsAndDebugNeedAuthorization reads as a user without permissions, with and without
// forged identity headers, and as a user with permission for these paths only.
func TestMetricsAndDebugNeedAuthorization(t *testing.T) {
	n := newNamespace(t)
	paths := []string{"/metrics", "/metrics/slis", "/debug/pprof/", "/debug/pprof/heap"}
	unauthorized := withCertificate(t, authorityOf(t, "host"), "no-permissions")
	for _, header := range []http.Header{nil, {"X-Remote-User": {"kubernetes-admin"}, "X-Remote-Group": {"system:masters"}}} {
		for _, path := range append(paths, "/apis/backup.kurator.dev/v1alpha1/migrates") {
			if code, body := unauthorized.send(t, http.MethodGet, path, header, ""); code != http.StatusForbidden {
				t.Errorf("%s without permission: got %d\n%s", path, code, body)
			}
		}
	}

	n.run("create", "-f", n.file("scraper.yaml", `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: test-scraper}
rules:
- nonResourceURLs: [/metrics, /metrics/*, /debug/*]
  verbs: [get]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: test-scraper}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: test-scraper}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: scraper}]
`, 0o600))
	n.runAtCleanup("delete", "clusterrole,clusterrolebinding", "test-scraper")
	eventually(t, "the ClusterRole to take effect", func(context.Context) bool {
		_, err := n.try("", "auth", "can-i", "get", "/metrics", "--as=scraper")
		return err == nil
	})
	scraper := withCertificate(t, authorityOf(t, "host"), "scraper")
	for _, path := range paths {
		scraper.get(t, path)
	}
	if code, _ := scraper.send(t, http.MethodGet, "/apis/backup.kurator.dev/v1alpha1/migrates", nil, ""); code != http.StatusForbidden {
		t.Errorf("a scraper lists Migrates: got %d", code)
	}
}

// TestTLSVersionsAndCipherSuites connects with outdated and with supported TLS versions and cipher
// suites, by default and with the flags that restrict them.
func TestTLSVersionsAndCipherSuites(t *testing.T) {
	n, server := newNamespace(t), directClient(t)
	address := strings.TrimPrefix(server.url, "https://")
	dial := func(config *tls.Config) error {
		config.InsecureSkipVerify = true
		connection, err := tls.Dial("tcp", address, config)
		if err != nil {
			return err
		}
		return connection.Close()
	}
	upTo := func(lowest, highest uint16, suites ...uint16) error {
		return dial(&tls.Config{MinVersion: lowest, MaxVersion: highest, CipherSuites: suites})
	}

	// A suite needs a certificate with its type of key, so an RSA certificate is added.
	const rsa = "rsa.example"
	certificate, key, err := cert.GenerateSelfSignedCertKey(rsa, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	restartWith(t, "--tls-sni-cert-key="+n.file("rsa.crt", string(certificate), 0o600)+","+n.file("rsa.key", string(key), 0o600)+":"+rsa)
	upToOfRSA := func(suite uint16) error {
		return dial(&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}, ServerName: rsa})
	}

	if err := upTo(tls.VersionTLS10, tls.VersionTLS11); err == nil {
		t.Error("TLS 1.1 is accepted")
	}
	for _, suite := range tls.InsecureCipherSuites() {
		if err := upTo(tls.VersionTLS10, tls.VersionTLS12, suite.ID); err == nil {
			t.Errorf("%s is accepted", suite.Name)
		}
		if err := upToOfRSA(suite.ID); err == nil {
			t.Errorf("%s is accepted with the RSA certificate", suite.Name)
		}
	}
	const suite, other = tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
	for name, err := range map[string]error{
		"TLS 1.2": upTo(tls.VersionTLS12, tls.VersionTLS12, suite), "another suite": upTo(tls.VersionTLS12, tls.VersionTLS12, other),
		"TLS 1.3": upTo(tls.VersionTLS13, tls.VersionTLS13), "an RSA suite": upToOfRSA(tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}

	restartWith(t, "--tls-cipher-suites=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256")
	if err := upTo(tls.VersionTLS12, tls.VersionTLS12, suite); err != nil {
		t.Errorf("the only suite: %v", err)
	}
	if err := upTo(tls.VersionTLS12, tls.VersionTLS12, other); err == nil {
		t.Error("a suite that is not in --tls-cipher-suites is accepted")
	}
	restartWith(t, "--tls-min-version=VersionTLS13")
	if err := upTo(tls.VersionTLS12, tls.VersionTLS12); err == nil {
		t.Error("TLS 1.2 is accepted with --tls-min-version=VersionTLS13")
	}
	if err := upTo(tls.VersionTLS13, tls.VersionTLS13); err != nil {
		t.Errorf("TLS 1.3: %v", err)
	}
}

// TestServingCertificateIsReloaded replaces the files while the server runs. While they are
// invalid, the old certificate must be served.
func TestServingCertificateIsReloaded(t *testing.T) {
	server := directClient(t)
	keys := filepath.Join(host.Dir(), "pki", "migrate-apiserver")
	process := ourServer(t)
	before, id := servedSerial(t, server), process.PID()

	replaceFile(t, filepath.Join(keys, "server.crt"), []byte("half written"))
	renewed, err := authorityOf(t, "migrate-apiserver").Server("server", "localhost", "127.0.0.1", "migrate-apiserver.migrate-system.svc")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "certificate while the files are invalid", servedSerial(t, server), before)
	replaceFile(t, filepath.Join(keys, "server.key"), renewed.Key)
	replaceFile(t, filepath.Join(keys, "server.crt"), renewed.Certificate)
	eventually(t, "the new certificate", func(context.Context) bool { return servedSerial(t, server) != before })
	equal(t, "livez with the new certificate", server.get(t, "/livez"), "ok")
	newNamespace(t).create("a")
	if current := process.PID(); current != id {
		t.Errorf("the server was restarted: process %d, want %d", current, id)
	}
}

// TestReadinessDependsOnHost revokes the permission for delegated authorization, and later kills
// the host's API server. Both must fail readyz but not livez.
func TestReadinessDependsOnHost(t *testing.T) {
	n := newNamespace(t)
	server := directClientAs(t, rest.AnonymousClientConfig)
	ready := func(want int) func(context.Context) bool {
		return func(ctx context.Context) bool {
			code, body, err := server.try(ctx, "/readyz")
			return err == nil && code == want && (code == http.StatusOK || strings.Contains(body, "[-]delegated-authorization failed"))
		}
	}
	eventually(t, "the server to be ready", ready(http.StatusOK))

	n.run("delete", "clusterrolebinding", "migrate-apiserver:auth-delegator")
	grant := func(ctx context.Context) {
		if err := host.StartServer(ctx, localfleet.ServerProgram(host.BinDir())); err != nil { // applies the RBAC objects; the server keeps running
			t.Error(err)
		}
	}
	t.Cleanup(func() { grant(context.Background()) })
	eventually(t, "readyz to fail without the permission", ready(http.StatusInternalServerError))
	equal(t, "livez", server.get(t, "/livez"), "ok")
	grant(t.Context())
	eventually(t, "readyz to succeed with the permission again", ready(http.StatusOK))

	process, err := host.Process("host-apiserver")
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := process.Start(context.Background()); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "readyz to fail without the host", ready(http.StatusInternalServerError))
	equal(t, "livez without the host", server.get(t, "/livez"), "ok")
	if err := process.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "readyz to succeed with the host again", ready(http.StatusOK))
}

// restartWith restarts the server with other flags for the rest of the test.
func restartWith(t *testing.T, flags ...string) {
	t.Helper()
	program := localfleet.ServerProgram(host.BinDir())
	if err := host.StartServer(t.Context(), program, flags...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := host.StartServer(context.Background(), program); err != nil {
			t.Error(err)
		}
	})
}

// servedSerial returns the serial number of the serving certificate.
func servedSerial(t *testing.T, server apiClient) string {
	t.Helper()
	connection, err := tls.Dial("tcp", strings.TrimPrefix(server.url, "https://"), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	return connection.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// replaceFile replaces a file by a rename, so that no reader sees half of it.
func replaceFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := errors.Join(os.WriteFile(path+".new", content, 0o600), os.Rename(path+".new", path)); err != nil {
		t.Fatal(err)
	}
}

func newAuthority(t *testing.T) *pki.Authority {
	t.Helper()
	authority, err := pki.NewAuthority("unknown")
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

// authorityOf returns the certificate authority of a component of the fleet.
func authorityOf(t *testing.T, owner string) *pki.Authority {
	t.Helper()
	if host == nil {
		t.Skip("needs a host")
	}
	dir := filepath.Join(host.Dir(), "pki", owner)
	certificate, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(dir, "ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	authority, err := pki.LoadAuthority(pki.Pair{Certificate: certificate, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

// withCertificate returns a direct client of a user with a client certificate of the authority.
func withCertificate(t *testing.T, authority *pki.Authority, user string, groups ...string) apiClient {
	t.Helper()
	pair := clientPair(t, authority, user, groups...)
	return directClientAs(t, func(config *rest.Config) *rest.Config {
		config = rest.AnonymousClientConfig(config)
		config.CertData, config.KeyData = slices.Clone(pair.Certificate), pair.Key
		return config
	})
}
