// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"errors"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// plugin runs kubectl migrate, and returns its output, its error output and its exit code.
func plugin(t *testing.T, args ...string) (output, errorOutput string, code int) {
	t.Helper()
	var out, errOut bytes.Buffer
	run := exec.CommandContext(t.Context(), fleet.KubectlPath(), append([]string{"migrate"}, args...)...)
	run.Env = append(fleet.KubectlEnvironment(host.kubeconfig), "LANG=C.UTF-8")
	run.Stdout, run.Stderr = &out, &errOut
	err := run.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errOut.String(), run.ProcessState.ExitCode()
}

// pluginPrints fails the test if kubectl migrate ends with another exit code, or what it prints does not match, in which every space
// stands for any white space.
func pluginPrints(t *testing.T, code int, pattern string, args ...string) string {
	t.Helper()
	output, errorOutput, got := plugin(t, args...)
	re := regexp.MustCompile(`(?s)` + strings.ReplaceAll(pattern, " ", `\s+`))
	if got != code || !re.MatchString(output+errorOutput) {
		t.Errorf("kubectl migrate %s: exit code %d, want %d and %q; it prints:\n%s%s", strings.Join(args, " "), got, code, pattern, output, errorOutput)
	}
	return output
}

// TestPlugin migrates by kubectl migrate alone: a migration that completes, one that does not, and one that is canceled.
func TestPlugin(t *testing.T) {
	needsFleet(t)
	ensureAbsent(t, "plugged")
	for _, name := range []string{"plugged", "plugged-again", "plugged-late"} {
		migration{metav1.NamespaceDefault, name}.delete(t)
	}
	members[source].apply(t, settings("plugged"))
	from := []string{"--from=kurator-member1", "--to=kurator-member2", "--include-namespaces=plugged"}
	with := func(command string, flags ...string) []string {
		return append(append(strings.Fields(command), from...), flags...)
	}

	t.Run("plan", func(t *testing.T) {
		pluginPrints(t, 0, `^Ready .*kurator-member1 v1\.\S+ .* default Available .*─ kurator-member2 .* default Available, Same .*ConfigMap 1 total 1`, with("plan")...)
		pluginPrints(t, 0, `^\{.*"verdict": "Ready"`, with("plan -o json")...)
		pluginPrints(t, 1, `--from nowhere: fleet quickstart has no such cluster; it has kurator-member1, kurator-member2`, "plan", "--from=nowhere")
		pluginPrints(t, 1, `there is no kind "pod" of clusters; the kinds are AttachedCluster, Cluster, ClusterProfile`, "plan", "--from=pod/nowhere")
		pluginPrints(t, 3, `^Blocked .*ClusterNotInFleet`, "plan", "--from=attachedcluster/kurator-member1", "--to=AttachedCluster/nowhere")
		file := manifestFile(t, manifest("plugged", only("plugged"), 2))
		pluginPrints(t, 0, `^Ready `, "plan", "-f", file)
		pluginPrints(t, 1, `can't be used together`, "plan", "-f", file, "--from=kurator-member1")
		pluginPrints(t, 1, `unknown field "spec.polizy"`, "plan", "-f", manifestFile(t, strings.Replace(manifest("plugged", only("plugged"), 2), "policy:", "polizy:", 1)))
	})
	t.Run("create", func(t *testing.T) {
		var m v1alpha1.Migrate
		dry := pluginPrints(t, 0, ``, with("create plugged --dry-run=client -o yaml", "-l", "app in (web,db)", "--map-namespace=plugged=renamed", "--volumes=None", "--wait-for-workloads=90s")...)
		if err := yaml.UnmarshalStrict([]byte(dry), &m); err != nil {
			t.Fatalf("%v:\n%s", err, dry)
		}
		if p := m.Spec.Policy; m.APIVersion != "backup.kurator.dev/v1alpha1" || m.Kind != "Migrate" || m.Spec.SourceCluster.Fleet != "quickstart" ||
			m.Spec.SourceCluster.Clusters[0].Kind != "AttachedCluster" || m.Spec.TargetCluster.Clusters[0].Name != "kurator-member2" ||
			p.NamespaceMapping["plugged"] != "renamed" || p.Volumes.Data != "None" || p.ResourceFilter.LabelSelector.MatchExpressions[0].Key != "app" ||
			m.Spec.WaitForWorkloads.TimeoutSeconds != 90 {
			t.Errorf("the manifest is\n%s", dry)
		}
		pluginPrints(t, 0, `migrate.backup.kurator.dev/plugged created \(server dry run\)`, with("create plugged --dry-run=server")...)
		pluginPrints(t, 1, `Unsupported value: "Copy": supported values: "FileSystemBackup", "SnapshotDataMovement", "None"`, with("create plugged --volumes=Copy")...)
		pluginPrints(t, 0, `migrate.backup.kurator.dev/plugged created \S+Z default/plugged Pending .*kurator-member1 BackupInProgress .*kurator-member2 Completed 100% 1/1 RestoreCompleted: .*default/plugged Completed`,
			with("create plugged --wait --timeout=2m")...)
		pluginPrints(t, 1, `already exists`, with("create plugged")...)
	})
	t.Run("read", func(t *testing.T) {
		pluginPrints(t, 0, `^default/plugged Completed took .* kurator-member1 Completed █+ 100% 1/1 .*└─ kurator-member2 Completed █+ 100% 1/1 .* RestoreCompleted: Restore`, "status", "plugged")
		pluginPrints(t, 0, `"phase": "Completed"`, "status", "plugged", "-o", "json")
		pluginPrints(t, 0, `Completed`, "status", "plugged", "--watch")
		pluginPrints(t, 0, `^default/plugged Completed took .*RestoreCompleted`, "wait", "plugged")
		pluginPrints(t, 0, `NAME PHASE SOURCE TARGETS ITEMS AGE .*plugged Completed kurator-member1 1/1 1/1`, "list")
		pluginPrints(t, 0, `NAMESPACE NAME PHASE .* MESSAGE .*default plugged Completed `, "list", "-A", "-o", "wide")
		pluginPrints(t, 0, `migrate.backup.kurator.dev/plugged`, "list", "-o", "name")
		pluginPrints(t, 0, `No resources found in kube-public namespace`, "list", "-n", "kube-public")
		pluginPrints(t, 0, `^kurator-member1 backup .* 1 of 1 items are in the Backup. kurator-member2 restore .* 1 of 1 items arrived. $`, "results", "plugged")
		pluginPrints(t, 0, `Created 1 ConfigMap plugged/settings`, "results", "plugged", "kurator-member2", "--outcome=Created")
		pluginPrints(t, 1, `outcome is "Lost"; it must be one of`, "results", "plugged", "--outcome=Lost")
		pluginPrints(t, 0, `Backed up a total of`, "log", "plugged")
		pluginPrints(t, 0, `restore completed`, "log", "plugged", "kurator-member2")
		pluginPrints(t, 1, `migrates.backup.kurator.dev "nowhere" not found`, "status", "nowhere")
	})
	t.Run("complete", func(t *testing.T) {
		pluginPrints(t, 0, `plugged`, "__complete", "status", "")
		pluginPrints(t, 0, `kurator-member1 kurator-member2 `, "__complete", "log", "plugged", "")
		pluginPrints(t, 0, `quickstart`, "__complete", "plan", "--fleet", "")
		pluginPrints(t, 0, `kurator-member1 kurator-member2`, "__complete", "plan", "--from", "")
		pluginPrints(t, 0, `^kurator-member2`, "__complete", "plan", "--from", "kurator-member1", "--to", "")
		pluginPrints(t, 0, `FileSystemBackup SnapshotDataMovement None`, "__complete", "plan", "--volumes", "")
		pluginPrints(t, 0, `kube-system`, "__complete", "status", "-n", "")
	})
	t.Run("not everything arrives", func(t *testing.T) {
		members[2].kubectl(t, "patch", "configmap", "settings", "--namespace=plugged", "--type=merge", `--patch={"data":{"color":"changed"}}`)
		pluginPrints(t, 2, `^ReadyWithWarnings .*Warning ExistingItemsKept kurator-member2 .* has 1 of the items: 0 the same, 1 different`, with("plan")...)
		pluginPrints(t, 2, `kurator-member2 PartiallyFailed .*ExistingItemsKept`, with("create plugged-again --wait")...)
		pluginPrints(t, 0, `0 of 1 items arrived. Kept 1 ConfigMap plugged/settings`, "results", "plugged-again")
		pluginPrints(t, 2, `Kept ConfigMap plugged/settings: `, "wait", "plugged-again")
		members[2].kubectl(t, "delete", "configmap", "settings", "--namespace=plugged")
		pluginPrints(t, 0, `migrate "plugged-again" .*default/plugged-again Completed`, "retry", "plugged-again", "--wait")
		pluginPrints(t, 1, `it has ended Completed`, "cancel", "plugged-again")
	})
	t.Run("cancel", func(t *testing.T) {
		resumeVelero := pauseVelero(t, source)
		pluginPrints(t, 5, `migrate plugged-late has not ended, and goes on. To see it: kubectl migrate status plugged-late --namespace=default --watch`,
			with("create plugged-late --wait --timeout=1s")...)
		pluginPrints(t, 0, `migrate "plugged-late" is canceled: .*\(dry run\)`, "cancel", "plugged-late", "--dry-run")
		pluginPrints(t, 0, `migrate "plugged-late" is canceled: `, "cancel", "plugged-late")
		resumeVelero()
		pluginPrints(t, 4, `default/plugged-late Canceled`, "status", "plugged-late", "--watch")
	})
	t.Run("permissions", func(t *testing.T) {
		pluginPrints(t, 1, `User "nobody" cannot list resource "migrates"`, "list", "--as=nobody")
		pluginPrints(t, 1, `User "nobody" cannot list resource "fleets"`, "plan", "--as=nobody")
	})
}
