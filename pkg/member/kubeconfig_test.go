// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"errors"
	"strings"
	"testing"
)

func TestClientConfig(t *testing.T) {
	const header = "apiVersion: v1\nkind: Config\ncurrent-context: x\ncontexts: [{name: x, context: {cluster: c, user: u}}]\n"
	cluster := func(fields string) string { return "clusters: [{name: c, cluster: {" + fields + "}}]\n" }
	user := func(fields string) string { return "users: [{name: u, user: {" + fields + "}}]\n" }
	server := cluster("server: 'https://member:6443'")
	token := user("token: s3cret")

	for name, tc := range map[string]struct {
		kubeconfig string
		refused    string
	}{
		"token":                    {header + server + token, ""},
		"password":                 {header + server + user("username: a, password: s3cret"), ""},
		"server name":              {header + cluster("server: 'https://member', tls-server-name: api") + token, ""},
		"insecure":                 {header + cluster("server: 'https://member', insecure-skip-tls-verify: true") + token, ""},
		"other users don't matter": {header + server + "users: [{name: u, user: {token: s3cret}}, {name: v, user: {tokenFile: /etc/s3cret}}]\n", ""},

		"empty":               {"", "current-context"},
		"garbage":             {"\x00\xff{s3cret", "can't be parsed"},
		"other kind":          {"apiVersion: v1\nkind: s3cret\n", "can't be parsed"},
		"not base64":          {header + cluster("server: 'https://member', certificate-authority-data: 's3cret!'") + token, "can't be parsed"},
		"too large":           {strings.Repeat("#", 1<<20+1), "larger than 1 MiB"},
		"no context":          {"apiVersion: v1\nkind: Config\ncurrent-context: s3cret\n", "current-context"},
		"no cluster":          {header + token, "cluster of its current context"},
		"no user":             {header + server, "user of its current context"},
		"no server":           {header + cluster("") + token, "https://"},
		"plain http":          {header + cluster("server: 'http://member'") + token, "https://"},
		"unix socket":         {header + cluster("server: 'unix:///run/s3cret.sock'") + token, "https://"},
		"user in server":      {header + cluster("server: 'https://u:s3cret@member'") + token, "no user"},
		"CA file":             {header + cluster("server: 'https://member', certificate-authority: /s3cret") + token, "certificate-authority is a file"},
		"CA is not PEM":       {header + cluster("server: 'https://member', certificate-authority-data: czNjcmV0") + token, "not valid PEM"},
		"CA and insecure":     {header + cluster("server: 'https://member', insecure-skip-tls-verify: true, certificate-authority-data: czNjcmV0") + token, "exclude each other"},
		"proxy":               {header + cluster("server: 'https://member', proxy-url: 'http://s3cret'") + token, "proxy-url"},
		"exec":                {header + server + user("exec: {apiVersion: client.authentication.k8s.io/v1, command: s3cret, interactiveMode: Never}"), "exec is not allowed"},
		"auth provider":       {header + server + user("auth-provider: {name: s3cret}"), "auth-provider is not allowed"},
		"client certificate":  {header + server + user("client-certificate: /s3cret"), "client-certificate is a file"},
		"client key":          {header + server + user("client-key: /s3cret"), "client-key is a file"},
		"key is not PEM":      {header + server + user("client-certificate-data: czNjcmV0, client-key-data: czNjcmV0"), "not valid PEM"},
		"token file":          {header + server + user("tokenFile: /s3cret"), "tokenFile is a file"},
		"impersonates":        {header + server + user("token: s3cret, as: root"), "not allowed"},
		"impersonates a UID":  {header + server + user("token: s3cret, as-uid: '0'"), "not allowed"},
		"impersonates groups": {header + server + user("token: s3cret, as-groups: ['system:masters']"), "not allowed"},
		"impersonates extra":  {header + server + user("token: s3cret, as-user-extra: {a: [b]}"), "not allowed"},
		"token and password":  {header + server + user("token: s3cret, username: a, password: b"), "exclude each other"},
	} {
		t.Run(name, func(t *testing.T) {
			config, err := ClientConfig([]byte(tc.kubeconfig))
			if tc.refused == "" {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				if !strings.HasPrefix(config.Host, "https://member") {
					t.Errorf("host %q", config.Host)
				}
				return
			}
			if !errors.Is(err, ErrKubeconfig) || !strings.Contains(err.Error(), tc.refused) {
				t.Fatalf("got %v, want a refusal with %q", err, tc.refused)
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("repeats content: %v", err)
			}
		})
	}
}

func FuzzClientConfig(f *testing.F) {
	f.Add([]byte("apiVersion: v1\nkind: Config\ncurrent-context: x\ncontexts: [{name: x, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {server: 'https://m'}}]\nusers: [{name: u, user: {token: t}}]\n"))
	f.Add([]byte(`{"kind":"Config","contexts":[{"name":"","context":null}],"clusters":null}`))
	f.Fuzz(func(t *testing.T, kubeconfig []byte) {
		config, err := ClientConfig(kubeconfig)
		if err != nil {
			if !errors.Is(err, ErrKubeconfig) {
				t.Errorf("not a refusal: %v", err)
			}
			return
		}
		if config.ExecProvider != nil || config.AuthProvider != nil || config.BearerTokenFile != "" || config.CAFile != "" ||
			config.CertFile != "" || config.KeyFile != "" || config.Proxy != nil || config.Impersonate.UserName != "" {
			t.Errorf("let through: %v", config)
		}
	})
}
