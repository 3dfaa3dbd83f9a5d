// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"k8s.io/client-go/rest"

	"kurator.dev/migrate-apiserver/test/localfleet/pki"
)

// forgedHeaders are the headers in which the aggregator sends the identity of the
// requester, here that of a cluster administrator.
var forgedHeaders = map[string]string{
	"X-Remote-User": "kubernetes-admin", "X-Remote-Group": "system:masters", "X-Remote-Uid": "1", "X-Remote-Extra-Scopes": "all",
}

// TestOnlyFrontProxySetsIdentityHeaders connects to our port without the aggregator and sends
// its identity headers. Only the aggregator's client certificate makes them count; anyone else
// is authenticated by their own credentials.
func TestOnlyFrontProxySetsIdentityHeaders(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	n.create("a")
	n.run("create", "rolebinding", "readers", "--clusterrole="+n.viewerRole(), "--user=reader", "--serviceaccount="+n.name+":reader")
	n.run("create", "serviceaccount", "reader")
	frontProxy, clients := authorityOf(t, "front-proxy"), authorityOf(t, "host")
	unknown, err := pki.NewAuthority("front-proxy")
	if err != nil {
		t.Fatal(err)
	}
	token := strings.TrimSpace(n.run("create", "token", "reader"))

	for name, test := range map[string]struct {
		identify          func(*rest.Config)
		headers           map[string]string
		get, list, create int
	}{
		// The control: with the right certificate the headers count.
		"front proxy": {certificate(t, frontProxy, "front-proxy"), forgedHeaders, 200, 200, 201},

		"no credentials":                                    {noCredentials, forgedHeaders, 401, 401, 401},
		"unknown authority":                                 {certificate(t, unknown, "front-proxy"), forgedHeaders, 401, 401, 401},
		"front-proxy authority with another name":           {certificate(t, frontProxy, "mallory"), forgedHeaders, 401, 401, 401},
		"client authority with the name of the front proxy": {certificate(t, clients, "front-proxy"), forgedHeaders, 403, 403, 403},
		"client certificate":                                {certificate(t, clients, "reader"), forgedHeaders, 200, 403, 403},
		"token":                                             {bearer(token), forgedHeaders, 200, 403, 403},
		"invalid token":                                     {bearer("not-a-token"), forgedHeaders, 401, 401, 401},
		"front proxy without a user":                        {certificate(t, frontProxy, "front-proxy"), map[string]string{"X-Remote-Group": "system:masters"}, 401, 401, 401},
		"front proxy for a reader":                          {certificate(t, frontProxy, "front-proxy"), map[string]string{"X-Remote-User": "reader"}, 200, 403, 403},
		"client certificate with impersonation":             {certificate(t, clients, "reader"), map[string]string{"Impersonate-User": "kubernetes-admin", "Impersonate-Group": "system:masters"}, 403, 403, 403},
		"impersonation without credentials":                 {noCredentials, map[string]string{"Impersonate-User": "kubernetes-admin"}, 401, 401, 401},
	} {
		t.Run(name, func(t *testing.T) {
			server := directClientAs(t, func(config *rest.Config) *rest.Config {
				config = rest.AnonymousClientConfig(config)
				test.identify(config)
				return config
			})
			body := migrateOf(strings.ReplaceAll(name, " ", "-"), "", "m1", "m2")
			for what, r := range map[string]struct {
				method, path, body string
				want               int
			}{
				"get":    {http.MethodGet, migratesIn + n.name + "/migrates/a", "", test.get},
				"list":   {http.MethodGet, allMigrates, "", test.list},
				"create": {http.MethodPost, migratesIn + n.name + "/migrates", body, test.create},
				"delete": {http.MethodDelete, migratesIn + n.name + "/migrates/none", "", notFoundOr(test.create)},
			} {
				code, answer := server.sendWithHeaders(t, r.method, r.path, r.body, test.headers)
				if code != r.want {
					t.Errorf("%s: got %d, want %d\n%s", what, code, r.want, answer)
				}
			}
		})
	}
	equal(t, "stored Migrates", n.run("get", "migrates", "-o", "jsonpath={.items[*].metadata.name}"), "a front-proxy")
	equal(t, "requester", n.get("front-proxy", "{.spec.requester.username} {.spec.requester.uid} {.spec.requester.groups} {.spec.requester.extra}"),
		`kubernetes-admin 1 ["system:masters","system:authenticated"] {"scopes":["all"]}`)
}

// notFoundOr returns the code if it is an error, otherwise 404.
func notFoundOr(code int) int {
	if code < 400 {
		return http.StatusNotFound
	}
	return code
}

// viewerRole creates a ClusterRole that may read Migrates and returns its name.
func (n namespace) viewerRole() string {
	name := n.name + "-viewer"
	n.run("create", "clusterrole", name, "--verb=get,list,watch", "--resource=migrates.backup.kurator.dev")
	return name
}

func noCredentials(*rest.Config) {}

func bearer(token string) func(*rest.Config) {
	return func(config *rest.Config) { config.BearerToken = token }
}

func certificate(t *testing.T, authority *pki.Authority, user string) func(*rest.Config) {
	t.Helper()
	pair := clientPair(t, authority, user)
	return func(config *rest.Config) { config.CertData, config.KeyData = pair.Certificate, pair.Key }
}

func (d apiClient) sendWithHeaders(t *testing.T, method, path, body string, headers map[string]string) (code int, answer string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, d.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/yaml")
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	response, err := d.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(content)
}
