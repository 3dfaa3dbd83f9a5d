// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package nodes

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/test/localfleet"
)

// every selects every nth fault.
var every = flag.Int("faults.every", 1, "inject every nth fault only")

// TestFaults migrates a volume while something hinders its data, or breaks in the middle.
func TestFaults(t *testing.T) {
	localfleet.NeedsNodes(t)
	manifest, err := os.ReadFile("../localfleet/cmd/shop/shop.yaml")
	if err != nil {
		t.Fatal(err)
	}
	kubectl(t, source, "delete", "namespace", "shop", "--ignore-not-found")
	kubectl(t, source, "apply", "--filename="+file(t, strings.Replace(string(manifest), "--fill=20971520", "--fill=600000000", 1)))
	before := served(t, source)
	wantSame := func(t *testing.T) {
		t.Helper()
		if after := served(t, target); after != before {
			t.Errorf("the application serves %q in the source and %q in the target", before, after)
		}
	}
	nodeName := localfleet.MemberName(target) + "-node"
	next := 0
	inject := func(name string, test func(*testing.T)) {
		if next%*every == 0 {
			t.Run(name, test)
		}
		next++
	}

	inject("pod is not scheduled", func(t *testing.T) {
		kubectl(t, target, "cordon", nodeName)
		defer kubectl(t, target, "uncordon", nodeName)
		migrateShop(t, `{}`)
		awaitMessage(t, "VolumeDataNotMoving", "PodVolumeRestore ", "Pod shop/shop-0: Unschedulable: 0/1 nodes are available")
		kubectl(t, target, "uncordon", nodeName)
		awaitShop(t, v1alpha1.MigratePhaseCompleted)
		wantSame(t)
	})
	inject("image of the restore helper is not pulled", func(t *testing.T) {
		configMap := file(t, `
apiVersion: v1
kind: ConfigMap
metadata:
  name: restore-helper
  namespace: velero
  labels: {velero.io/plugin-config: "", velero.io/pod-volume-restore: RestoreItemAction}
data: {image: "localhost/absent:1"}
`)
		kubectl(t, target, "apply", "--filename="+configMap)
		defer kubectl(t, target, "delete", "--filename="+configMap)
		migrateShop(t, `{}`)
		awaitMessage(t, "VolumeDataNotMoving", "PodVolumeRestore ", "Pod shop/shop-0: container restore-wait: ", "localhost/absent:1")
		cancelRestore(t)
		m := awaitShop(t, v1alpha1.MigratePhasePartiallyFailed)
		wantMessage(t, m.Status.TargetClusterStatus[0].ClusterStatus, "RestorePartiallyFailed",
			"Without data: PersistentVolumeClaim shop/data-shop-0 (its data is in the Backup and was not written: PodVolumeRestore ", " is Canceled")
	})
	inject("node-agent is killed during the backup", func(t *testing.T) {
		migrateShop(t, `{}`)
		awaitBackupOfVolume(t)
		kubectl(t, source, "delete", "pods", "--namespace=velero", "--selector=name=node-agent", "--force", "--grace-period=0")
		awaitShop(t, v1alpha1.MigratePhaseCompleted) // the pod that moves the data goes on
		wantSame(t)
	})
	inject("bucket is gone during the backup", func(t *testing.T) {
		migrateShop(t, `{}`)
		awaitBackupOfVolume(t)
		storage := process(t, "storage")
		if err := storage.Kill(t.Context()); err != nil {
			t.Fatal(err)
		}
		pvb := kubectl(t, source, "get", "podvolumebackups", "--namespace=velero", "--selector="+ofBackup(t), "--output=name")
		kubectl(t, source, "wait", strings.TrimSpace(pvb), "--namespace=velero", "--for=jsonpath={.status.phase}=Failed", "--timeout=5m")
		if err := storage.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		m := awaitShop(t, v1alpha1.MigratePhaseFailed)
		wantMessage(t, m.Status.SourceClusterStatus.ClusterStatus, "BackupPartiallyFailed", "pod volume backup failed", "so nothing is restored")
	})
	inject("node is killed during the restore", func(t *testing.T) {
		migrateShop(t, `{"progressDeadlineSeconds": 30}`)
		selector := "--selector=velero.io/restore-name=" + restoreName(t)
		awaitMoving(t, target, "podvolumerestores", selector)
		node := process(t, nodeName)
		if err := node.Kill(t.Context()); err != nil {
			t.Fatal(err)
		}
		awaitMessage(t, "VolumeDataNotMoving", "PodVolumeRestore ", "node "+nodeName+" is not ready")
		if err := node.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		// Velero waits for ever.
		awaitMessage(t, "VolumeDataNotMoving", "PodVolumeRestore ", "that moves the data has failed")
		kubectl(t, 0, "wait", "migrate/shop", "--for=condition=Stalled", "--timeout=5m")
		cancelRestore(t)
		m := awaitShop(t, v1alpha1.MigratePhasePartiallyFailed)
		wantMessage(t, m.Status.TargetClusterStatus[0].ClusterStatus, "RestorePartiallyFailed", "was not written: PodVolumeRestore ")
	})
}

// migrateShop migrates the namespace shop by a file-system backup, with a merge patch of the spec.
func migrateShop(t *testing.T, spec string) {
	t.Helper()
	kubectl(t, 0, "delete", "migrate", "shop", "--ignore-not-found")
	kubectl(t, target, "delete", "namespace", "shop", "--ignore-not-found")
	create(t, kubectl(t, 0, "patch", "--local", "--filename=../../artifacts/examples/migrate-stateful.yaml", "--type=merge",
		`--patch={"spec": `+spec+`}`, "--output=yaml"))
	kubectl(t, 0, "wait", "migrate/shop", "--for=jsonpath={.status.sourceClusterStatus.backupNameInCluster}", "--timeout=5m")
}

// shop returns the Migrate.
func shop(t *testing.T) *v1alpha1.Migrate {
	t.Helper()
	var m v1alpha1.Migrate
	if err := json.Unmarshal([]byte(kubectl(t, 0, "get", "migrate", "shop", "--output=json")), &m); err != nil {
		t.Fatal(err)
	}
	return &m
}

// awaitShop waits until the Migrate has ended in a phase.
func awaitShop(t *testing.T, end v1alpha1.MigratePhase) *v1alpha1.Migrate {
	t.Helper()
	kubectl(t, 0, "wait", "migrate/shop", "--for=condition=Finished", "--timeout=5m")
	m := shop(t)
	if m.Status.Phase != end {
		t.Fatalf("the Migrate ended %s, want %s: %s", m.Status.Phase, end, kubectl(t, 0, "describe", "migrate", "shop"))
	}
	return m
}

// awaitMessage waits for a reason of the target, and for parts of its message.
func awaitMessage(t *testing.T, reason string, words ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var last v1alpha1.ClusterStatus
	if err := wait.PollUntilContextCancel(ctx, time.Second, true, func(context.Context) (bool, error) {
		if targets := shop(t).Status.TargetClusterStatus; len(targets) > 0 {
			last = targets[0].ClusterStatus
		}
		return last.Reason == reason && hasAll(last.Message, words), nil
	}); err != nil {
		t.Fatalf("the target is %s (%s), want %s (%q)", last.Reason, last.Message, reason, words)
	}
}

// wantMessage checks the reason of a cluster, and parts of its message.
func wantMessage(t *testing.T, cs v1alpha1.ClusterStatus, reason string, words ...string) {
	t.Helper()
	if cs.Reason != reason || !hasAll(cs.Message, words) {
		t.Errorf("%s is %s (%s), want %s (%q)", cs.ClusterName, cs.Reason, cs.Message, reason, words)
	}
}

func hasAll(s string, words []string) bool {
	return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(s, word) })
}

// ofBackup returns the selector of what belongs to the Backup.
func ofBackup(t *testing.T) string {
	t.Helper()
	return "velero.io/backup-name=" + shop(t).Status.SourceClusterStatus.BackupNameInCluster
}

// awaitBackupOfVolume waits until the data of the volume moves in the source.
func awaitBackupOfVolume(t *testing.T) {
	t.Helper()
	awaitMoving(t, source, "podvolumebackups", "--selector="+ofBackup(t))
}

// awaitMoving waits until the data of a volume moves in the nth member.
func awaitMoving(t *testing.T, n int, resource, selector string) {
	t.Helper()
	kubectl(t, n, "wait", resource, "--namespace=velero", selector, "--for=create", "--timeout=5m")
	kubectl(t, n, "wait", resource, "--namespace=velero", selector, "--for=jsonpath={.status.phase}=InProgress", "--timeout=5m")
}

// restoreName waits until the Restore in the target exists and returns its name.
func restoreName(t *testing.T) string {
	t.Helper()
	kubectl(t, 0, "wait", "migrate/shop", "--for=jsonpath={.status.phase}=RestoreInProgress", "--timeout=5m")
	// The name is recorded with the next step of the target.
	const name = "jsonpath={.status.targetClusterStatus[0].restoreNameInCluster}"
	kubectl(t, 0, "wait", "migrate/shop", "--for="+name, "--timeout=5m")
	return kubectl(t, 0, "get", "migrate", "shop", "--output="+name)
}

// cancelRestore ends the PodVolumeRestore of the target, as an administrator does.
func cancelRestore(t *testing.T) {
	t.Helper()
	pvr := kubectl(t, target, "get", "podvolumerestores", "--namespace=velero", "--selector=velero.io/restore-name="+restoreName(t), "--output=name")
	kubectl(t, target, "patch", strings.TrimSpace(pvr), "--namespace=velero", "--type=merge", `--patch={"spec": {"cancel": true}}`)
}

func process(t *testing.T, name string) *localfleet.Process {
	t.Helper()
	p, err := fleet.Process(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
