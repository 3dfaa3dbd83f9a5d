// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestWrite checks what is written; hack/verify-chart.sh builds it, and compares it with the chart.
func TestWrite(t *testing.T) {
	t.Chdir("../..")
	for name, tc := range map[string]struct {
		values  values
		want    string
		tenants []string
	}{
		"standalone beside Kurator": {
			values:  values{Image: "registry:5000/migrate:v1", Namespaces: []string{"team-a", "team-b"}, Kurator: true},
			tenants: []string{"team-a", "team-b"},
			want: `
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [ROOT/artifacts/deploy/overlays/standalone, tenants.yaml]
components: [ROOT/artifacts/deploy/components/kurator]
images: [{name: migrate-apiserver, newName: "registry:5000/migrate", newTag: v1}]
patches:
- target: {kind: StatefulSet|Deployment, name: migrate-apiserver}
  patch: |
    - op: add
      path: /spec/template/spec/containers/0/args/-
      value: --namespaces=team-a,team-b
`,
		},
		"everything else": {
			values: values{
				Image: "registry:5000/migrate@sha256:0", AllNamespaces: true, Kurator: true, KuratorNamespace: "fleets",
				EtcdServers: "https://etcd:2379", Components: []string{"openshift", "kurator"}, Flags: []string{"--v=2"},
			},
			want: `
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [ROOT/artifacts/deploy/overlays/ha]
components:
- ROOT/artifacts/deploy/components/kurator
- ROOT/artifacts/deploy/components/all-namespaces
- ROOT/artifacts/deploy/components/openshift
images: [{name: migrate-apiserver, newName: "registry:5000/migrate", digest: "sha256:0"}]
patches:
- target: {kind: Deployment, name: migrate-apiserver}
  patch: |
    - op: replace
      path: /spec/template/spec/containers/0/env/0
      value:
        name: ETCD_SERVERS
        value: https://etcd:2379
- target: {kind: StatefulSet|Deployment, name: migrate-apiserver}
  patch: |
    - op: add
      path: /spec/template/spec/containers/0/args/-
      value: --kurator-controllers=system:serviceaccount:fleets:kurator-fleet-manager
    - op: add
      path: /spec/template/spec/containers/0/args/-
      value: --v=2
`,
		},
		"without Kurator, without a tag": {
			values: values{Image: "registry:5000/migrate", AllNamespaces: true},
			want: `
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [ROOT/artifacts/deploy/overlays/standalone]
components: [ROOT/artifacts/deploy/components/no-kurator, ROOT/artifacts/deploy/components/all-namespaces]
images: [{name: migrate-apiserver, newName: "registry:5000/migrate", newTag: latest}]
`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			out := t.TempDir()
			if err := write(out, tc.values); err != nil {
				t.Fatal(err)
			}
			content, err := os.ReadFile(filepath.Join(out, "kustomization.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			root, err := relative(out)
			if err != nil {
				t.Fatal(err)
			}
			var got, want map[string]any
			if err := yaml.Unmarshal(content, &got); err != nil {
				t.Fatal(err)
			}
			if err := yaml.Unmarshal([]byte(strings.ReplaceAll(tc.want, "ROOT", root)), &want); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got\n%s\nwant%s", content, tc.want)
			}
			bindings, err := os.ReadFile(filepath.Join(out, tenants))
			if (err == nil) != (tc.tenants != nil) {
				t.Errorf("%s: %v, namespaces %v", tenants, err, tc.tenants)
			}
			for _, namespace := range tc.tenants {
				if !strings.Contains(string(bindings), "  name: migrate-apiserver:tenants\n  namespace: "+namespace+"\n") {
					t.Errorf("no RoleBinding in %s:\n%s", namespace, bindings)
				}
			}
		})
	}
}

// TestWriteRefuses checks that access to the Secrets of all namespaces is not the default, and that
// nothing is written for what can't be.
func TestWriteRefuses(t *testing.T) {
	t.Chdir("../..")
	for want, v := range map[string]values{
		"name the image":                       {AllNamespaces: true},
		"name the namespaces of the fleets":    {Image: "i"},
		"namespaces a are named and all names": {Image: "i", Namespaces: []string{"a"}, AllNamespaces: true},
		"component nosuch":                     {Image: "i", AllNamespaces: true, Components: []string{"nosuch"}},
	} {
		out := filepath.Join(t.TempDir(), "out")
		if err := write(out, v); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if _, err := os.Stat(out); !os.IsNotExist(err) {
			t.Errorf("%q: something was written: %v", want, err)
		}
	}
}
