// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/sets"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// unlimited accounts for no memory.
func unlimited(int64) error { return nil }

func gzipped(text string) io.Reader {
	var packed bytes.Buffer
	packer := gzip.NewWriter(&packed)
	_, _ = io.WriteString(packer, text)
	_ = packer.Close()
	return &packed
}

// list returns a file of testdata/lists, which are those of one migration by Velero 1.18.3.
func list(t *testing.T, name string) io.Reader {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "lists", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return gzipped(string(text))
}

// texts returns the exceptions with all outcomes, the number that is omitted, or both.
func texts(e velero.Exceptions) []string {
	var all []string
	for _, outcome := range []v1alpha1.ItemOutcome{v1alpha1.ItemFailed, v1alpha1.ItemWithoutData, v1alpha1.ItemKept, v1alpha1.ItemLeftOut} {
		for _, x := range e.First[outcome] {
			all = append(all, fmt.Sprintf("%s %s/%s %s: %s", x.Kind, x.Namespace, x.Name, x.Outcome, x.Message))
		}
		if more := e.Count[outcome] - int64(len(e.First[outcome])); more > 0 {
			all = append(all, fmt.Sprintf("%d more %s", more, outcome))
		}
	}
	return all
}

// readOutcomes reads what became of the items of a Backup from its list and that of its Restore.
func readOutcomes(
	t *testing.T, backedUp, restoredList io.Reader, results *velero.Results, mapping map[string]string, status *v1alpha1.PreserveStatus,
) velero.Outcomes {
	t.Helper()
	restored, err := velero.ReadRestored(restoredList, unlimited)
	if err != nil {
		t.Fatal(err)
	}
	visited := map[v1alpha1.ItemOutcome]int64{}
	got, err := velero.ReadOutcomes(backedUp, restored, results, mapping, status, velero.Visitor{Item: func(r velero.ItemResult) error {
		visited[r.Outcome]++
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	counted := map[v1alpha1.ItemOutcome]int64{}
	for outcome, n := range map[v1alpha1.ItemOutcome]int64{
		"Created": got.Counts.Created, "Updated": got.Counts.Updated, "Unchanged": got.Counts.Unchanged,
		"Kept": got.Counts.Kept, "Failed": got.Counts.Failed, "LeftOut": got.Counts.LeftOut,
	} {
		if n > 0 {
			counted[outcome] = n
		}
	}
	if d := cmp.Diff(counted, visited); d != "" {
		t.Errorf("counted and visited items differ: %s", d)
	}
	return got
}

// TestOutcomesAfterAnEarlierAttempt reads the lists of a Restore into a target that has items of an earlier one. Only what exists
// with other content counts as of that: what failed, failed.
func TestOutcomesAfterAnEarlierAttempt(t *testing.T) {
	const kept = `"could not restore, %s already exists. Warning: the in-cluster version is different than the backed-up version"`
	var warnings []string
	for _, item := range []string{`ConfigMap:mine`, `ConfigMap:others`, `Pod:db-0`, `Pod:lone`, `StatefulSet:db`} {
		warnings = append(warnings, fmt.Sprintf(kept, item))
	}
	results, err := velero.ReadResults(gzipped(`{"errors":{"namespaces":{"there":["error restoring configmaps/there/failed: denied"]}},"warnings":{"namespaces":{"there":[`+strings.Join(warnings, ",")+`]}}}`), unlimited)
	if err != nil {
		t.Fatal(err)
	}
	const backup = `{"apps/v1/StatefulSet":["app/db"],"v1/ConfigMap":["app/failed","app/mine","app/new","app/others"],"v1/Pod":["app/db-0","app/lone"]}`
	const restore = `{"apps/v1/StatefulSet":["there/db(failed)"],"v1/ConfigMap":["there/failed(failed)","there/mine(failed)","there/new(created)","there/others(failed)"],
		"v1/Pod":["there/db-0(failed)","there/lone(failed)"],"v1/Secret":["there/same(skipped)"]}`
	for name, tt := range map[string]struct {
		earlier  []velero.Item
		status   *v1alpha1.PreserveStatus
		warnings []string
		counts   v1alpha1.ItemCounts
		want     []string
	}{
		"none": {nil, nil, nil, v1alpha1.ItemCounts{Total: 7, Created: 1, Kept: 5, Failed: 1}, []string{
			"ConfigMap there/failed Failed: error restoring configmaps/there/failed: denied", "StatefulSet.apps there/db Kept: it exists with other content", "ConfigMap there/mine Kept: it exists with other content",
			"ConfigMap there/others Kept: it exists with other content", "Pod there/db-0 Kept: it exists with other content", "Pod there/lone Kept: it exists with other content",
		}},
		"some": {
			[]velero.Item{{Kind: "StatefulSet.apps", Namespace: "there", Name: "db"}, {Kind: "ConfigMap", Namespace: "there", Name: "mine"}, {Kind: "ConfigMap", Namespace: "there", Name: "failed"}, {Kind: "ConfigMap", Namespace: "app", Name: "others"}},
			nil, nil,
			v1alpha1.ItemCounts{Total: 7, Created: 1, Unchanged: 2, Kept: 2, Failed: 1, LeftOut: 1},
			[]string{"ConfigMap there/failed Failed: error restoring configmaps/there/failed: denied", "ConfigMap there/others Kept: it exists with other content", "Pod there/lone Kept: it exists with other content"},
		},
		"without their status": {
			[]velero.Item{{Kind: "StatefulSet.apps", Namespace: "there", Name: "db"}},
			&v1alpha1.PreserveStatus{IncludedResources: []string{"statefulsets.apps"}},
			[]string{"namespace there: restoring the status of db failed"},
			v1alpha1.ItemCounts{Total: 7, Created: 1, Kept: 3, Failed: 1, LeftOut: 2},
			[]string{"ConfigMap there/failed Failed: error restoring configmaps/there/failed: denied", "ConfigMap there/mine Kept: it exists with other content", "ConfigMap there/others Kept: it exists with other content", "Pod there/lone Kept: it exists with other content", "StatefulSet.apps there/db LeftOut: its status was not restored"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			restored, err := velero.ReadRestored(gzipped(restore), unlimited)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff([]string{"ConfigMap", "Pod", "Secret", "StatefulSet.apps"}, restored.Existing()); d != "" {
				t.Error(d)
			}
			isNew := velero.Item{Kind: "ConfigMap", Namespace: "there", Name: "new"}
			if !restored.Created(isNew) || restored.Created(velero.Item{Kind: "ConfigMap", Namespace: "there", Name: "mine"}) {
				t.Error("the created items are others")
			}
			earlier := restored.AddEarlier(velero.Results{Warnings: tt.warnings})
			for _, item := range tt.earlier {
				if err := earlier.Add(item); err != nil {
					t.Fatal(err)
				}
			}
			got, err := velero.ReadOutcomes(gzipped(backup), restored, &results, map[string]string{"app": "there"}, tt.status, velero.Visitor{})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.counts, got.Counts); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(tt.want, texts(got.Exceptions)); d != "" {
				t.Error(d)
			}
		})
	}
}

// countVolumes counts volumes, and checks that the ones that are visited are those.
func countVolumes(
	t *testing.T, volumes []velero.Volume, bound []velero.Claim, mapping map[string]string, moved func(velero.Volume) (bool, string),
) (v1alpha1.VolumeCounts, velero.Exceptions) {
	t.Helper()
	var visited v1alpha1.VolumeCounts
	counts, exceptions, err := velero.CountVolumes(volumes, bound, mapping, moved, velero.Visitor{Volume: func(r velero.VolumeResult) error {
		visited.Total++
		visited.Bytes += r.Bytes
		if r.Moved {
			visited.Moved++
		}
		if r.Moved == (r.Message != "") {
			t.Errorf("%+v", r)
		}
		return nil
	}})
	if d := cmp.Diff(counts, visited); d != "" || err != nil {
		t.Error(err, d)
	}
	return counts, exceptions
}

// TestVisitorEndsReading has a visitor that returns an error at the first item or volume.
func TestVisitorEndsReading(t *testing.T) {
	full, visited := errors.New("full"), 0
	end := velero.Visitor{
		Item:   func(velero.ItemResult) error { visited++; return full },
		Volume: func(velero.VolumeResult) error { visited++; return full },
	}
	restored, _ := velero.ReadRestored(gzipped(`{}`), unlimited)
	_, backedUp := velero.ReadBackedUp(list(t, "backup-resource-list"), end)
	_, outcomes := velero.ReadOutcomes(list(t, "backup-resource-list"), restored, &velero.Results{}, nil, nil, end)
	_, _, volumes := velero.CountVolumes(nil, []velero.Claim{{Name: "a"}, {Name: "b"}}, nil, nil, end)
	if !errors.Is(backedUp, full) || !errors.Is(outcomes, full) || !errors.Is(volumes, full) || visited != 3 {
		t.Error(backedUp, outcomes, volumes, visited)
	}
}

// TestOutcomesOfARealMigration reads the lists of a migration into a cluster that had some of the
// objects.
func TestOutcomesOfARealMigration(t *testing.T) {
	results, err := velero.ReadResults(list(t, "restore-results"), unlimited)
	if err != nil {
		t.Fatal(err)
	}
	got := readOutcomes(t, list(t, "backup-resource-list"), list(t, "restore-resource-list"), &results, nil, nil)
	if d := cmp.Diff(v1alpha1.ItemCounts{Total: 10, Created: 6, Kept: 2, LeftOut: 2}, got.Counts); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{
		"ConfigMap mixed/same Kept: it exists with other content",
		"ConfigMap mixed/settings Kept: it exists with other content",
		"Job.batch mixed/done LeftOut: Velero does not restore a Job that has finished",
	}, texts(got.Exceptions)); d != "" {
		t.Error(d)
	}
	claims := []velero.Claim{{Namespace: "mixed", Name: "kept"}, {Namespace: "mixed", Name: "nobodys"}, {Namespace: "mixed", Name: "plain"}}
	if d := cmp.Diff(velero.BackedUp{Items: 10, Claims: claims, Kinds: got.Kinds, Namespaces: sets.New("mixed")}, got.BackedUp); d != "" {
		t.Error(d)
	}
	if want := sets.New("ConfigMap", "Event", "Job.batch", "Namespace", "PersistentVolume", "PersistentVolumeClaim", "Pod", "ServiceAccount"); !got.Kinds.Equal(want) {
		t.Errorf("kinds %v", got.Kinds)
	}
	if len(results.Errors)+len(results.Warnings) > 0 {
		t.Errorf("errors %q and warnings %q, besides those about items that exist", results.Errors, results.Warnings)
	}
}

func TestVolumesOfARealMigration(t *testing.T) {
	volumes, err := velero.ReadVolumes(list(t, "backup-volumeinfo"))
	if err != nil {
		t.Fatal(err)
	}
	taken := func(v velero.Volume) (bool, string) { return v.Taken, "" }
	counts, exceptions := countVolumes(t, volumes, nil, nil, taken)
	if d := cmp.Diff(v1alpha1.VolumeCounts{Total: 3, Moved: 2, Bytes: 1000000}, counts); d != "" {
		t.Error(d)
	}
	skipped := "PersistentVolumeClaim mixed/plain WithoutData: Velero did not back up its data: " +
		"podvolume: opted out due to annotation in pod two;volumeSnapshot: no applicable volumesnapshotter found"
	if d := cmp.Diff([]string{skipped}, texts(exceptions)); d != "" {
		t.Error(d)
	}
	bound := velero.WithoutInfo([]velero.Claim{{Namespace: "mixed", Name: "kept"}, {Namespace: "mixed", Name: "nobodys"}}, volumes)
	if d := cmp.Diff([]velero.Claim{{Namespace: "mixed", Name: "nobodys"}}, bound); d != "" {
		t.Error(d)
	}

	arrived := velero.ArrivedVolumes{PodVolumes: sets.New(velero.PodVolume{Namespace: "there", Pod: "one", Volume: "data"})}
	if claims, volumes, err := velero.ReadSnapshotVolumes(list(t, "restore-volumeinfo")); err != nil || len(claims)+len(volumes) > 0 {
		t.Errorf("claims of snapshots %v, volumes %v, %v", claims, volumes, err)
	}
	mapping := map[string]string{"mixed": "there"}
	counts, exceptions = countVolumes(t, volumes, bound, mapping, func(v velero.Volume) (bool, string) { return arrived.Has(v, mapping) })
	if d := cmp.Diff(v1alpha1.VolumeCounts{Total: 4, Moved: 1, Bytes: 1000000}, counts); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{
		strings.ReplaceAll(skipped, "mixed", "there"),
		"Pod there/one WithoutData: its data of volume scratch is in the Backup and was not written, usually because the claim or a pod that uses it existed",
		"PersistentVolumeClaim there/nobodys WithoutData: Velero did not back up its data, and reports nothing about its volume",
	}, texts(exceptions)); d != "" {
		t.Error(d)
	}
}

// TestOutcomes reads lists of one object of the Backup, in namespace a, which is mapped to b.
func TestOutcomes(t *testing.T) {
	const kept = `"could not restore, %s already exists. Warning: the in-cluster version is different than the backed-up version"`
	count := func(outcome string) v1alpha1.ItemCounts {
		counts := v1alpha1.ItemCounts{Total: 1}
		*map[string]*int64{
			"created": &counts.Created, "updated": &counts.Updated, "unchanged": &counts.Unchanged,
			"kept": &counts.Kept, "failed": &counts.Failed, "left out": &counts.LeftOut,
		}[outcome] = 1
		return counts
	}
	for _, tt := range []struct {
		name, kind, item, action, warning string
		want                              string
		exception                         string
	}{
		{"created", "v1/ConfigMap", "a/x", "created", "", "created", ""},
		{"created in another version", "autoscaling/v2/HorizontalPodAutoscaler", "a/x", "created", "", "created", ""},
		{"created, cluster-scoped", "rbac.authorization.k8s.io/v1/ClusterRole", "x:y", "created", "", "created", ""},
		{"updated", "v1/ConfigMap", "a/x", "updated", "", "updated", ""},
		{"there already, and the same", "v1/ConfigMap", "a/x", "skipped", "", "unchanged", ""},
		{"kept", "v1/ConfigMap", "a/x", "failed", fmt.Sprintf(kept, "ConfigMap:x"), "kept", "ConfigMap b/x Kept: it exists with other content"},
		{"kept by policy", "v1/ConfigMap", "a/x", "failed", fmt.Sprintf(kept, `ConfigMap \"x\"`), "kept", "ConfigMap b/x Kept: it exists with other content"},
		{"kept, of a name with colons", "rbac.authorization.k8s.io/v1/Role", "a/x:y:z", "failed", fmt.Sprintf(kept, "Role:x:y:z"), "kept", "Role.rbac.authorization.k8s.io b/x:y:z Kept: it exists with other content"},
		{"failed, and another one kept", "v1/ConfigMap", "a/x", "failed", fmt.Sprintf(kept, "ConfigMap:y"), "failed", "ConfigMap b/x Failed: "},
		{"failed", "apps/v1/Deployment", "a/x", "failed", `"error restoring deployments.apps/b/x: denied"`, "failed", "Deployment.apps b/x Failed: error restoring deployments.apps/b/x: denied"},
		{"failed, with a message about another one", "v1/ConfigMap", "a/x", "failed", `"error restoring configmaps/b/x-1: denied"`, "failed", "ConfigMap b/x Failed: "},
		{"in an unknown way", "v1/ConfigMap", "a/x", "obliterated", "", "failed", "ConfigMap b/x Failed: "},
		{"kind not served", "example.com/v1/Oven", "a/x", "", "", "left out", "Oven.example.com b/x LeftOut: Velero did not restore it: the cluster does not serve its kind, or the filter does not select it"},
		{"finished Job", "batch/v1/Job", "a/x", "", "", "left out", "Job.batch b/x LeftOut: Velero does not restore a Job that has finished"},
		{"finished Pod", "v1/Pod", "a/x-abcde", "", "", "left out", "Pod b/x-abcde LeftOut: Velero does not restore a Pod that has finished"},
		{"Event", "v1/Event", "a/x", "", "", "", ""},
		{"Pod of a kubelet", "v1/Pod", "a/x", "skipped", "", "left out", ""},
		{"PersistentVolume that is made anew", "v1/PersistentVolume", "x", "skipped", "", "left out", ""},
		{"token", "v1/Secret", "a/x-token-2bcdf", "skipped", "", "left out", ""},
		{"Secret, the same", "v1/Secret", "a/x-token", "skipped", "", "unchanged", ""},
		{"Lease of the cluster's own", "coordination.k8s.io/v1/Lease", "kube-system/x", "failed", fmt.Sprintf(kept, "Lease:x"), "", ""},
		{"ClusterRole of the cluster's own", "rbac.authorization.k8s.io/v1/ClusterRole", "system:x", "failed", fmt.Sprintf(kept, "ClusterRole:system:x"), "", ""},
		{"ConfigMap in a system namespace", "v1/ConfigMap", "kube-system/x", "failed", fmt.Sprintf(kept, "ConfigMap:x"), "kept", "ConfigMap kube-system/x Kept: it exists with other content"},
		{"kind not served in a system namespace", "helm.cattle.io/v1/HelmChart", "kube-system/x", "", "", "left out", "HelmChart.helm.cattle.io kube-system/x LeftOut: Velero did not restore it: the cluster does not serve its kind, or the filter does not select it"},
		{"CA of Istio", "v1/ConfigMap", "a/istio-ca-root-cert", "failed", fmt.Sprintf(kept, "ConfigMap:istio-ca-root-cert"), "", ""},
		{"snapshot", "snapshot.storage.k8s.io/v1/VolumeSnapshot", "a/x", "", "", "", ""},
		{"Namespace", "v1/Namespace", "a", "", "", "", ""},
		{"root CA", "v1/ConfigMap", "a/kube-root-ca.crt", "failed", "", "", ""},
		{"default ServiceAccount", "v1/ServiceAccount", "a/default", "updated", "", "", ""},
		{"Service kubernetes", "v1/Service", "default/kubernetes", "failed", "", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			mapped := strings.Replace(tt.item, "a/", "b/", 1)
			restoredList := "{}"
			if tt.action != "" {
				restoredList = fmt.Sprintf(`{%q:[%q]}`, strings.Replace(tt.kind, "/v2/", "/v1/", 1), mapped+"("+tt.action+")")
			}
			warnings := fmt.Sprintf(`{"cluster":[%s]}`, tt.warning)
			if namespace, _, ok := strings.Cut(mapped, "/"); ok {
				warnings = fmt.Sprintf(`{"namespaces":{%q:[%s]}}`, namespace, tt.warning)
			}
			results, err := velero.ReadResults(gzipped(`{"warnings":`+warnings+`}`), unlimited)
			if err != nil {
				t.Fatal(err)
			}
			got := readOutcomes(t, gzipped(fmt.Sprintf(`{%q:[%q]}`, tt.kind, tt.item)), gzipped(restoredList), &results, map[string]string{"a": "b"}, nil)
			want := v1alpha1.ItemCounts{}
			if tt.want != "" {
				want = count(tt.want)
			}
			if d := cmp.Diff(want, got.Counts); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(tt.exception, strings.Join(texts(got.Exceptions), "\n")); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestObjectsThatAreMadeAnew has a CronJob with a finished Job and its Pod, and a Job with its Pod.
func TestObjectsThatAreMadeAnew(t *testing.T) {
	got := readOutcomes(t, gzipped(`{"apps/v1/DaemonSet":["a/agent"],"apps/v1/ReplicaSet":["a/web-7d9c5b8f6d"],"apps/v1/StatefulSet":["a/db"],`+
		`"batch/v1/CronJob":["a/nightly"],"batch/v1/Job":["a/import","a/nightly-29382000","a/nightly-3","a/train","b/nightly-29382000"],`+
		`"v1/Pod":["a/agent-x2z4b","a/db-0","a/db-main","a/import-x2z4b","a/nightly-29382000-x2z4b","a/train-0-x2z4b","a/web-7d9c5b8f6d-x2z4b"]}`), gzipped(`{"batch/v1/CronJob":["a/nightly(created)"]}`), &velero.Results{}, nil, nil)
	if d := cmp.Diff([]string{
		"DaemonSet.apps a/agent LeftOut: Velero did not restore it: the cluster does not serve its kind, or the filter does not select it",
		"ReplicaSet.apps a/web-7d9c5b8f6d LeftOut: Velero did not restore it: the cluster does not serve its kind, or the filter does not select it",
		"StatefulSet.apps a/db LeftOut: Velero did not restore it: the cluster does not serve its kind, or the filter does not select it",
		"Job.batch a/import LeftOut: Velero does not restore a Job that has finished",
		"Job.batch a/nightly-3 LeftOut: Velero does not restore a Job that has finished",
		"Job.batch a/train LeftOut: Velero does not restore a Job that has finished",
		"Job.batch b/nightly-29382000 LeftOut: Velero does not restore a Job that has finished",
		"Pod a/db-main LeftOut: Velero does not restore a Pod that has finished",
	}, texts(got.Exceptions)); d != "" {
		t.Error(d)
	}
}

// TestStatusThatWasNotRestored asks for the status of two kinds.
func TestStatusThatWasNotRestored(t *testing.T) {
	results := velero.Results{Warnings: []string{`namespace a: services "odd" not found`}}
	got := readOutcomes(t, gzipped(`{"v1/Service":["a/new","a/odd","a/same","a/changed"],"v1/ConfigMap":["a/same"],"apps/v1/Deployment":["a/same"]}`), gzipped(`{"v1/Service":["a/new(created)","a/odd(created)","a/same(skipped)","a/changed(updated)"],"v1/ConfigMap":["a/same(skipped)"],"apps/v1/Deployment":["a/same(skipped)"]}`), &results, nil,
		&v1alpha1.PreserveStatus{IncludedResources: []string{"services", "*.apps"}, ExcludedResources: []string{"deployments"}})
	if d := cmp.Diff(v1alpha1.ItemCounts{Total: 6, Created: 1, Unchanged: 2, LeftOut: 3}, got.Counts); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{
		"Service a/odd LeftOut: its status was not restored",
		"Service a/same LeftOut: its status was not restored",
		"Service a/changed LeftOut: its status was not restored",
	}, texts(got.Exceptions)); d != "" {
		t.Error(d)
	}
}

// TestUnprocessedItemsOfARestoreWithErrors checks that an error is the reason of an item that the Restore
// did not reach.
func TestUnprocessedItemsOfARestoreWithErrors(t *testing.T) {
	got := readOutcomes(t, gzipped(`{"v1/ConfigMap":["a/x"]}`), gzipped(`{}`), &velero.Results{Errors: []string{"timed out"}}, nil, nil)
	if d := cmp.Diff([]string{"ConfigMap a/x LeftOut: Velero did not restore it; see its errors"}, texts(got.Exceptions)); d != "" {
		t.Error(d)
	}
}

// TestListsNeedLittleMemory reads a volume info that is far larger than what is kept of it, and a list
// with too many items.
func TestListsNeedLittleMemory(t *testing.T) {
	file := gzipped(`[{"x":[` + strings.Repeat("1,", 4<<20) + `1],"pvcName":"a","pvcNamespace":"b"}]`)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	if _, err := velero.ReadVolumes(file); err != nil {
		t.Error(err)
	}
	runtime.ReadMemStats(&after)
	if peak := int64(after.HeapSys) - int64(before.HeapSys); peak > 16<<20 {
		t.Errorf("the heap grew by %d MiB", peak>>20)
	}
	if _, err := velero.ReadBackedUp(gzipped(`{"v1/ConfigMap":[`+strings.Repeat(`"",`, 1<<20)+`""]}`), velero.Visitor{}); err == nil {
		t.Error("more than 1 Mi items were read")
	}
}

// TestManyOutcomes reads lists with a quarter of a million items, of which only 20 exceptions with each outcome are
// kept, and checks the memory of what is kept.
func TestManyOutcomes(t *testing.T) {
	const items = 1 << 18
	var backedUp, restoredList strings.Builder
	for i := range items {
		fmt.Fprintf(&backedUp, `%s"namespace/item-%d"`, comma(i), i)
		if i%2 == 0 {
			fmt.Fprintf(&restoredList, `%s"namespace/item-%d(created)"`, comma(i), i)
		}
	}
	backup, restore := gzipped(`{"v1/ConfigMap":[`+backedUp.String()+`]}`), gzipped(`{"v1/ConfigMap":[`+restoredList.String()+`]}`)
	var used int64
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	restored, err := velero.ReadRestored(restore, func(n int64) error { used += n; return nil })
	if err != nil {
		t.Fatal(err)
	}
	got, err := velero.ReadOutcomes(backup, restored, &velero.Results{}, nil, nil, velero.Visitor{})
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > 4<<20 || used > 4<<20 || used < items/2*8 {
		t.Errorf("%d MiB are kept, %d MiB were accounted for", kept>>20, used>>20)
	}
	if d := cmp.Diff(v1alpha1.ItemCounts{Total: items, Created: items / 2, LeftOut: items / 2}, got.Counts); d != "" {
		t.Error(d)
	}
	if all := texts(got.Exceptions); len(all) != velero.MaxExceptions+1 || all[velero.MaxExceptions] != fmt.Sprintf("%d more LeftOut", items/2-20) {
		t.Errorf("%d exceptions: %v", len(all), all)
	}
	runtime.KeepAlive(restored)
}

func comma(i int) string {
	if i == 0 {
		return ""
	}
	return ","
}

// TestUnreadableLists reads files that are no lists, too large, or need more memory than there is.
func TestUnreadableLists(t *testing.T) {
	full := errors.New("no memory")
	for name, read := range map[string]func(io.Reader) error{
		"backed up": func(file io.Reader) error { _, err := velero.ReadBackedUp(file, velero.Visitor{}); return err },
		"restored":  func(file io.Reader) error { _, err := velero.ReadRestored(file, unlimited); return err },
		"volumes":   func(file io.Reader) error { _, err := velero.ReadVolumes(file); return err },
	} {
		for _, text := range []string{`secret`, `"secret"`, `{"v1/Pod":"secret"}`, `{"v1/Pod":[1]}`, `[{"pvcName":{"secret":1}}]`, `["secret"`, `{"v1/Pod":["` + strings.Repeat("x", 2<<20) + `"]}`} {
			if err := read(gzipped(text)); err == nil || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s, %.40s: error %v", name, text, err)
			}
		}
		if err := read(strings.NewReader("secret, and long enough")); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s, not packed: error %v", name, err)
		}
	}
	if _, err := velero.ReadRestored(gzipped(`{"v1/Pod":["a/b(created)"]}`), func(int64) error { return full }); !errors.Is(err, full) {
		t.Errorf("without memory: error %v", err)
	}
}
