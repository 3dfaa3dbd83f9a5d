// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package nodes

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/test/localfleet"
)

// other is a second target.
const other = 3

// TestVolumes migrates the pods of volumes.yaml again and again: with the annotations of the pods alone,
// with a volume that is opted out and one whose pod does not run, with everything, to two targets, and
// to a target that has everything already.
func TestVolumes(t *testing.T) {
	localfleet.NeedsNodes(t)
	kubectl(t, source, "apply", "--filename=volumes.yaml")
	kubectl(t, source, "wait", "--namespace=volumes", "--for=condition=Ready", "pod/one", "pod/two", "--timeout=5m")
	kubectl(t, source, "rollout", "status", "deployment/quiet", "--namespace=volumes", "--timeout=5m")
	kubectl(t, source, "scale", "deployment/quiet", "--namespace=volumes", "--replicas=0")
	kubectl(t, source, "wait", "pods", "--namespace=volumes", "--selector=app=quiet", "--for=delete", "--timeout=5m")
	one, two := get(t, source, "one", 8091), get(t, source, "two", 8092)

	t.Run("annotated volumes only", func(t *testing.T) {
		m := migrateVolumes(t, v1alpha1.MigratePhasePartiallyFailed, `{"policy": {"volumes": null}, "waitForWorkloads": {"timeoutSeconds": 10}}`, target)
		wantVolumes(t, m, 4, 2, "PersistentVolumeClaim odd", "PersistentVolumeClaim quiet")
		wantReason(t, m, "VolumesWithoutData")
		wantCondition(t, m, "VolumesMoved", "VolumesWithoutData")
		wantCondition(t, m, "WorkloadsReady", "AllWorkloadsReady") // pod two has an empty volume
		if got := get(t, target, "one", 8091); got != one {
			t.Errorf("pod one serves %q in the source and %q in the target", one, got)
		}
	})
	t.Run("opted out and not running", func(t *testing.T) {
		kubectl(t, source, "annotate", "pod/two", "--namespace=volumes", "backup.velero.io/backup-volumes-excludes=odd")
		defer kubectl(t, source, "annotate", "pod/two", "--namespace=volumes", "backup.velero.io/backup-volumes-excludes-")
		m := migrateVolumes(t, v1alpha1.MigratePhasePartiallyFailed, `{}`, target)
		wantVolumes(t, m, 4, 2, "PersistentVolumeClaim odd", "PersistentVolumeClaim quiet")
		wantReason(t, m, "VolumesWithoutData")
		const told = "It will not have the data of 1 claim, which no running pod of the Backup uses: volumes/quiet."
		if events := kubectl(t, 0, "events", "--for=migrate/volumes"); !strings.Contains(events, told) {
			t.Errorf("no Event tells of the claim before the Backup:\n%s", events)
		}
		source := m.Status.SourceClusterStatus
		if i := slices.IndexFunc(source.Exceptions, func(x v1alpha1.ItemResult) bool { return x.Name == "odd" }); i < 0 ||
			!strings.Contains(source.Exceptions[i].Message, "opted out due to annotation in pod two") {
			t.Errorf("the exceptions of the source are %+v", source.Exceptions)
		}
	})
	kubectl(t, source, "scale", "deployment/quiet", "--namespace=volumes", "--replicas=1")
	kubectl(t, source, "rollout", "status", "deployment/quiet", "--namespace=volumes", "--timeout=5m")
	t.Run("all to two targets", func(t *testing.T) {
		for _, n := range []int{target, other} {
			copied := kubectl(t, n, "get", "storageclass", "local", "--output=json")
			kubectl(t, n, "apply", "--filename="+file(t, strings.Replace(copied, `"name": "local"`, `"name": "fast"`, 1)))
		}
		m := migrateVolumes(t, v1alpha1.MigratePhaseCompleted,
			`{"waitForWorkloads": {"timeoutSeconds": 120}, "policy": {"volumes": {"storageClassMapping": {"local": "fast"}}}}`, target, other)
		wantVolumes(t, m, 4, 4)
		wantCondition(t, m, "ItemsRestored", "AllItemsRestored")
		wantCondition(t, m, "VolumesMoved", "AllVolumesMoved")
		wantCondition(t, m, "WorkloadsReady", "AllWorkloadsReady")
		for i, n := range []int{target, other} {
			if got := get(t, n, "one", 8091); got != one {
				t.Errorf("pod one serves %q in the source and %q in member %d", one, got, n)
			}
			if got := kubectl(t, n, "get", "persistentvolumeclaims", "--namespace=volumes", "--output=jsonpath={.items[*].spec.storageClassName}"); got != "fast fast fast fast" {
				t.Errorf("the claims in member %d have the classes %q", n, got)
			}
			if d := cmp.Diff(strings.Split(two, "\n"), strings.Split(get(t, n, "two", 8092), "\n")); d != "" {
				t.Errorf("pod two serves in the source and in member %d:\n%s", n, d)
			}
			status := m.Status.TargetClusterStatus[i]
			if p := status.VolumeProgress; p == nil || p.BytesDone != p.TotalBytes || p.BytesDone != status.Volumes.Bytes || p.BytesDone < 1<<28 {
				t.Errorf("the progress of the volumes in member %d ended at %+v", n, p)
			}
		}
	})
	t.Run("no data", func(t *testing.T) {
		// Velero would restore a volume that is retained, with the disk of the source.
		volume := kubectl(t, source, "get", "persistentvolumeclaim", "odd", "--namespace=volumes", "--output=jsonpath={.spec.volumeName}")
		reclaim := func(policy string) {
			kubectl(t, source, "patch", "persistentvolume", volume, `--patch={"spec": {"persistentVolumeReclaimPolicy": "`+policy+`"}}`)
		}
		reclaim("Retain")
		defer reclaim("Delete")
		m := migrateVolumes(t, v1alpha1.MigratePhaseCompleted,
			`{"waitForWorkloads": {"timeoutSeconds": 120}, "policy": {"volumes": {"data": "None"}}}`, target)
		wantVolumes(t, m, 3, 0, "PersistentVolumeClaim kept", "PersistentVolumeClaim odd", "PersistentVolumeClaim quiet")
		wantReason(t, m, "RestoreCompleted")
		wantCondition(t, m, "ItemsRestored", "AllItemsRestored")
		wantCondition(t, m, "VolumesMoved", "DataNotRequested")
		wantCondition(t, m, "WorkloadsReady", "AllWorkloadsReady")
		if got := get(t, target, "one", 8091); got == one {
			t.Errorf("pod one serves %q in the source and in the target", one)
		}
	})
	t.Run("pods that the target has", func(t *testing.T) {
		m := migrateInto(t, v1alpha1.MigratePhasePartiallyFailed, `{}`, target)
		wantVolumes(t, m, 4, 0, "PersistentVolumeClaim kept", "PersistentVolumeClaim odd", "PersistentVolumeClaim quiet", "Pod one")
		wantReason(t, m, "VolumesWithoutData")
	})
}

// migrateVolumes deletes the namespace of volumes.yaml in the targets, and migrates it.
func migrateVolumes(t *testing.T, end v1alpha1.MigratePhase, spec string, targets ...int) *v1alpha1.Migrate {
	t.Helper()
	for _, n := range targets {
		kubectl(t, n, "delete", "namespace", "volumes", "--ignore-not-found")
	}
	return migrateInto(t, end, spec, targets...)
}

// migrateInto migrates the namespace of volumes.yaml by a file-system backup, with a merge patch of the
// spec, and returns the Migrate at its end.
func migrateInto(t *testing.T, end v1alpha1.MigratePhase, spec string, targets ...int) *v1alpha1.Migrate {
	t.Helper()
	kubectl(t, 0, "delete", "migrate", "volumes", "--ignore-not-found")
	var clusters []string
	for _, n := range targets {
		clusters = append(clusters, fmt.Sprintf("{kind: AttachedCluster, name: %s}", localfleet.MemberName(n)))
	}
	manifest := file(t, fmt.Sprintf(`
apiVersion: backup.kurator.dev/v1alpha1
kind: Migrate
metadata: {name: volumes, namespace: default}
spec:
  sourceCluster: {fleet: quickstart, clusters: [{kind: AttachedCluster, name: %s}]}
  targetCluster: {fleet: quickstart, clusters: [%s]}
  policy: {resourceFilter: {includedNamespaces: [volumes]}, volumes: {data: FileSystemBackup}}
`, localfleet.MemberName(source), strings.Join(clusters, ", ")))
	create(t, kubectl(t, 0, "patch", "--local", "--filename="+manifest, "--type=merge", `--patch={"spec": `+spec+`}`, "--output=yaml"))
	kubectl(t, 0, "wait", "migrate/volumes", "--for=condition=Finished", "--timeout=5m")
	var m v1alpha1.Migrate
	if err := json.Unmarshal([]byte(kubectl(t, 0, "get", "migrate", "volumes", "--output=json")), &m); err != nil {
		t.Fatal(err)
	}
	if m.Status.Phase != end {
		t.Fatalf("the Migrate ended %s, want %s: %s", m.Status.Phase, end, kubectl(t, 0, "describe", "migrate", "volumes"))
	}
	return &m
}

// wantVolumes checks the volumes of each target, and those without data.
func wantVolumes(t *testing.T, m *v1alpha1.Migrate, total, moved int64, without ...string) {
	t.Helper()
	for _, status := range m.Status.TargetClusterStatus {
		if v := status.Volumes; v == nil || v.Total != total || v.Moved != moved {
			t.Errorf("%s has volumes %+v, want %d of %d moved", status.ClusterName, v, moved, total)
		}
		var got []string
		for _, x := range status.Exceptions {
			if x.Outcome == v1alpha1.ItemWithoutData {
				got = append(got, x.Resource+" "+x.Name)
			}
		}
		slices.Sort(got)
		if d := cmp.Diff(without, got); d != "" {
			t.Errorf("%s: %s", status.ClusterName, d)
		}
	}
}

func wantReason(t *testing.T, m *v1alpha1.Migrate, reason string) {
	t.Helper()
	if status := m.Status.TargetClusterStatus[0]; status.Reason != reason {
		t.Errorf("the target is %s (%s), want %s", status.Reason, status.Message, reason)
	}
}

func wantCondition(t *testing.T, m *v1alpha1.Migrate, kind, reason string) {
	t.Helper()
	c := meta.FindStatusCondition(m.Status.Conditions, kind)
	if c == nil || c.Reason != reason || (c.Status == metav1.ConditionTrue) != strings.HasPrefix(reason, "All") {
		t.Errorf("condition %s is %+v, want %s", kind, c, reason)
	}
}

// get waits until a pod of volumes.yaml is ready in the nth member and returns what it serves.
func get(t *testing.T, n int, pod string, port int) string {
	t.Helper()
	kubectl(t, n, "wait", "--namespace=volumes", "--for=condition=Ready", "pod/"+pod, "--timeout=5m")
	answer, err := fleet.GetFromPod(t.Context(), n, "volumes", pod, port)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}
