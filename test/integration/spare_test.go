// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"

	"kurator.dev/migrate-apiserver/test/localfleet"
)

// permission is one verb on one resource of the host. For its own Secret, the name follows the resource: the server has
// permissions for other Secrets, too.
type permission struct{ group, resource, verb string }

func (p permission) String() string { return p.verb + " " + p.resource + "." + p.group }

// ofAll returns the permission for all objects of the resource.
func (p permission) ofAll() permission {
	p.resource, _, _ = strings.Cut(p.resource, " ")
	return p
}

// errorText returns a part of the host's 403 message if the permission is missing.
func (p permission) errorText() string {
	return fmt.Sprintf("cannot %s resource %q in API group %q", p.verb, p.ofAll().resource, p.group)
}

// spare is a server to which no APIService leads, and a direct client of it.
type spare struct {
	*localfleet.Spare
	apiClient

	t       *testing.T
	n       namespace
	account string
	// created is whether ensureMigrate has created its Migrate.
	created bool
}

// startWithout starts a server with the permissions of artifacts/deploy except one, on the next
// free spare.
func startWithout(t *testing.T, spares chan *localfleet.Spare, n namespace, account string, without permission) *spare {
	t.Helper()
	server := <-spares
	t.Cleanup(func() { spares <- server })
	run := localfleet.SpareRun{Account: account, Permissions: permissionsWithout(t, account, without)}
	issueCertificate(&run, without)
	if without.verb == "list" {
		// With streaming lists, an informer does not send a list request.
		run.Environment = append(run.Environment, "KUBE_FEATURE_WatchListClient=false")
	}
	return startSpare(t, server, n, run)
}

// issueCertificate has a server issue its certificate itself if it lacks a permission that it needs for that. Others have one of the
// fleet's, by which clients know them.
func issueCertificate(run *localfleet.SpareRun, without permission) {
	own := without.resource == "secrets migrate-apiserver-tls" || without == permission{"", "secrets", "create"}
	registers := without == permission{"apiregistration.k8s.io", "apiservices", "patch"}
	if !own && !registers {
		return
	}
	run.Flags = []string{"--tls-cert-file=", "--tls-private-key-file=", "--serving-certificate-secret=" + run.Account + "/migrate-apiserver-tls"}
	if registers {
		// The APIService of the fleet refers to this one.
		run.Flags = append(run.Flags, "--serving-certificate-service=migrate-system/migrate-apiserver")
	}
	if without.verb == "update" {
		damaged := &unstructured.Unstructured{Object: map[string]any{"data": map[string]any{"ca.key": "AAAA"}}}
		damaged.SetAPIVersion("v1")
		damaged.SetKind("Secret")
		damaged.SetNamespace(run.Account)
		damaged.SetName("migrate-apiserver-tls")
		run.Permissions = append(run.Permissions, damaged)
	}
}

// startSpare starts a server, which is killed at the end of the test.
func startSpare(t *testing.T, server *localfleet.Spare, n namespace, run localfleet.SpareRun) *spare {
	t.Helper()
	t.Cleanup(func() {
		if err := server.Kill(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := server.Start(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	s := &spare{Spare: server, t: t, n: namespace{t, n.name}, account: run.Account}
	s.apiClient = s.clientAs(func(*rest.Config) {})
	return s
}

// clientAs returns a client of the server with the administrator's credentials, unless identify
// changes them.
func (s *spare) clientAs(identify func(*rest.Config)) apiClient {
	s.t.Helper()
	config, err := s.Config()
	if err != nil {
		s.t.Fatal(err)
	}
	identify(config)
	// A connection that is opened before the server has loaded the CA of client certificates
	// stays unauthenticated. So each request opens one.
	config.NextProtos = []string{"http/1.1"}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return closingTransport{next} })
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(client.CloseIdleConnections)
	return apiClient{client, config.Host}
}

// closingTransport closes the connection after each request.
type closingTransport struct{ next http.RoundTripper }

func (o closingTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Close = true
	return o.next.RoundTrip(request)
}

func (s *spare) log() string {
	content, err := s.Log()
	if err != nil {
		s.t.Error(err)
	}
	// Quotes within a logged message are escaped.
	return strings.ReplaceAll(content, `\"`, `"`)
}

// read returns the response to a GET of a Migrate, or the error.
func (s *spare) read(ctx context.Context, name string) string {
	_, body, err := s.try(ctx, "/apis/backup.kurator.dev/v1alpha1/namespaces/"+s.n.name+"/migrates/"+name)
	if err != nil {
		return err.Error()
	}
	return strings.ReplaceAll(body, `\"`, `"`)
}

// ensureMigrate creates Migrate a. While the server does not accept it, each call tries again.
func (s *spare) ensureMigrate(ctx context.Context) {
	if !s.created {
		code, _ := s.create(ctx, s.n.name, "a")
		s.created = code == http.StatusCreated
	}
}

// create creates a Migrate from member1 to member2. The code is 0 if there is no response.
func (s *spare) create(ctx context.Context, namespace, name string) (code int, answer string) {
	return s.createInFleet(ctx, namespace, name, "nowhere")
}

func (s *spare) createInFleet(ctx context.Context, namespace, name, fleet string) (code int, answer string) {
	return s.createTo(ctx, namespace, name, fleet, "Cluster")
}

// createTo creates a Migrate from AttachedCluster member1 to member2 of a kind.
func (s *spare) createTo(ctx context.Context, namespace, name, fleet, kind string) (code int, answer string) {
	body := fmt.Sprintf(`{"apiVersion":"backup.kurator.dev/v1alpha1","kind":"Migrate","metadata":{"name":%q},"spec":{`+
		`"sourceCluster":{"fleet":%[2]q,"clusters":[{"kind":"AttachedCluster","name":"member1"}]},`+
		`"targetCluster":{"fleet":%[2]q,"clusters":[{"kind":%[3]q,"name":"member2"}]}}}`, name, fleet, kind)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost,
		s.url+"/apis/backup.kurator.dev/v1alpha1/namespaces/"+namespace+"/migrates", strings.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := s.client.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, strings.ReplaceAll(string(content), `\"`, `"`)
}

// repeatEvent creates and deletes the Fleet of a Migrate, so that its Event FleetNotFound is
// repeated. It does nothing while the server does not accept the Migrate.
func (s *spare) repeatEvent(ctx context.Context) {
	name := "again-" + s.account
	if code, _ := s.createInFleet(ctx, s.n.name, name, s.account); code != http.StatusCreated && code != http.StatusConflict {
		return
	}
	await := func(reason string) {
		eventually(s.t, "reason "+reason, func(ctx context.Context) bool {
			return strings.Contains(s.read(ctx, name), `"reason":"`+reason+`"`)
		})
	}
	await("FleetNotFound")
	s.n.run("create", "-f", s.n.file("fleet.yaml", "apiVersion: fleet.kurator.dev/v1alpha1\nkind: Fleet\nmetadata:\n  name: "+s.account+"\nspec:\n  clusters: []\n", 0o600))
	await("ClusterNotInFleet")
	s.n.run("delete", "fleet.fleet.kurator.dev", s.account)
	await("FleetNotFound")
}

// asServiceAccount authenticates with the token of a ServiceAccount.
func asServiceAccount(s *spare, config *rest.Config) {
	token := s.n.run("create", "token", "default")
	*config = *rest.AnonymousClientConfig(config)
	config.BearerToken = strings.TrimSpace(token)
}

// asUser impersonates a user.
func asUser(s *spare, config *rest.Config) {
	config.Impersonate.UserName = "user-" + s.account
}

// listCode returns the status code of a list of Migrates, or 0 if there is no response.
func (s *spare) listCode(ctx context.Context, identify func(*spare, *rest.Config)) int {
	code, _, err := s.clientAs(func(config *rest.Config) { identify(s, config) }).try(ctx, "/apis/backup.kurator.dev/v1alpha1/namespaces/"+s.n.name+"/migrates")
	if err != nil {
		return 0
	}
	return code
}

// permissionsWithout returns the RBAC objects of artifacts/deploy without one permission, for an
// account and a namespace of that name.
func permissionsWithout(t *testing.T, account string, without permission) []*unstructured.Unstructured {
	t.Helper()
	objects := manifests(t, accountManifests(t), forAccount(account))
	for _, o := range objects {
		if replaceBuiltin(t, o, without) {
			objects = append(objects, builtinWithout(o, without))
		}
		rules, found, err := unstructured.NestedSlice(o.Object, "rules")
		if err != nil {
			t.Fatal(err)
		}
		if !found {
			continue
		}
		var left []any
		for _, rule := range rules {
			for p, single := range splitRule(t, rule.(map[string]any)) {
				// That for all Secrets includes that for one.
				if p != without && p != without.ofAll() {
					left = append(left, single)
				}
			}
		}
		o.Object["rules"] = left
	}
	return objects
}

// forAccount returns a Replacer that changes manifests to an account and a namespace of that
// name.
func forAccount(account string) *strings.Replacer {
	return strings.NewReplacer("migrate-system", account, "name: migrate-apiserver", "name: "+account)
}

// builtinRoles has the permissions of the host's built-in roles that artifacts/deploy binds.
var builtinRoles = map[string][]permission{
	"system:auth-delegator":                     {{"authentication.k8s.io", "tokenreviews", "create"}, {"authorization.k8s.io", "subjectaccessreviews", "create"}},
	"extension-apiserver-authentication-reader": {{"", "configmaps", "get"}},
}

// replaceBuiltin reports whether a binding binds a built-in role with the permission. If so, it
// changes the binding to a role with the binding's own name.
func replaceBuiltin(t *testing.T, binding *unstructured.Unstructured, without permission) bool {
	t.Helper()
	role, _, err := unstructured.NestedString(binding.Object, "roleRef", "name")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(builtinRoles[role], without) {
		return false
	}
	if err := unstructured.SetNestedField(binding.Object, binding.GetName(), "roleRef", "name"); err != nil {
		t.Fatal(err)
	}
	return true
}

// builtinWithout returns the role for a binding that replaceBuiltin has changed: the built-in
// role without the permission.
func builtinWithout(binding *unstructured.Unstructured, without permission) *unstructured.Unstructured {
	role := &unstructured.Unstructured{Object: map[string]any{}}
	role.SetAPIVersion(binding.GetAPIVersion())
	role.SetKind(strings.TrimSuffix(binding.GetKind(), "Binding"))
	role.SetName(binding.GetName())
	role.SetNamespace(binding.GetNamespace())
	rules := []any{}
	for _, permissions := range builtinRoles {
		if !slices.Contains(permissions, without) {
			continue
		}
		for _, p := range permissions {
			if p != without {
				rules = append(rules, map[string]any{"apiGroups": []any{p.group}, "resources": []any{p.resource}, "verbs": []any{p.verb}})
			}
		}
	}
	role.Object["rules"] = rules
	return role
}

// deployedPermissions returns the permissions of artifacts/deploy, without those of built-in
// roles.
func deployedPermissions(t *testing.T) []permission {
	t.Helper()
	var all []permission
	for _, o := range manifests(t, accountManifests(t), strings.NewReplacer()) {
		rules, _, err := unstructured.NestedSlice(o.Object, "rules")
		if err != nil {
			t.Fatal(err)
		}
		for _, rule := range rules {
			for p := range splitRule(t, rule.(map[string]any)) {
				all = append(all, p)
			}
		}
	}
	return all
}

// splitRule splits a rule into rules of one verb on one resource.
func splitRule(t *testing.T, rule map[string]any) map[permission]map[string]any {
	t.Helper()
	list := func(field string) []string {
		values, _, err := unstructured.NestedStringSlice(rule, field)
		if err != nil {
			t.Fatal(err)
		}
		return values
	}
	all := map[permission]map[string]any{}
	for _, group := range list("apiGroups") {
		for _, resource := range list("resources") {
			for _, verb := range list("verbs") {
				single := map[string]any{"apiGroups": []any{group}, "resources": []any{resource}, "verbs": []any{verb}}
				p := permission{group, resource, verb}
				if names, ok := rule["resourceNames"]; ok {
					single["resourceNames"] = names
					if resource == "secrets" {
						p.resource += " " + names.([]any)[0].(string)
					}
				}
				all[p] = single
			}
		}
	}
	return all
}

// accountManifests returns the manifests of the server's account and its permissions.
func accountManifests(t *testing.T) []byte {
	t.Helper()
	content, err := localfleet.AccountManifests()
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// manifests returns the objects in content that grant permissions. change is applied to their text
// first.
func manifests(t *testing.T, content []byte, change *strings.Replacer) []*unstructured.Unstructured {
	t.Helper()
	var objects []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(change.Replace(string(content))), 4<<10)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatal(err)
		}
		group := object.GroupVersionKind().Group
		if kind := object.GetKind(); kind == "Namespace" || kind == "ServiceAccount" || group == rbacv1.GroupName {
			objects = append(objects, object)
		}
	}
}
