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

// forged are the headers by which the aggregator says who asks, here for the one
// who may do everything.
var forged = map[string]string{
	"X-Remote-User": "kubernetes-admin", "X-Remote-Group": "system:masters", "X-Remote-Uid": "1", "X-Remote-Extra-Scopes": "all",
}

// TestForgedHeaders goes to our port past the aggregator and says to be somebody
// else. Only the aggregator is believed; whoever else sends the headers is who they
// are by their own credentials.
func TestForgedHeaders(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	n.create("a")
	n.run("create", "rolebinding", "viewers", "--clusterrole="+n.viewerRole(), "--user=peeker", "--serviceaccount="+n.name+":peeker")
	n.run("create", "serviceaccount", "peeker")
	front, clients := authorityOf(t, "front-proxy"), authorityOf(t, "host")
	strange, err := pki.NewAuthority("front-proxy")
	if err != nil {
		t.Fatal(err)
	}
	token := strings.TrimSpace(n.run("create", "token", "peeker"))

	for name, test := range map[string]struct {
		identify          func(*rest.Config)
		headers           map[string]string
		get, list, create int
	}{
		// What shows that the headers are right, and that the port is reached.
		"the aggregator": {certificate(t, front, "front-proxy"), forged, 200, 200, 201},

		"nobody":                               {nobody, forged, 401, 401, 401},
		"an authority that is not known":       {certificate(t, strange, "front-proxy"), forged, 401, 401, 401},
		"a name that is not allowed":           {certificate(t, front, "mallory"), forged, 401, 401, 401},
		"the aggregator's name of the clients": {certificate(t, clients, "front-proxy"), forged, 403, 403, 403},
		"a certificate of a viewer":            {certificate(t, clients, "peeker"), forged, 200, 403, 403},
		"a token of a viewer":                  {bearer(token), forged, 200, 403, 403},
		"a token that is not one":              {bearer("not-a-token"), forged, 401, 401, 401},
		"the aggregator without a user":        {certificate(t, front, "front-proxy"), map[string]string{"X-Remote-Group": "system:masters"}, 401, 401, 401},
		"the aggregator for a viewer":          {certificate(t, front, "front-proxy"), map[string]string{"X-Remote-User": "peeker"}, 200, 403, 403},
		"a viewer who impersonates":            {certificate(t, clients, "peeker"), map[string]string{"Impersonate-User": "kubernetes-admin", "Impersonate-Group": "system:masters"}, 403, 403, 403},
		"nobody who impersonates":              {nobody, map[string]string{"Impersonate-User": "kubernetes-admin"}, 401, 401, 401},
	} {
		t.Run(name, func(t *testing.T) {
			server := directAs(t, func(config *rest.Config) *rest.Config {
				config = rest.AnonymousClientConfig(config)
				test.identify(config)
				return config
			})
			body := migrateOf(strings.NewReplacer(" ", "-", "'", "").Replace(name), "", "m1", "m2")
			for what, r := range map[string]struct {
				method, path, body string
				want               int
			}{
				"get":     {http.MethodGet, migratesIn + n.name + "/migrates/a", "", test.get},
				"get all": {http.MethodGet, everywhere, "", test.list},
				"create":  {http.MethodPost, migratesIn + n.name + "/migrates", body, test.create},
				"delete":  {http.MethodDelete, migratesIn + n.name + "/migrates/none", "", absentOr(test.create)},
			} {
				code, answer := server.sendAs(t, r.method, r.path, r.body, test.headers)
				if code != r.want {
					t.Errorf("%s: got %d, want %d\n%s", what, code, r.want, answer)
				}
			}
		})
	}
	equal(t, "what is there", n.run("get", "migrates", "-o", "jsonpath={.items[*].metadata.name}"), "a the-aggregator")
	equal(t, "who created it", n.get("the-aggregator", "{.spec.requester.username} {.spec.requester.uid} {.spec.requester.groups} {.spec.requester.extra}"),
		`kubernetes-admin 1 ["system:masters","system:authenticated"] {"scopes":["all"]}`)
}

// absentOr is a refusal, or what is answered to whoever may look for what is not there.
func absentOr(code int) int {
	if code < 400 {
		return http.StatusNotFound
	}
	return code
}

// viewerRole is a ClusterRole that lets Migrates be read.
func (n namespace) viewerRole() string {
	name := n.name + "-viewer"
	n.run("create", "clusterrole", name, "--verb=get,list,watch", "--resource=migrates.backup.kurator.dev")
	return name
}

func nobody(*rest.Config) {}

func bearer(token string) func(*rest.Config) {
	return func(config *rest.Config) { config.BearerToken = token }
}

func certificate(t *testing.T, authority *pki.Authority, user string) func(*rest.Config) {
	t.Helper()
	pair := clientPair(t, authority, user)
	return func(config *rest.Config) { config.CertData, config.KeyData = pair.Certificate, pair.Key }
}

func (d directly) sendAs(t *testing.T, method, path, body string, headers map[string]string) (code int, answer string) {
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
