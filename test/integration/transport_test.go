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

// guarded are paths that only a known user gets something at.
var guarded = []string{
	"/", "/version", "/version/", "/openapi/v2", "/openapi/v3", "/openapi/v3/apis/backup.kurator.dev/v1alpha1",
	"/metrics", "/metrics/slis", "/debug/pprof/", "/debug/pprof/heap", "/debug/flags/v", "/debug/api_priority_and_fairness/dump_priority_levels",
	"/apis", "/apis/backup.kurator.dev", "/apis/backup.kurator.dev/v1alpha1", "/apis/backup.kurator.dev/v1alpha1/migrates",
	"/apis/backup.kurator.dev/v1alpha1/namespaces/default/migrates/a/status",
	"/healthz/", "/livez/ping", "/readyz/etcd", "/logs", "/nowhere",
}

// TestUnauthenticatedGetsHealthAlone asks as nobody, and as somebody who only says so.
func TestUnauthenticatedGetsHealthAlone(t *testing.T) {
	nobody := directAs(t, rest.AnonymousClientConfig)
	for _, path := range []string{"/healthz", "/livez", "/readyz"} {
		equal(t, path, nobody.get(t, path), "ok")
	}
	forged := http.Header{
		"X-Remote-User": {"kubernetes-admin"}, "X-Remote-Group": {"system:masters"}, "X-Remote-Uid": {"1"}, "X-Remote-Extra-A": {"b"},
	}
	for name, as := range map[string]struct {
		directly
		header http.Header
	}{
		"nobody":                                    {nobody, nil},
		"nobody who forges":                         {nobody, forged},
		"nobody who forges anonymity":               {nobody, http.Header{"X-Remote-User": {"system:anonymous"}, "X-Remote-Group": {"system:unauthenticated"}}},
		"nobody who impersonates":                   {nobody, http.Header{"Impersonate-User": {"kubernetes-admin"}, "Impersonate-Group": {"system:masters"}}},
		"a token that is none":                      {nobody, http.Header{"Authorization": {"Bearer none"}}},
		"a token that is empty":                     {nobody, http.Header{"Authorization": {"Bearer "}}},
		"a password":                                {nobody, http.Header{"Authorization": {"Basic YWRtaW46YWRtaW4="}}},
		"a certificate of an unknown authority":     {withCertificate(t, newAuthority(t), "front-proxy"), forged},
		"a front proxy of another name":             {withCertificate(t, authorityOf(t, "front-proxy"), "somebody"), forged},
		"a front proxy that brings nobody":          {withCertificate(t, authorityOf(t, "front-proxy"), "front-proxy"), nil},
		"a front proxy that brings anonymity":       {withCertificate(t, authorityOf(t, "front-proxy"), "front-proxy"), http.Header{"X-Remote-User": {"system:anonymous"}}},
		"the server's own authority as a front one": {withCertificate(t, authorityOf(t, "migrate-apiserver"), "front-proxy"), forged},
	} {
		for _, path := range guarded {
			if code, body := as.send(t, http.MethodGet, path, as.header, ""); code != http.StatusUnauthorized {
				t.Errorf("%s at %s: got %d\n%s", name, path, code, body)
			}
		}
	}
	// The true front proxy is believed, so the cases above could have been.
	front := withCertificate(t, authorityOf(t, "front-proxy"), "front-proxy")
	if code, body := front.send(t, http.MethodGet, "/apis/backup.kurator.dev/v1alpha1/migrates", forged, ""); code != http.StatusOK {
		t.Errorf("the front proxy: got %d\n%s", code, body)
	}
}

// TestMetricsAndDebugNeedAuthorization asks as a user of the host who has no rights,
// also under a forged name, and as one who has that one.
func TestMetricsAndDebugNeedAuthorization(t *testing.T) {
	n := newNamespace(t)
	paths := []string{"/metrics", "/metrics/slis", "/debug/pprof/", "/debug/pprof/heap"}
	unauthorized := withCertificate(t, authorityOf(t, "host"), "no-rights")
	for _, header := range []http.Header{nil, {"X-Remote-User": {"kubernetes-admin"}, "X-Remote-Group": {"system:masters"}}} {
		for _, path := range append(paths, "/apis/backup.kurator.dev/v1alpha1/migrates") {
			if code, body := unauthorized.send(t, http.MethodGet, path, header, ""); code != http.StatusForbidden {
				t.Errorf("%s without rights: got %d\n%s", path, code, body)
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
	n.afterwards("delete", "clusterrole,clusterrolebinding", "test-scraper")
	eventually(t, "the host to know the right", func(context.Context) bool {
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

// TestTLS asks for what is old and weak, by default and with the flags for it.
func TestTLS(t *testing.T) {
	n, server := newNamespace(t), direct(t)
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

	// A certificate serves suites of its own sort of key only: a second one has RSA.
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
		t.Error("TLS 1.1 is taken")
	}
	for _, suite := range tls.InsecureCipherSuites() {
		if err := upTo(tls.VersionTLS10, tls.VersionTLS12, suite.ID); err == nil {
			t.Errorf("%s is taken", suite.Name)
		}
		if err := upToOfRSA(suite.ID); err == nil {
			t.Errorf("%s is taken with a certificate of RSA", suite.Name)
		}
	}
	const suite, other = tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
	for name, err := range map[string]error{
		"TLS 1.2": upTo(tls.VersionTLS12, tls.VersionTLS12, suite), "another suite": upTo(tls.VersionTLS12, tls.VersionTLS12, other),
		"TLS 1.3": upTo(tls.VersionTLS13, tls.VersionTLS13), "a suite of RSA": upToOfRSA(tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
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
		t.Error("a suite that is left out is taken")
	}
	restartWith(t, "--tls-min-version=VersionTLS13")
	if err := upTo(tls.VersionTLS12, tls.VersionTLS12); err == nil {
		t.Error("TLS 1.2 is taken where 1.3 is the least")
	}
	if err := upTo(tls.VersionTLS13, tls.VersionTLS13); err != nil {
		t.Errorf("TLS 1.3: %v", err)
	}
}

// TestServingCertificateIsReloaded replaces the files under the server that runs.
func TestServingCertificateIsReloaded(t *testing.T) {
	server := direct(t)
	keys := filepath.Join(host.Dir(), "pki", "migrate-apiserver")
	process := ourServer(t)
	before, id := served(t, server), process.PID()

	replace(t, filepath.Join(keys, "server.crt"), []byte("half written"))
	renewed, err := authorityOf(t, "migrate-apiserver").Server("server", "localhost", "127.0.0.1", "migrate-apiserver.migrate-system.svc")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "what is served while the files are broken", served(t, server), before)
	replace(t, filepath.Join(keys, "server.key"), renewed.Key)
	replace(t, filepath.Join(keys, "server.crt"), renewed.Certificate)
	eventually(t, "the new certificate", func(context.Context) bool { return served(t, server) != before })
	equal(t, "livez by the new one", server.get(t, "/livez"), "ok")
	newNamespace(t).create("a")
	if now := process.PID(); now != id {
		t.Errorf("it is another process: %d, not %d", now, id)
	}
}

// TestReadinessNeedsTheHost takes the right to ask the host away, and then the host.
func TestReadinessNeedsTheHost(t *testing.T) {
	n := newNamespace(t)
	server := directAs(t, rest.AnonymousClientConfig)
	ready := func(want int) func(context.Context) bool {
		return func(ctx context.Context) bool {
			code, body, err := server.try(ctx, "/readyz")
			return err == nil && code == want && (code == http.StatusOK || strings.Contains(body, "[-]delegated-authorization failed"))
		}
	}
	eventually(t, "the server to be ready", ready(http.StatusOK))

	n.run("delete", "clusterrolebinding", "migrate-apiserver:auth-delegator")
	grant := func(ctx context.Context) {
		if err := host.StartServer(ctx, localfleet.ServerProgram(host.BinDir())); err != nil { // grants, and finds that it runs
			t.Error(err)
		}
	}
	t.Cleanup(func() { grant(context.Background()) })
	eventually(t, "readyz to fail without the right", ready(http.StatusInternalServerError))
	equal(t, "livez", server.get(t, "/livez"), "ok")
	grant(t.Context())
	eventually(t, "readyz with the right again", ready(http.StatusOK))

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
	eventually(t, "readyz with the host again", ready(http.StatusOK))
}

// restartWith starts the server with other flags, for the rest of the test.
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

// served is the serial number of the certificate that is served.
func served(t *testing.T, server directly) string {
	t.Helper()
	connection, err := tls.Dial("tcp", strings.TrimPrefix(server.url, "https://"), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	return connection.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// replace puts a new file in the place of one, as kubelet does.
func replace(t *testing.T, path string, content []byte) {
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

// authorityOf is the one that signs the certificates of a part of the fleet.
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

// withCertificate is the way of a user with a client certificate of that authority.
func withCertificate(t *testing.T, authority *pki.Authority, user string, groups ...string) directly {
	t.Helper()
	pair := clientPair(t, authority, user, groups...)
	return directAs(t, func(config *rest.Config) *rest.Config {
		config = rest.AnonymousClientConfig(config)
		config.CertData, config.KeyData = slices.Clone(pair.Certificate), pair.Key
		return config
	})
}
