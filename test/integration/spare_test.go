// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"

	"kurator.dev/migrate-apiserver/test/localfleet"
)

// permission is one verb on one resource of the host.
type permission struct{ group, resource, verb string }

func (p permission) String() string { return p.verb + " " + p.resource + "." + p.group }

// refusal is how the host says that somebody lacks it.
func (p permission) refusal() string {
	return fmt.Sprintf("cannot %s resource %q in API group %q", p.verb, p.resource, p.group)
}

// spare is a server that the host does not know, and what a test has of it.
type spare struct {
	*localfleet.Spare
	directly

	t       *testing.T
	n       namespace
	account string
	// created says that it has a Migrate to work on.
	created bool
}

// startWithout starts a server with the permissions of artifacts/deploy but one.
func startWithout(t *testing.T, places chan *localfleet.Spare, n namespace, account string, without permission) *spare {
	t.Helper()
	place := <-places
	t.Cleanup(func() { places <- place })
	run := localfleet.SpareRun{Account: account, Permissions: permissionsWithout(t, account, without)}
	if without.verb == "list" {
		// A list is what a host asks for that does not stream lists in watches.
		run.Environment = append(run.Environment, "KUBE_FEATURE_WatchListClient=false")
	}
	return startSpare(t, place, n, run)
}

// startSpare starts a server that ends with the test.
func startSpare(t *testing.T, place *localfleet.Spare, n namespace, run localfleet.SpareRun) *spare {
	t.Helper()
	t.Cleanup(func() {
		if err := place.Kill(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := place.Start(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	s := &spare{Spare: place, t: t, n: namespace{t, n.name}, account: run.Account}
	s.directly = s.as(func(*rest.Config) {})
	return s
}

// as is a way to the server, of the administrator if nothing else is set.
func (s *spare) as(identify func(*rest.Config)) directly {
	s.t.Helper()
	config, err := s.Config()
	if err != nil {
		s.t.Fatal(err)
	}
	identify(config)
	// A connection of the moment in which the server has yet to read whose certificates
	// it trusts would stay one of nobody in particular.
	config.NextProtos = []string{"http/1.1"}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return once{next} })
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(client.CloseIdleConnections)
	return directly{client, config.Host}
}

// once has each request take a connection of its own.
type once struct{ next http.RoundTripper }

func (o once) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Close = true
	return o.next.RoundTrip(request)
}

func (s *spare) log() string {
	content, err := s.Log()
	if err != nil {
		s.t.Error(err)
	}
	// What is quoted in a log is escaped.
	return strings.ReplaceAll(content, `\"`, `"`)
}

// read is what the server answers to a GET of a Migrate.
func (s *spare) read(ctx context.Context, name string) string {
	_, body, err := s.try(ctx, "/apis/backup.kurator.dev/v1alpha1/namespaces/"+s.n.name+"/migrates/"+name)
	if err != nil {
		return err.Error()
	}
	return strings.ReplaceAll(body, `\"`, `"`)
}

// giveWork creates the Migrate that the server works on, as soon as it takes one.
func (s *spare) giveWork(ctx context.Context) {
	if !s.created {
		code, _ := s.create(ctx, s.n.name, "a")
		s.created = code == http.StatusCreated
	}
}

// create creates a Migrate of both members; the code is 0 if there is no answer.
func (s *spare) create(ctx context.Context, namespace, name string) (code int, answer string) {
	return s.createOf(ctx, namespace, name, "nowhere")
}

func (s *spare) createOf(ctx context.Context, namespace, name, fleet string) (code int, answer string) {
	body := fmt.Sprintf(`{"apiVersion":"backup.kurator.dev/v1alpha1","kind":"Migrate","metadata":{"name":%q},"spec":{`+
		`"sourceCluster":{"fleet":%[2]q,"clusters":[{"kind":"AttachedCluster","name":"member1"}]},`+
		`"targetCluster":{"fleet":%[2]q,"clusters":[{"kind":"Cluster","name":"member2"}]}}}`, name, fleet)
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

// repeatAnEvent has a Migrate wait for its Fleet, which comes and goes. It does
// nothing while the server takes no Migrate.
func (s *spare) repeatAnEvent(ctx context.Context) {
	name := "again-" + s.account
	if code, _ := s.createOf(ctx, s.n.name, name, s.account); code != http.StatusCreated && code != http.StatusConflict {
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

// byToken makes a ServiceAccount of the host ask, byName a user.
func byToken(s *spare, config *rest.Config) {
	token := s.n.run("create", "token", "default")
	*config = *rest.AnonymousClientConfig(config)
	config.BearerToken = strings.TrimSpace(token)
}

func byName(s *spare, config *rest.Config) {
	config.Impersonate.UserName = "anybody-" + s.account
}

// codeFor is how a list of Migrates is answered.
func (s *spare) codeFor(ctx context.Context, identify func(*spare, *rest.Config)) int {
	code, _, err := s.as(func(config *rest.Config) { identify(s, config) }).try(ctx, "/apis/backup.kurator.dev/v1alpha1/namespaces/"+s.n.name+"/migrates")
	if err != nil {
		return 0
	}
	return code
}

// permissionsWithout is what artifacts/deploy grants, for an account and a namespace
// of that name, without one permission.
func permissionsWithout(t *testing.T, account string, without permission) []*unstructured.Unstructured {
	t.Helper()
	objects := manifests(t, fileOf(t, deployed), forAccount(account))
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
			for p, single := range singles(t, rule.(map[string]any)) {
				if p != without {
					left = append(left, single)
				}
			}
		}
		o.Object["rules"] = left
	}
	return objects
}

// forAccount changes manifests into those for an account and a namespace of that name.
func forAccount(account string) *strings.Replacer {
	return strings.NewReplacer("migrate-system", account, "name: migrate-apiserver", "name: "+account)
}

// builtin are the permissions of the host's own roles that artifacts/deploy binds.
var builtin = map[string][]permission{
	"system:auth-delegator":                     {{"authentication.k8s.io", "tokenreviews", "create"}, {"authorization.k8s.io", "subjectaccessreviews", "create"}},
	"extension-apiserver-authentication-reader": {{"", "configmaps", "get"}},
}

// replaceBuiltin has a binding of one of the host's roles that has the permission bind
// another of the name of the binding, and says whether it did.
func replaceBuiltin(t *testing.T, binding *unstructured.Unstructured, without permission) bool {
	t.Helper()
	role, _, err := unstructured.NestedString(binding.Object, "roleRef", "name")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(builtin[role], without) {
		return false
	}
	if err := unstructured.SetNestedField(binding.Object, binding.GetName(), "roleRef", "name"); err != nil {
		t.Fatal(err)
	}
	return true
}

// builtinWithout is the role that a replaced binding binds: the other permissions of
// the one that it bound.
func builtinWithout(binding *unstructured.Unstructured, without permission) *unstructured.Unstructured {
	role := &unstructured.Unstructured{Object: map[string]any{}}
	role.SetAPIVersion(binding.GetAPIVersion())
	role.SetKind(strings.TrimSuffix(binding.GetKind(), "Binding"))
	role.SetName(binding.GetName())
	role.SetNamespace(binding.GetNamespace())
	rules := []any{}
	for _, permissions := range builtin {
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

// granted are the permissions of artifacts/deploy.
func granted(t *testing.T) []permission {
	t.Helper()
	var all []permission
	for _, o := range manifests(t, fileOf(t, deployed), strings.NewReplacer()) {
		rules, _, err := unstructured.NestedSlice(o.Object, "rules")
		if err != nil {
			t.Fatal(err)
		}
		for _, rule := range rules {
			for p := range singles(t, rule.(map[string]any)) {
				all = append(all, p)
			}
		}
	}
	return all
}

// singles are a rule as rules of one verb on one resource.
func singles(t *testing.T, rule map[string]any) map[permission]map[string]any {
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
				if names, ok := rule["resourceNames"]; ok {
					single["resourceNames"] = names
				}
				all[permission{group, resource, verb}] = single
			}
		}
	}
	return all
}

// permissionFiles are those of artifacts/deploy that grant something.
var permissionFiles = []string{"00-namespace.yaml", "10-rbac.yaml"}

// deployed has the manifests.
var deployed = os.DirFS("../../artifacts/deploy")

func fileOf(t *testing.T, files fs.FS) func(name string) []byte {
	return func(name string) []byte {
		content, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
}

// manifests are the objects that grant something, their text changed first.
func manifests(t *testing.T, file func(name string) []byte, change *strings.Replacer) []*unstructured.Unstructured {
	t.Helper()
	var objects []*unstructured.Unstructured
	for _, name := range permissionFiles {
		decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(change.Replace(string(file(name)))), 4<<10)
		for {
			object := &unstructured.Unstructured{}
			err := decoder.Decode(&object.Object)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			objects = append(objects, object)
		}
	}
	return objects
}
