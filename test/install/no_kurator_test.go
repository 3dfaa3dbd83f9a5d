// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"kurator.dev/migrate-apiserver/test/localfleet"
)

// serverAt matches the address of the API server in a kubeconfig.
var serverAt = regexp.MustCompile(`server: \S+`)

// TestWithoutKurator runs the script on a host that has neither Kurator's kinds nor anybody who writes a status. A cluster that
// does not answer is not ready, and what the kinds don't allow is refused.
func TestWithoutKurator(t *testing.T) {
	fleet := localfleet.UpForTest(t, localfleet.Options{Members: 2, WithoutKurator: true, IssuesCertificate: true, ServerFlags: []string{"--cluster-readiness=probe"}})
	if _, err := fleet.Kubectl(t.Context(), fleet.MemberKubeconfig(1), "apply", "--filename=../localfleet/cmd/localfleet/app.yaml"); err != nil {
		t.Fatal(err)
	}
	script := exec.CommandContext(t.Context(), "./no-kurator.sh", fleet.MemberKubeconfig(1), fleet.MemberKubeconfig(2))
	script.Env = append(os.Environ(), "KUBECONFIG="+fleet.HostKubeconfig(), "PATH="+fleet.BinDir()+string(os.PathListSeparator)+os.Getenv("PATH"))
	output, err := script.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	for _, want := range []string{
		"migrate.backup.kurator.dev/select-labels condition met", "fleet.fleet.kurator.dev/quickstart ",
		"attachedcluster.cluster.kurator.dev/kurator-member2   kurator-member2", "Completed",
	} {
		if !strings.Contains(string(output), want) {
			t.Errorf("the script does not print %q:\n%s", want, output)
		}
	}

	checkDoctor(t, fleet, 0, nil)
	checkCertificate(t, fleet)

	apply := func(manifest string) error {
		file := filepath.Join(t.TempDir(), "manifest.yaml")
		if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := fleet.Kubectl(t.Context(), fleet.HostKubeconfig(), "apply", "--filename="+file)
		return err
	}
	const attached = `{apiVersion: cluster.kurator.dev/v1alpha1, kind: AttachedCluster, metadata: {name: %s, namespace: default}, spec: {kubeconfig: {%s}}}`
	const grouped = `{apiVersion: fleet.kurator.dev/v1alpha1, kind: Fleet, metadata: {name: other, namespace: default}, spec: {clusters: [{%s}]}}`
	for manifest, want := range map[string]string{
		fmt.Sprintf(attached, "other", "key: value"):                                     "spec.kubeconfig.name: Required value",
		fmt.Sprintf(attached, "other", "name: ''"):                                       "spec.kubeconfig.name",
		fmt.Sprintf(grouped, "kind: Machine, name: other"):                               "spec.clusters[0].kind: Unsupported value",
		fmt.Sprintf(grouped, "kind: AttachedCluster"):                                    "spec.clusters[0].name: Required value",
		"{apiVersion: fleet.kurator.dev/v1alpha1, kind: Fleet, metadata: {name: other}}": "spec: Required value",
	} {
		if err := apply(manifest); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", manifest, err, want)
		}
	}

	// The required permissions suffice, and Kurator's own definitions can replace ours.
	for n := 1; n <= 2; n++ {
		if _, err := fleet.Kubectl(t.Context(), fleet.MemberKubeconfig(n), "delete", "--filename=../../artifacts/member/20-recommended.yaml", "--filename=../../artifacts/member/30-read-everything.yaml"); err != nil {
			t.Fatal(err)
		}
	}
	host := func(args ...string) {
		t.Helper()
		if _, err := fleet.Kubectl(t.Context(), fleet.HostKubeconfig(), args...); err != nil {
			t.Fatal(err)
		}
	}
	host("apply", "--filename=../localfleet/crds")
	if _, err := fleet.Kubectl(t.Context(), fleet.MemberKubeconfig(2), "delete", "namespace", "busybox"); err != nil {
		t.Fatal(err)
	}
	host("delete", "migrate", "select-labels")
	host("apply", "--filename=../../artifacts/examples/migrate-select-labels.yaml")
	host("wait", "migrate/select-labels", "--for=condition=Ready", "--timeout=60s")

	// Nothing answers at this address.
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	content, err := os.ReadFile(fleet.MemberKubeconfig(2))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(kubeconfig, []byte(serverAt.ReplaceAllString(string(content), "server: https://127.0.0.1:1")), 0o600); err != nil {
		t.Fatal(err)
	}
	host("create", "secret", "generic", "silent", "--from-file=value="+kubeconfig)
	host("patch", "fleet", "quickstart", "--type=json", `--patch=[{"op": "add", "path": "/spec/clusters/-", "value": {"kind": "AttachedCluster", "name": "silent"}}]`)
	if err := apply(fmt.Sprintf(attached, "silent", "name: silent")); err != nil {
		t.Fatal(err)
	}
	migrate, err := os.ReadFile("../../artifacts/examples/migrate-select-labels.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := apply(strings.NewReplacer("name: select-labels", "name: to-silent", "name: kurator-member2", "name: silent").Replace(string(migrate))); err != nil {
		t.Fatal(err)
	}
	host("wait", "migrate/to-silent", "--for=jsonpath={.status.targetClusterStatus[0].reason}=MemberUnreachable", "--timeout=60s")

	// What is broken is found, each with what to do.
	if _, err := fleet.Kubectl(t.Context(), fleet.MemberKubeconfig(1), "delete", "backupstoragelocation", "--all", "--namespace=velero"); err != nil {
		t.Fatal(err)
	}
	checkDoctor(t, fleet, 2, map[string]string{
		"Clusters/AttachedCluster default/silent":          "MemberUnreachable: ",
		"Clusters/AttachedCluster default/kurator-member1": "StorageNotConfigured: ",
	})
	host("delete", "clusterrolebinding", "migrate-apiserver:tenants")
	host("delete", "apiservice", "v1alpha1.backup.kurator.dev")
	checkDoctor(t, fleet, 2, map[string]string{
		"APIService/v1alpha1.backup.kurator.dev": "it does not exist, so no request reaches the server: apply the manifests",
		"Permissions/namespace default":          "may not get, list, watch fleets.fleet.kurator.dev; get, list, watch attachedclusters",
	})
}

// checkDoctor runs migrate-apiserver doctor, and checks its exit code and what has failed.
func checkDoctor(t *testing.T, fleet *localfleet.Fleet, exit int, failed map[string]string) {
	t.Helper()
	began := time.Now()
	program := exec.CommandContext(t.Context(), localfleet.ServerProgram(fleet.BinDir()), "doctor", "--kubeconfig="+fleet.HostKubeconfig(), "--output=json")
	output, err := program.Output()
	if status := new(exec.ExitError); err != nil && !errors.As(err, &status) {
		t.Fatal(err)
	}
	t.Logf("migrate-apiserver doctor, in %s:\n%s", time.Since(began), output)
	if code := program.ProcessState.ExitCode(); code != exit {
		t.Errorf("exit code %d, want %d", code, exit)
	}
	var findings []struct{ Check, Object, Result, Message string }
	if err := json.Unmarshal(output, &findings); err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		key := f.Check + "/" + f.Object
		want, expected := failed[key]
		if (f.Result == "Failed") != expected || expected && !strings.Contains(f.Message, want) {
			t.Errorf("%s: %s: %s, want failure %q", key, f.Result, f.Message, want)
		}
		delete(failed, key)
	}
	for key := range failed {
		t.Errorf("%s is not reported", key)
	}
}
