// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
)

var manifests = os.DirFS("../../artifacts/deploy")

func TestRender(t *testing.T) {
	rendered, err := render(manifests, values{
		Image:         "example/migrate-apiserver:v1",
		Authority:     []byte("authority"),
		Certificate:   []byte("certificate"),
		Key:           []byte("key"),
		AllNamespaces: true, KuratorNamespace: "fleets", Flags: []string{"--v=2", "--cluster-access-providers=/access/providers.json"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if text := "- --kurator-compatibility\n        - --kurator-controllers=system:serviceaccount:fleets:kurator-fleet-manager\n        - --v=2\n        - --cluster-access-providers=/access/providers.json\n"; !bytes.Contains(rendered["30-statefulset.yaml"], []byte(text)) {
		t.Errorf("the server does not hide Migrates from Kurator:\n%s", rendered["30-statefulset.yaml"])
	}
	want := []string{
		"00-namespace.yaml", "10-rbac.yaml", "12-kurator.yaml", "15-serving-cert.yaml", "20-service.yaml",
		"30-statefulset.yaml", "40-apiservice.yaml",
	}
	if got := slices.Sorted(maps.Keys(rendered)); !slices.Equal(got, want) {
		t.Fatalf("files = %v, want %v", got, want)
	}
	for file, text := range map[string]string{
		"30-statefulset.yaml":  "image: example/migrate-apiserver:v1\n",
		"12-kurator.yaml":      "name: migrate-apiserver:kurator\n",
		"40-apiservice.yaml":   "caBundle: YXV0aG9yaXR5\n",
		"15-serving-cert.yaml": "tls.crt: Y2VydGlmaWNhdGU=\n  tls.key: a2V5\n",
	} {
		if !bytes.Contains(rendered[file], []byte(text)) {
			t.Errorf("%s lacks %q:\n%s", file, text, rendered[file])
		}
	}
	if got := bytes.Count(rendered["10-rbac.yaml"], []byte("\nkind: ")); got != 9 {
		t.Errorf("10-rbac.yaml has %d objects, want 9", got)
	}
}

func TestRenderForNamespaces(t *testing.T) {
	rendered, err := render(manifests, values{Image: "migrate-apiserver:v1", Namespaces: []string{"team-a", "team-b"}, KuratorNamespace: "kurator-system"})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(rendered["30-statefulset.yaml"], []byte("- --namespaces=team-a,team-b\n")) {
		t.Errorf("the server lacks the flag --namespaces:\n%s", rendered["30-statefulset.yaml"])
	}
	rbac := rendered["10-rbac.yaml"]
	for _, namespace := range []string{"team-a", "team-b"} {
		if !bytes.Contains(rbac, []byte("kind: RoleBinding\nmetadata:\n  labels:\n    app.kubernetes.io/name: migrate-apiserver\n"+
			"  name: migrate-apiserver:tenants\n  namespace: "+namespace+"\nroleRef:\n  apiGroup: rbac.authorization.k8s.io\n"+
			"  kind: ClusterRole\n  name: migrate-apiserver:tenants\n")) {
			t.Errorf("no RoleBinding in %s:\n%s", namespace, rbac)
		}
	}
	// The remaining ClusterRoleBindings are for the configuration of the host.
	if got := bytes.Count(rbac, []byte("\nkind: ClusterRoleBinding\n")); got != 2 {
		t.Errorf("%d ClusterRoleBindings, want 2:\n%s", got, rbac)
	}
}

// TestRenderNeedsNamespaces checks that access to the Secrets of all namespaces is not the
// default.
func TestRenderNeedsNamespaces(t *testing.T) {
	for want, v := range map[string]values{
		"name the namespaces of the fleets, whose Secrets the server may read, or ask for all namespaces": {},
		"namespaces team-a are named and all namespaces are asked for: choose one":                        {Namespaces: []string{"team-a"}, AllNamespaces: true},
	} {
		if rendered, err := render(manifests, v); err == nil || err.Error() != want || rendered != nil {
			t.Errorf("%+v: %v, want %s", v, err, want)
		}
	}
}

func TestRenderReplicas(t *testing.T) {
	rendered, err := render(manifests, values{Image: "example/migrate-apiserver:v1", EtcdServers: "https://a:2379,https://b:2379", AllNamespaces: true, KuratorNamespace: "kurator-system"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"00-namespace.yaml", "10-rbac.yaml", "12-kurator.yaml", "15-serving-cert.yaml", "20-service.yaml",
		"30-deployment.yaml", "35-poddisruptionbudget.yaml", "40-apiservice.yaml",
	}
	if got := slices.Sorted(maps.Keys(rendered)); !slices.Equal(got, want) {
		t.Fatalf("files = %v, want %v", got, want)
	}
	for _, text := range []string{"image: example/migrate-apiserver:v1\n", "- --etcd-servers=https://a:2379,https://b:2379\n"} {
		if !bytes.Contains(rendered["30-deployment.yaml"], []byte(text)) {
			t.Errorf("the Deployment lacks %q:\n%s", text, rendered["30-deployment.yaml"])
		}
	}
}

func TestRenderWithoutKurator(t *testing.T) {
	for _, etcd := range []string{"", "https://a:2379"} {
		rendered, err := render(manifests, values{Image: "example/migrate-apiserver:v1", EtcdServers: etcd, AllNamespaces: true, WithoutKurator: true})
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.Count(rendered["05-crds.yaml"], []byte("kind: CustomResourceDefinition\n")); got != 2 {
			t.Errorf("%d CustomResourceDefinitions:\n%s", got, rendered["05-crds.yaml"])
		}
		if server := slices.Concat(rendered["30-statefulset.yaml"], rendered["30-deployment.yaml"]); !bytes.Contains(server, []byte("- --cluster-readiness=probe\n")) {
			t.Errorf("the server does not ask the clusters:\n%s", server)
		}
	}
	rendered, err := render(manifests, values{Image: "example/migrate-apiserver:v1", AllNamespaces: true, KuratorNamespace: "kurator-system"})
	if err != nil {
		t.Fatal(err)
	}
	if _, defined := rendered["05-crds.yaml"]; defined || bytes.Contains(rendered["30-statefulset.yaml"], []byte("cluster-readiness")) {
		t.Errorf("with Kurator: %q\n%s", slices.Sorted(maps.Keys(rendered)), rendered["30-statefulset.yaml"])
	}
}

// TestRBACIsLeastPrivilege checks that no role has rules that the server must never have.
func TestRBACIsLeastPrivilege(t *testing.T) {
	rules := rulesOf(t, manifests)
	for _, rule := range rules {
		for _, list := range [][]string{rule.APIGroups, rule.Resources, rule.Verbs} {
			if slices.Contains(list, "*") {
				t.Errorf("rule with a wildcard: %v", rule)
			}
		}
		for _, verb := range []string{"escalate", "bind", "impersonate", "use", "delete", "deletecollection"} {
			if slices.Contains(rule.Verbs, verb) {
				t.Errorf("rule with verb %s: %v", verb, rule)
			}
		}
		if len(rule.NonResourceURLs) > 0 {
			t.Errorf("rule with non-resource URLs: %v", rule)
		}
		if slices.Contains(rule.Resources, "secrets") && !slices.Equal(rule.Verbs, []string{"get"}) {
			t.Errorf("verbs of Secrets: %v, want only get", rule.Verbs)
		}
	}
	if len(rules) != 16 {
		t.Errorf("got %d rules, want 16", len(rules))
	}
}

// rulesOf returns the rules of all roles in the manifests.
func rulesOf(t *testing.T, files fs.FS) []rbacv1.PolicyRule {
	t.Helper()
	var content []byte
	for _, name := range []string{"10-rbac.yaml", "kurator/12-kurator.yaml"} {
		file, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		content = slices.Concat(content, []byte("\n---\n"), file)
	}
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4<<10)
	var rules []rbacv1.PolicyRule
	for {
		var role struct{ Rules []rbacv1.PolicyRule }
		err := decoder.Decode(&role)
		if errors.Is(err, io.EOF) {
			return rules
		}
		if err != nil {
			t.Fatal(err)
		}
		rules = append(rules, role.Rules...)
	}
}
