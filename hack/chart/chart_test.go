// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCompare(t *testing.T) {
	const service = "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: b}\nspec: {port: 1}\n"
	for name, tc := range map[string]struct{ kustomize, helm, want string }{
		"the same":             {service + "---\nkind: Namespace\napiVersion: v1\n", "# Source\n---\n" + service, ""},
		"Helm's annotation":    {service, strings.Replace(service, "namespace: b", "namespace: b, annotations: {helm.sh/resource-policy: keep}", 1), ""},
		"another annotation":   {service, strings.Replace(service, "namespace: b", "namespace: b, annotations: {c: d}", 1), "annotations"},
		"another value":        {service, strings.Replace(service, "port: 1", "port: 2", 1), "/v1, Kind=Service b a (-kustomize +helm)"},
		"an object missing":    {service, "", "/v1, Kind=Service b a"},
		"an object too many":   {service, service + "---\n" + strings.Replace(service, "name: a", "name: c", 1), "/v1, Kind=Service b c"},
		"an object twice":      {service, service + "---\n" + service, "twice"},
		"nothing was rendered": {"", "", "has no objects"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			kustomize, helm := filepath.Join(dir, "kustomize"), filepath.Join(dir, "helm")
			for file, content := range map[string]string{kustomize: tc.kustomize, helm: tc.helm} {
				if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			err := compare(kustomize, helm)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}

func TestRender(t *testing.T) {
	template := template{file: "a/b.yaml", condition: ".Values.x", changes: []change{{"size: 2Gi", "size: {{ .Values.size }}"}}}
	if got := template.name(); got != "a-b.yaml" {
		t.Errorf("name %q", got)
	}
	got, err := template.render("namespace: migrate-system\nsize: 2Gi\n")
	if err != nil {
		t.Fatal(err)
	}
	const want = "{{- /* Generated from artifacts/deploy by hack/update-chart.sh. */ -}}\n" +
		"{{- if .Values.x }}\nnamespace: {{ $.Release.Namespace }}\nsize: {{ .Values.size }}\n{{- end }}\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	// What the chart changes must be in the manifest.
	if _, err := template.render("size: 3Gi\n"); err == nil || !strings.Contains(err.Error(), "size: 2Gi") {
		t.Errorf("%v", err)
	}
}
