// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"kurator.dev/migrate-apiserver/test/localfleet"
)

// provider is a credential plugin: it returns what is in the file that is called as the server's port.
const provider = `#!/bin/sh
port=$(echo "$KUBERNETES_EXEC_INFO" | sed 's|.*https://127.0.0.1:\([0-9]*\)".*|\1|')
echo "$port" >>"$(dirname "$0")/runs"
cat "$(dirname "$0")/$port"
`

// TestWithClusterProfiles migrates between the members of a cluster set, on a host that has neither Kurator's kinds nor a Secret
// with credentials.
func TestWithClusterProfiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string, mode os.FileMode) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return file
	}
	program := write("provider", provider, 0o700)
	providers := write("providers.json", `{"providers": [{"name": "test", "execConfig": {"apiVersion": "client.authentication.k8s.io/v1", "command": "`+program+`", "args": null, "env": null, "provideClusterInfo": true}}]}`, 0o600)
	fleet := localfleet.UpForTest(t, localfleet.Options{Members: 2, WithoutKurator: true, ServerFlags: []string{"--cluster-access-providers=" + providers}})
	kubectl := func(kubeconfig string, args ...string) string {
		t.Helper()
		output, err := fleet.Kubectl(t.Context(), kubeconfig, args...)
		if err != nil {
			t.Fatal(err)
		}
		return output
	}
	host := func(args ...string) string { t.Helper(); return kubectl(fleet.HostKubeconfig(), args...) }

	host("apply", "--filename=../localfleet/crds/clusterprofile.yaml")
	host("wait", "--for=condition=Established", "--timeout=60s", "crd/clusterprofiles.multicluster.x-k8s.io")
	kubectl(fleet.MemberKubeconfig(1), "apply", "--filename=../localfleet/cmd/localfleet/app.yaml")
	for n := 1; n <= 2; n++ {
		member := fleet.MemberKubeconfig(n)
		for _, name := range []string{"10-required", "20-recommended", "30-read-everything"} {
			kubectl(member, "apply", "--filename=../../artifacts/member/"+name+".yaml")
		}
		config, err := fleet.MemberConfig(n)
		if err != nil {
			t.Fatal(err)
		}
		port := config.Host[strings.LastIndex(config.Host, ":")+1:]
		write(port, credential(kubectl(member, "create", "token", "migrate-apiserver", "--namespace=velero")), 0o600)
		host("apply", "--server-side", "--filename="+write("profile.yaml", profileOf(n, config, "Unknown"), 0o600))
		host("apply", "--server-side", "--subresource=status", "--filename="+write("profile.yaml", profileOf(n, config, "Unknown"), 0o600))
	}

	migrate := write("migrate.yaml", `apiVersion: backup.kurator.dev/v1alpha1
kind: Migrate
metadata: {name: select-labels, namespace: default}
spec:
  sourceCluster: {fleet: prod, clusters: [{kind: ClusterProfile, name: member1}]}
  targetCluster: {fleet: prod}
  policy: {resourceFilter: {labelSelector: {matchLabels: {app: busybox}}}}
`, 0o600)
	host("apply", "--filename="+migrate)
	host("wait", "migrate/select-labels", "--for=jsonpath={.status.sourceClusterStatus.reason}=ClusterNotReady", "--timeout=60s")
	for n := 1; n <= 2; n++ {
		config, err := fleet.MemberConfig(n)
		if err != nil {
			t.Fatal(err)
		}
		host("apply", "--server-side", "--subresource=status", "--filename="+write("profile.yaml", profileOf(n, config, "True"), 0o600))
	}
	host("wait", "migrate/select-labels", "--for=condition=Ready", "--timeout=90s")
	kubectl(fleet.MemberKubeconfig(2), "get", "deployment", "busybox", "--namespace=busybox")
	if got := host("get", "migrate", "select-labels", "--output=jsonpath={.status.targetClusterStatus[*].clusterKind}/{.status.targetClusterStatus[*].clusterName}"); got != "ClusterProfile/member2" {
		t.Errorf("targets: %s", got)
	}
	runs, err := os.ReadFile(filepath.Join(dir, "runs"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(runs), "\n"); n != 2 {
		t.Errorf("the program ran %d times for two clusters whose tokens are good", n)
	}

	// Who may create Migrates needs use of the clusters.
	host("create", "clusterrole", "creator", "--verb=create,get", "--resource=migrates.backup.kurator.dev")
	host("create", "clusterrolebinding", "creator", "--clusterrole=creator", "--user=tenant", "--user=outsider")
	second := write("second.yaml", strings.NewReplacer("select-labels", "second", "targetCluster: {fleet: prod}", "targetCluster: {fleet: prod, clusters: [{kind: ClusterProfile, name: member2}]}").Replace(read(t, migrate)), 0o600)
	if _, err := fleet.Kubectl(t.Context(), fleet.HostKubeconfig(), "create", "--as=outsider", "--filename="+second); err == nil || !strings.Contains(err.Error(), `verb "use" on resource "clusterprofiles" in API group "multicluster.x-k8s.io"`) {
		t.Errorf("without use: %v", err)
	}
	host("apply", "--filename=../../artifacts/examples/tenant-roles.yaml")
	host("create", "rolebinding", "user", "--clusterrole=migrate-cluster-user", "--user=tenant")
	host("create", "--as=tenant", "--filename="+second)
	host("wait", "migrate/second", "--for=condition=Finished", "--timeout=60s")
}

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func credential(token string) string {
	return fmt.Sprintf(`{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": %q, "expirationTimestamp": %q}}`,
		strings.TrimSpace(token), time.Now().Add(30*time.Minute).UTC().Format(time.RFC3339))
}

// profileOf returns a ClusterProfile as a cluster manager publishes it.
func profileOf(n int, config *rest.Config, healthy string) string {
	return fmt.Sprintf(`apiVersion: multicluster.x-k8s.io/v1alpha1
kind: ClusterProfile
metadata: {name: member%d, namespace: default, labels: {multicluster.x-k8s.io/clusterset: prod, x-k8s.io/cluster-manager: test}}
spec: {displayName: member%d, clusterManager: {name: test}}
status:
  conditions: [{type: ControlPlaneHealthy, status: %q, reason: Test, message: of the test, lastTransitionTime: "2025-09-01T10:00:00Z"}]
  accessProviders:
  - {name: unknown, cluster: {server: "https://127.0.0.1:1"}}
  - {name: test, cluster: {server: %q, certificate-authority-data: %s}}
`, n, n, healthy, config.Host, base64.StdEncoding.EncodeToString(config.CAData))
}
