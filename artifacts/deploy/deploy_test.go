// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"bytes"
	"maps"
	"slices"
	"testing"
)

func TestRender(t *testing.T) {
	rendered, err := Render(Values{
		Image:       "example/migrate-apiserver:v1",
		Authority:   []byte("authority"),
		Certificate: []byte("certificate"),
		Key:         []byte("key"),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"00-namespace.yaml", "10-rbac.yaml", "15-serving-cert.yaml", "20-service.yaml",
		"30-statefulset.yaml", "40-apiservice.yaml",
	}
	if got := slices.Sorted(maps.Keys(rendered)); !slices.Equal(got, want) {
		t.Fatalf("files = %v, want %v", got, want)
	}
	for file, text := range map[string]string{
		"30-statefulset.yaml":  "image: example/migrate-apiserver:v1\n",
		"40-apiservice.yaml":   "caBundle: YXV0aG9yaXR5\n",
		"15-serving-cert.yaml": "tls.crt: Y2VydGlmaWNhdGU=\n  tls.key: a2V5\n",
	} {
		if !bytes.Contains(rendered[file], []byte(text)) {
			t.Errorf("%s lacks %q:\n%s", file, text, rendered[file])
		}
	}
	if got := bytes.Count(rendered["10-rbac.yaml"], []byte("\nkind: ")); got != 7 {
		t.Errorf("10-rbac.yaml has %d objects, want 7", got)
	}
}

func TestRenderReplicas(t *testing.T) {
	rendered, err := Render(Values{Image: "example/migrate-apiserver:v1", EtcdServers: "https://a:2379,https://b:2379"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"00-namespace.yaml", "10-rbac.yaml", "15-serving-cert.yaml", "20-service.yaml",
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
