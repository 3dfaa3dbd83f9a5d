// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"kurator.dev/migrate-apiserver/test/localfleet"
)

// TestPods installs the server from its image on a node of the host by the manifests, migrates, upgrades it by a rolling restart,
// removes it, and installs the chart, on an external etcd. What the local fleet changes is the network: pods have that of the node,
// and the host reaches them by a forwarded port.
func TestPods(t *testing.T) {
	image, archive := localfleet.NeedsImage(t)
	fleet := localfleet.UpForTest(t, localfleet.Options{Members: 2, WithoutKurator: true, HostImages: []string{archive}})
	p := &pods{t: t, fleet: fleet}
	if _, err := fleet.Kubectl(t.Context(), fleet.MemberKubeconfig(1), "apply", "--filename=../localfleet/cmd/localfleet/app.yaml"); err != nil {
		t.Fatal(err)
	}

	manifests := p.manifests(image)
	// A warning is an error: the pods satisfy PodSecurity restricted.
	p.kubectl("apply", "--server-side", "--warnings-as-errors", "--kustomize", manifests)
	p.ready("statefulset")
	p.script("./no-kurator.sh", fleet.MemberKubeconfig(1), fleet.MemberKubeconfig(2))
	checkDoctor(t, fleet, 0, nil)

	snapshot := p.kubectl("exec", "--namespace=migrate-system", "migrate-apiserver-0", "--", "/migrate-apiserver", "etcd", "snapshot", "-")
	if len(snapshot) < 16<<10 {
		t.Errorf("the snapshot has %d bytes", len(snapshot))
	}

	uid := p.kubectl("get", "pod", "--namespace=migrate-system", "migrate-apiserver-0", "--output=jsonpath={.metadata.uid}")
	p.kubectl("rollout", "restart", "--namespace=migrate-system", "statefulset/migrate-apiserver")
	p.ready("statefulset")
	if now := p.kubectl("get", "pod", "--namespace=migrate-system", "migrate-apiserver-0", "--output=jsonpath={.metadata.uid}"); now == uid {
		t.Error("the pod was not replaced")
	}
	if phase := p.kubectl("get", "migrate", "select-labels", "--output=jsonpath={.status.phase}"); phase != "Completed" {
		t.Errorf("phase %q after the restart", phase)
	}

	p.kubectl("delete", "--kustomize", manifests, "--timeout=60s")
	if _, err := fleet.Kubectl(t.Context(), fleet.MemberKubeconfig(2), "delete", "namespace", "busybox"); err != nil {
		t.Fatal(err)
	}
	const all = "namespaces,apiservices,priorityclasses,clusterroles,clusterrolebindings,roles,rolebindings,customresourcedefinitions"
	if left := p.kubectl("get", all, "--all-namespaces", "--selector=app.kubernetes.io/name=migrate-apiserver", "--output=name"); left != "" {
		t.Errorf("left after the removal:\n%s", left)
	}

	etcd := filepath.Join(fleet.Dir(), "pki", "etcd")
	p.kubectl("create", "namespace", "migrate-system")
	p.kubectl("create", "secret", "generic", "migrate-apiserver-etcd", "--namespace=migrate-system", "--from-file=ca.crt="+filepath.Join(etcd, "ca.crt"),
		"--from-file=tls.crt="+filepath.Join(etcd, "client.crt"), "--from-file=tls.key="+filepath.Join(etcd, "client.key"))
	name, tag, _ := strings.Cut(image, ":")
	p.helm("install", "migrate", "../../artifacts/chart", "--namespace=migrate-system", "--set=image.repository="+name+",image.tag="+tag+
		",namespaces={default},kurator.enabled=false,replicas=1,extraArgs={--member-allow-local-addresses},etcd.servers={"+fleet.EtcdURL()+"}")
	p.kubectl("patch", "service", "migrate-apiserver", "--namespace=migrate-system", "--type=json", "--patch="+externalName)
	p.kubectl("patch", "apiservice", "v1alpha1.backup.kurator.dev", "--type=json", "--patch="+p.forwarded())
	p.ready("deployment")
	p.script("./no-kurator.sh", fleet.MemberKubeconfig(1), fleet.MemberKubeconfig(2))
	p.helm("uninstall", "migrate", "--namespace=migrate-system", "--wait")
	const kept = "customresourcedefinition.apiextensions.k8s.io/attachedclusters.cluster.kurator.dev\ncustomresourcedefinition.apiextensions.k8s.io/fleets.fleet.kurator.dev\n"
	if left := p.kubectl("get", all, "--all-namespaces", "--selector=app.kubernetes.io/name=migrate-apiserver", "--output=name"); left != kept {
		t.Errorf("left after helm uninstall:\n%s", left)
	}
}

// externalName is a patch of the Service by which the host reaches the port that the fleet forwards.
const externalName = `[{"op": "replace", "path": "/spec", "value": {"type": "ExternalName", "externalName": "localhost"}}]`

type pods struct {
	t     *testing.T
	fleet *localfleet.Fleet
}

// manifests returns the directory of a kustomization of an installation, with the changes for the network of the fleet.
func (p *pods) manifests(image string) string {
	p.t.Helper()
	dir := p.t.TempDir()
	if err := localfleet.WriteManifests(p.t.Context(), filepath.Join(dir, "deploy"), "--image="+image, "--namespaces=default", "--kurator=false",
		"--flags=--member-allow-local-addresses"); err != nil {
		p.t.Fatal(err)
	}
	overlay := map[string]any{"resources": []string{"deploy"}, "patches": []any{
		map[string]any{"target": map[string]any{"kind": "Service"}, "patch": externalName},
		map[string]any{"target": map[string]any{"kind": "APIService"}, "patch": p.forwarded()},
		map[string]any{"target": map[string]any{"kind": "Namespace"}, "patch": `[
			{"op": "replace", "path": "/metadata/labels/pod-security.kubernetes.io~1enforce", "value": "privileged"},
			{"op": "add", "path": "/metadata/labels/pod-security.kubernetes.io~1warn", "value": "restricted"}]`},
	}}
	content, err := json.Marshal(overlay)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), content, 0o600); err != nil {
		p.t.Fatal(err)
	}
	return dir
}

// forwarded returns a patch of the APIService, with the port that the fleet forwards to the pod.
func (p *pods) forwarded() string {
	return fmt.Sprintf(`[{"op": "replace", "path": "/spec/service/port", "value": %d}]`, p.fleet.PodPort())
}

// ready waits until the pods of the server run, and the host serves its API.
func (p *pods) ready(kind string) {
	p.t.Helper()
	p.kubectl("rollout", "status", "--namespace=migrate-system", kind+"/migrate-apiserver", "--timeout=90s")
	p.kubectl("wait", "apiservice/v1alpha1.backup.kurator.dev", "--for=condition=Available", "--timeout=60s")
	// The discovery of the host may still be that of the time without a pod.
	var last error
	if err := wait.PollUntilContextTimeout(p.t.Context(), time.Second, 90*time.Second, true, func(ctx context.Context) (bool, error) {
		_, last = p.fleet.Kubectl(ctx, p.fleet.HostKubeconfig(), "get", "migrates")
		return last == nil, nil
	}); err != nil {
		p.t.Fatalf("the host does not serve Migrates: %v", last)
	}
}

func (p *pods) kubectl(args ...string) string {
	p.t.Helper()
	output, err := p.fleet.Kubectl(p.t.Context(), p.fleet.HostKubeconfig(), args...)
	if err != nil {
		p.t.Fatal(err)
	}
	return output
}

func (p *pods) helm(args ...string) {
	p.t.Helper()
	p.script(filepath.Join(p.fleet.BinDir(), "helm"), args...)
}

// script runs a program that calls kubectl for the host.
func (p *pods) script(program string, args ...string) {
	p.t.Helper()
	command := exec.CommandContext(p.t.Context(), program, args...)
	command.Env = append(os.Environ(), "KUBECONFIG="+p.fleet.HostKubeconfig(), "PATH="+p.fleet.BinDir()+string(os.PathListSeparator)+os.Getenv("PATH"),
		"HELM_CONFIG_HOME="+p.fleet.Dir(), "HELM_CACHE_HOME="+p.fleet.Dir(), "HELM_DATA_HOME="+p.fleet.Dir())
	if output, err := command.CombinedOutput(); err != nil {
		p.t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, output)
	}
}
