// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeconfig

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"kurator.dev/migrate-apiserver/pkg/migration"
)

func TestClientConfig(t *testing.T) {
	const header = "apiVersion: v1\nkind: Config\ncurrent-context: x\ncontexts: [{name: x, context: {cluster: c, user: u}}]\n"
	cluster := func(fields string) string { return "clusters: [{name: c, cluster: {" + fields + "}}]\n" }
	user := func(fields string) string { return "users: [{name: u, user: {" + fields + "}}]\n" }
	server := cluster("server: 'https://member:6443'")
	token := user("token: s3cret")
	insecure := Options{AllowInsecureTLS: true}

	for name, tc := range map[string]struct {
		kubeconfig string
		refused    string
		options    Options
	}{
		"token":       {header + server + token, "", Options{}},
		"password":    {header + server + user("username: a, password: s3cret"), "", Options{}},
		"server name": {header + cluster("server: 'https://member', tls-server-name: api") + token, "", Options{}},
		"insecure":    {header + cluster("server: 'https://member', insecure-skip-tls-verify: true") + token, "", insecure},
		"JSON with tabs": {"{\n\t\"apiVersion\": \"v1\", \"kind\": \"Config\", \"current-context\": \"x\",\n\t\"contexts\": [{\"name\": \"x\", \"context\": {\"cluster\": \"c\", \"user\": \"u\"}}],\n" +
			"\t\"clusters\": [{\"name\": \"c\", \"cluster\": {\"server\": \"https://member\"}}],\n\t\"users\": [{\"name\": \"u\", \"user\": {\"token\": \"s3cret\"}}]\n}\n", "", Options{}},
		"other users don't matter": {header + server + "users: [{name: u, user: {token: s3cret}}, {name: v, user: {tokenFile: /etc/s3cret}}]\n", "", Options{}},

		"empty":                 {"", "current-context", Options{}},
		"garbage":               {"\x00\xff{s3cret", "can't be parsed", Options{}},
		"other kind":            {"apiVersion: v1\nkind: s3cret\n", "can't be parsed", Options{}},
		"not base64":            {header + cluster("server: 'https://member', certificate-authority-data: 's3cret!'") + token, "can't be parsed", Options{}},
		"too large":             {strings.Repeat("#", 1<<20+1), "larger than 1 MiB", Options{}},
		"no context":            {"apiVersion: v1\nkind: Config\ncurrent-context: s3cret\n", "current-context", Options{}},
		"no cluster":            {header + token, "cluster of its current context", Options{}},
		"no user":               {header + server, "user of its current context", Options{}},
		"no server":             {header + cluster("") + token, "https://", Options{}},
		"plain http":            {header + cluster("server: 'http://member'") + token, "https://", Options{}},
		"unix socket":           {header + cluster("server: 'unix:///run/s3cret.sock'") + token, "https://", Options{}},
		"user in server":        {header + cluster("server: 'https://u:s3cret@member'") + token, "no user", Options{}},
		"insecure, not allowed": {header + cluster("server: 'https://member', insecure-skip-tls-verify: true") + token, "--member-allow-insecure-tls", Options{}},
		"unix socket by https":  {header + cluster("server: 'https:///run/s3cret.sock'") + token, "https://", Options{}},
		"no host":               {header + cluster("server: 'https://:6443'") + token, "https://", Options{}},
		"port 0":                {header + cluster("server: 'https://member:0'") + token, "https://", Options{}},
		"port 65536":            {header + cluster("server: 'https://member:65536'") + token, "https://", Options{}},
		"opaque":                {header + cluster("server: 'https:member'") + token, "https://", Options{}},
		"query in server":       {header + cluster("server: 'https://member?s3cret=a'") + token, "no user, query", Options{}},
		"YAML alias bomb":       {header + server + token + "x: &x " + strings.Repeat("s3cret", 10_000) + "\ny: [" + strings.Repeat("*x,", 100_000) + "]\n", "it has YAML aliases", Options{}},
		"alias of itself":       {header + server + token + "x: &x [*x]\n", "it has YAML aliases", Options{}},
		"deeply nested":         {header + server + token + "x: " + strings.Repeat("[", 500_000), "can't be parsed", Options{}},
		"CA file":               {header + cluster("server: 'https://member', certificate-authority: /s3cret") + token, "certificate-authority is a file", Options{}},
		"CA is not PEM":         {header + cluster("server: 'https://member', certificate-authority-data: czNjcmV0") + token, "not valid PEM", Options{}},
		"CA and insecure":       {header + cluster("server: 'https://member', insecure-skip-tls-verify: true, certificate-authority-data: czNjcmV0") + token, "exclude each other", insecure},
		"proxy":                 {header + cluster("server: 'https://member', proxy-url: 'http://s3cret'") + token, "proxy-url", Options{}},
		"exec":                  {header + server + user("exec: {apiVersion: client.authentication.k8s.io/v1, command: s3cret, interactiveMode: Never}"), "exec is not allowed", Options{}},
		"auth provider":         {header + server + user("auth-provider: {name: s3cret}"), "auth-provider is not allowed", Options{}},
		"client certificate":    {header + server + user("client-certificate: /s3cret"), "client-certificate is a file", Options{}},
		"client key":            {header + server + user("client-key: /s3cret"), "client-key is a file", Options{}},
		"key is not PEM":        {header + server + user("client-certificate-data: czNjcmV0, client-key-data: czNjcmV0"), "not valid PEM", Options{}},
		"token file":            {header + server + user("tokenFile: /s3cret"), "tokenFile is a file", Options{}},
		"impersonates":          {header + server + user("token: s3cret, as: root"), "not allowed", Options{}},
		"impersonates a UID":    {header + server + user("token: s3cret, as-uid: '0'"), "not allowed", Options{}},
		"impersonates groups":   {header + server + user("token: s3cret, as-groups: ['system:masters']"), "not allowed", Options{}},
		"impersonates extra":    {header + server + user("token: s3cret, as-user-extra: {a: [b]}"), "not allowed", Options{}},
		"token and password":    {header + server + user("token: s3cret, username: a, password: b"), "exclude each other", Options{}},
	} {
		t.Run(name, func(t *testing.T) {
			config, err := ClientConfig([]byte(tc.kubeconfig), tc.options)
			if tc.refused == "" {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				if !strings.HasPrefix(config.Host, "https://member") {
					t.Errorf("host %q", config.Host)
				}
				return
			}
			if !errors.Is(err, migration.ErrKubeconfigNotAccepted) || !strings.Contains(err.Error(), tc.refused) {
				t.Fatalf("got %v, want a refusal with %q", err, tc.refused)
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("repeats content: %v", err)
			}
		})
	}
}

// FuzzClientConfig parses an accepted kubeconfig again with client-go: its current context must not
// run a program, read a file, use a proxy or impersonate, and the client configuration must have its
// values.
func FuzzClientConfig(f *testing.F) {
	const kubeconfig = "apiVersion: v1\nkind: Config\ncurrent-context: x\ncontexts: [{name: x, context: {cluster: c, user: u}}]\n" +
		"clusters: [{name: c, cluster: {server: 'https://m'%s}}]\nusers: [{name: u, user: {token: t%s}}]\n"
	for _, cluster := range []string{"", ", insecure-skip-tls-verify: true", ", certificate-authority: /a", ", proxy-url: 'http://a'"} {
		f.Add(fmt.Appendf(nil, kubeconfig, cluster, ""))
	}
	for _, user := range []string{
		", exec: {apiVersion: client.authentication.k8s.io/v1, command: a, interactiveMode: Never}", ", auth-provider: {name: a}",
		", tokenFile: /a", ", client-certificate: /a", ", client-key: /a",
		", as: a", ", as-uid: a", ", as-groups: [a]", ", as-user-extra: {a: [b]}",
	} {
		f.Add(fmt.Appendf(nil, kubeconfig, "", user))
	}
	f.Add([]byte(`{"kind":"Config","contexts":[{"name":"","context":null}],"clusters":null}`))
	f.Fuzz(func(t *testing.T, kubeconfig []byte) {
		config, err := ClientConfig(kubeconfig, Options{})
		if err != nil {
			if !errors.Is(err, migration.ErrKubeconfigNotAccepted) {
				t.Errorf("not a refusal: %v", err)
			}
			return
		}
		parsed, err := clientcmd.Load(kubeconfig)
		if err != nil {
			t.Fatalf("accepted, and can't be parsed: %v", err)
		}
		chosen := parsed.Contexts[parsed.CurrentContext]
		cluster, user := parsed.Clusters[chosen.Cluster], parsed.AuthInfos[chosen.AuthInfo]
		if cluster.Server != config.Host || user.Token != config.BearerToken {
			t.Errorf("leads to %s, want %s", config.Host, cluster.Server)
		}
		if cluster.CertificateAuthority != "" || cluster.ProxyURL != "" || cluster.InsecureSkipTLSVerify || config.Insecure {
			t.Errorf("let through: %+v", cluster)
		}
		if user.Exec != nil || user.AuthProvider != nil || user.TokenFile != "" || user.ClientCertificate != "" || user.ClientKey != "" ||
			user.Impersonate != "" || user.ImpersonateUID != "" || len(user.ImpersonateGroups) > 0 || len(user.ImpersonateUserExtra) > 0 {
			t.Errorf("let through: %+v", user)
		}
	})
}
