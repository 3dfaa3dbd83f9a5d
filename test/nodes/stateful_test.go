// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package nodes

import (
	"os"
	"path/filepath"
	"testing"

	"kurator.dev/migrate-apiserver/test/localfleet"
)

const (
	source = 1
	target = 2
)

// TestStatefulSetIsMigratedWithItsData migrates a volume whose files are backed up because of an
// annotation of the pod, with a filter of namespaces and with one that lists the resources of
// the application but not its PersistentVolume, and because of the policy.
func TestStatefulSetIsMigratedWithItsData(t *testing.T) {
	localfleet.NeedsNodes(t)
	kubectl(t, source, "apply", "--filename=../localfleet/cmd/shop/shop.yaml")
	before := served(t, source)
	for _, tt := range []struct {
		name, policy string
		annotation   string
	}{
		{"namespace", `{"resourceFilter": {"includedNamespaces": ["shop"]}}`, `"data"`},
		{"listed resources", `{"resourceFilter": {"includedNamespaces": ["shop"], "includedResources": ["sts", "pods", "pvc"]}}`, `"data"`},
		{"policy", `{"resourceFilter": {"includedNamespaces": ["shop"]}, "volumes": {"data": "FileSystemBackup"}}`, `null`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			kubectl(t, source, "patch", "statefulset/shop", "--namespace=shop", "--type=merge",
				`--patch={"spec": {"template": {"metadata": {"annotations": {"backup.velero.io/backup-volumes": `+tt.annotation+`}}}}}`)
			served(t, source) // when the pod has the annotation, or has it no more
			kubectl(t, 0, "delete", "migrate", "shop", "--ignore-not-found")
			kubectl(t, target, "delete", "namespace", "shop", "--ignore-not-found")
			create(t, kubectl(t, 0, "patch", "--local", "--filename=../../artifacts/examples/migrate-stateful.yaml", "--type=merge",
				`--patch={"spec": {"policy": `+tt.policy+`}}`, "--output=yaml"))
			kubectl(t, 0, "wait", "migrate/shop", "--for=jsonpath={.status.phase}=Completed", "--timeout=2m")
			if after := served(t, target); after != before {
				t.Errorf("the application serves %q in the source and %q in the target", before, after)
			}
		})
	}
}

// create creates an object in the host.
func create(t *testing.T, manifest string) {
	t.Helper()
	kubectl(t, 0, "create", "--filename="+file(t, manifest))
}

// file writes a manifest to a file and returns its path.
func file(t *testing.T, manifest string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "manifest.yaml")
	if err := os.WriteFile(path, []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// served waits until the application of shop.yaml is ready in the nth member and returns
// what it serves: the size of its data and their SHA-256.
func served(t *testing.T, n int) string {
	t.Helper()
	kubectl(t, n, "rollout", "status", "statefulset/shop", "--namespace=shop", "--timeout=2m")
	answer, err := fleet.GetFromPod(t.Context(), n, "shop", "shop-0", 8080)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}
