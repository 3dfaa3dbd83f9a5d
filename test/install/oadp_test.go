// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"kurator.dev/migrate-apiserver/test/localfleet"
)

// TestOADP migrates between two clusters whose Veleros are in the namespace of OADP, with the permissions of artifacts/member
// there. Without the annotation the status asks for it.
func TestOADP(t *testing.T) {
	const namespace, annotation = "openshift-adp", "backup.kurator.dev/velero-namespace"
	fleet := localfleet.UpForTest(t, localfleet.Options{Members: 2, VeleroNamespaces: []string{namespace}})
	run := func(kubeconfig string, args ...string) string {
		t.Helper()
		output, err := fleet.Kubectl(t.Context(), kubeconfig, args...)
		if err != nil {
			t.Fatal(err)
		}
		return output
	}
	host := func(args ...string) string { t.Helper(); return run(fleet.HostKubeconfig(), args...) }
	for n := 1; n <= 2; n++ {
		host("annotate", "attachedcluster", localfleet.MemberName(n), annotation+"-")
		attach := exec.CommandContext(t.Context(), "../../hack/attach-member.sh", localfleet.MemberName(n), fleet.MemberKubeconfig(n))
		attach.Env = append(os.Environ(), "VELERO_NAMESPACE="+namespace, "KUBECONFIG="+fleet.HostKubeconfig(),
			"PATH="+fleet.BinDir()+string(os.PathListSeparator)+os.Getenv("PATH"))
		output, err := attach.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
		if want := "Its AttachedCluster needs the annotation backup.kurator.dev/velero-namespace=openshift-adp\n"; !strings.HasSuffix(string(output), want) {
			t.Errorf("attach-member.sh does not print %q:\n%s", want, output)
		}
	}
	run(fleet.MemberKubeconfig(1), "apply", "--filename=../localfleet/cmd/localfleet/app.yaml")
	host("apply", "--filename=../../artifacts/examples/migrate-select-labels.yaml")
	host("wait", "migrate/select-labels", "--for=jsonpath={.status.sourceClusterStatus.reason}=MemberUnreachable", "--timeout=90s")
	message := host("get", "migrate/select-labels", "--output=jsonpath={.status.sourceClusterStatus.message}")
	for _, want := range []string{`in the namespace "velero"`, "name its namespace in the annotation " + annotation + " of the cluster's object on the host"} {
		if !strings.Contains(message, want) {
			t.Errorf("without the annotation the message is %q, want %q in it", message, want)
		}
	}

	host("annotate", "attachedcluster", "--all", annotation+"="+namespace)
	host("wait", "migrate/select-labels", "--for=condition=Ready", "--timeout=90s")
	if got := host("get", "migrate/select-labels", "--output=jsonpath={.status.sourceClusterStatus.veleroNamespace} {.status.targetClusterStatus[0].veleroNamespace}"); got != "openshift-adp openshift-adp" {
		t.Errorf("the namespaces of the Veleros are %q", got)
	}
	if got := run(fleet.MemberKubeconfig(2), "get", "restores.velero.io", "--namespace="+namespace, "--output=jsonpath={.items[*].status.phase}"); got != "Completed" {
		t.Errorf("the Restores in the target are %q", got)
	}
	checkDoctor(t, fleet, 0, nil)
}
