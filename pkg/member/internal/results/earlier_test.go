// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package results

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/member/internal/clienttest"
	"kurator.dev/migrate-apiserver/pkg/member/internal/membertest"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// retried is a target in which the Restore r-3 of the third attempt has found everything, with other content. Its Backup has a
// ConfigMap, and a pod with the claim data and an emptyDir, and the claim snap.
type retried struct {
	// objects are those of the target: a resource, a name, the Restore of its label, and the day of its creation.
	objects []object
	// restores are the Restores of the earlier attempts, each of which takes a day, from the first one.
	restores []restore
	// data are the PodVolumeRestores.
	data []data
	// files are further files of the storage, and found is what r-3 did, if not finding everything with other content.
	files, found map[string]string
	status       *v1alpha1.PreserveStatus
	withoutPods  bool
	change       func(*membertest.APIServer)
}

type object struct {
	resource, name, restore string
	day                     int
}

type restore struct {
	phase            velerov1.RestorePhase
	errors, warnings int
}

type data struct {
	restore, volume, phase string
	begun                  bool
}

// made are all objects, as the first attempt made them.
var made = []object{
	{"configmaps", "a", "r", 1},
	{"pods", "one", "r", 1},
	{"persistentvolumeclaims", "data", "r", 1},
	{"persistentvolumeclaims", "moved", "r", 1},
	{"persistentvolumeclaims", "snap", "r", 1},
}

// but returns made with one object changed.
func but(changed object) []object {
	objects := slices.Clone(made)
	i := slices.IndexFunc(objects, func(o object) bool { return o.name == changed.name })
	objects[i] = changed
	return objects
}

var (
	completed = []restore{{"Completed", 0, 0}, {"Completed", 0, 0}}
	written   = []data{{"r", "data", "Completed", true}, {"r", "scratch", "Completed", true}}
)

const retriedVolumes = `[
	{"pvcName":"data","pvcNamespace":"app","pvName":"pv2","backupMethod":"PodVolumeBackup","result":"succeeded","pvbInfo":{"size":100,"volumeName":"data","podName":"one","podNamespace":"app"}},
	{"backupMethod":"PodVolumeBackup","result":"succeeded","pvbInfo":{"size":7,"volumeName":"scratch","podName":"one","podNamespace":"app"}},
	{"pvcName":"snap","pvcNamespace":"app","pvName":"pv4","backupMethod":"CSISnapshot","csiSnapshotInfo":{"size":3}}]`

// absent is the content of a file that the storage does not have.
const absent = "absent"

const allCreated = `{"v1/ConfigMap":["there/a(created)"],"v1/PersistentVolumeClaim":["there/data(created)","there/snap(created)"],"v1/Pod":["there/one(created)"]}`

// read returns the results of r-3.
func (w retried) read(t *testing.T) migration.Results {
	t.Helper()
	const kept = `"could not restore, %s already exists. Warning: the in-cluster version is different than the backed-up version"`
	var warnings []string
	for _, item := range []string{"ConfigMap:a", "Pod:one", "PersistentVolumeClaim:data", "PersistentVolumeClaim:snap"} {
		warnings = append(warnings, fmt.Sprintf(kept, item))
	}
	files := map[string]string{
		"results":  `{"warnings":{"namespaces":{"there":[` + strings.Join(warnings, ",") + `]}}}`,
		"list":     `{"v1/ConfigMap":["app/a"],"v1/PersistentVolumeClaim":["app/data","app/snap"],"v1/Pod":["app/one"]}`,
		"restored": `{"v1/ConfigMap":["there/a(failed)"],"v1/PersistentVolumeClaim":["there/data(failed)","there/snap(failed)"],"v1/Pod":["there/one(failed)"]}`,
		"volumes":  retriedVolumes, "arrived": `[]`, "volumes-r-2": `[]`, "items-r": allCreated, "items-r-2": allCreated,
		"volumes-r": `[{"pvcName":"snap","pvcNamespace":"there","restoreMethod":"CSISnapshot"}]`,
	}
	maps.Copy(files, w.files)
	maps.Copy(files, w.found)
	maps.DeleteFunc(files, func(_, text string) bool { return text == absent })
	s, ca := newStorage(t, files)
	s.Answers["/api"] = `{"kind":"APIVersions","versions":["v1"]}`
	s.Answers["/apis"] = `{"kind":"APIGroupList","apiVersion":"v1","groups":[{"name":"metrics.k8s.io","versions":[{"groupVersion":"metrics.k8s.io/v1beta1","version":"v1beta1"}],"preferredVersion":{"groupVersion":"metrics.k8s.io/v1beta1","version":"v1beta1"}}]}`
	s.Answers["/apis/metrics.k8s.io/v1beta1"] = membertest.Broken
	var resources []string
	for resource, kind := range map[string]string{"configmaps": "ConfigMap", "pods": "Pod", "persistentvolumeclaims": "PersistentVolumeClaim"} {
		resources = append(resources, fmt.Sprintf(`{"name":%q,"namespaced":true,"kind":%q,"verbs":["create","delete","get","list"]}`, resource, kind))
		var items []string
		for _, o := range w.objects {
			if o.resource == resource {
				items = append(items, fmt.Sprintf(`{"metadata":{"name":%q,"namespace":"there","creationTimestamp":"2026-01-%02dT12:00:00Z","labels":{"velero.io/restore-name":%q}}}`, o.name, 1+o.day, o.restore))
			}
		}
		s.Answers["/api/v1/"+resource] = `{"items":[` + strings.Join(items, ",") + `]}`
	}
	s.Answers["/api/v1"] = `{"kind":"APIResourceList","groupVersion":"v1","resources":[` + strings.Join(resources, ",") + `]}`
	s.Answers["/api/v1/namespaces/there/persistentvolumeclaims/snap"] = `{"status":{"phase":"Bound"}}`
	for i, restore := range w.restores {
		s.Put("restores", &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "velero.io/v1", "kind": "Restore", "metadata": map[string]any{"name": []string{"r", "r-2"}[i], "namespace": "velero"},
			"status": map[string]any{
				"phase": string(restore.phase), "errors": int64(restore.errors), "warnings": int64(restore.warnings),
				"startTimestamp": fmt.Sprintf("2026-01-%02dT10:00:00Z", i+2), "completionTimestamp": fmt.Sprintf("2026-01-%02dT14:00:00Z", i+2),
			},
		}})
	}
	for i, d := range w.data {
		status := map[string]any{"phase": d.phase}
		if d.begun {
			status["startTimestamp"] = "2026-01-02T13:00:00Z"
		}
		s.Put("podvolumerestores", &unstructured.Unstructured{Object: map[string]any{
			"metadata": map[string]any{"name": fmt.Sprintf("pvr%d", i), "namespace": "velero", "labels": map[string]any{"velero.io/restore-name": d.restore}},
			"spec":     map[string]any{"pod": map[string]any{"namespace": "there", "name": "one"}, "volume": d.volume},
			"status":   status,
		}})
	}
	if w.change != nil {
		w.change(s)
	}
	return Read(t.Context(), clienttest.New(s, brief), migration.ResultsRequest{
		Results: file("results"), Log: file("log"), BackedUp: file("list"), BackedUpVolumes: file("volumes"), Restored: file("restored"), RestoredVolumes: file("arrived"),
		Restore: "r-3", Earlier: []migration.RestoreFiles{
			{Restore: "r", Results: file("results-r"), Items: file("items-r"), Volumes: file("volumes-r")},
			{Restore: "r-2", Results: file("results-r-2"), Items: file("items-r-2"), Volumes: file("volumes-r-2")},
		},
		NamespaceMapping: map[string]string{"app": "there"}, Status: w.status, WithoutPods: w.withoutPods, WithoutInfo: &[]velero.Claim{}, CA: ca,
	}, velero.Visitor{})
}

// TestEarlierAttempts reads the results of a Restore into targets that have what earlier attempts have left there.
func TestEarlierAttempts(t *testing.T) {
	all := v1alpha1.ItemCounts{Total: 4, Unchanged: 4}
	kept := func(n int64) v1alpha1.ItemCounts { return v1alpha1.ItemCounts{Total: 4, Unchanged: 4 - n, Kept: n} }
	for name, tt := range map[string]struct {
		retried
		items v1alpha1.ItemCounts
		moved int64
		// errors are the lasting ones.
		errors []string
	}{
		"everything is there":   {retried{objects: made, restores: completed, data: written}, all, 3, nil},
		"nothing is":            {retried{restores: completed, data: written}, kept(4), 1, nil},
		"a copy with labels":    {retried{objects: but(object{"persistentvolumeclaims", "data", "r", 20}), restores: completed, data: written}, kept(1), 2, nil},
		"a pod that is a copy":  {retried{objects: but(object{"pods", "one", "r", 20}), restores: completed, data: written}, kept(1), 3, nil},
		"older than it":         {retried{objects: but(object{"configmaps", "a", "r", 0}), restores: completed, data: written}, kept(1), 3, nil},
		"by the second attempt": {retried{objects: but(object{"configmaps", "a", "r-2", 2}), restores: completed, data: written}, all, 3, nil},
		"the data of the first attempt in a claim of the second": {retried{objects: but(object{"persistentvolumeclaims", "data", "r-2", 2}), restores: completed, data: written}, all, 2, nil},
		"the data of the second attempt in a claim of the first": {retried{objects: made, restores: completed, data: append(slices.Clone(written[1:]), data{"r", "data", "Failed", true}, data{"r-2", "data", "Completed", true})}, all, 3, nil},
		"written again, and that failed":                         {retried{objects: made, restores: completed, data: append(slices.Clone(written), data{"r-2", "data", "Failed", true})}, all, 2, nil},
		"to be written again, and not begun":                     {retried{objects: made, restores: completed, data: append(slices.Clone(written), data{"r-3", "data", "", false})}, all, 3, nil},
		"written again now, and that failed":                     {retried{objects: made, restores: completed, data: append(slices.Clone(written), data{"r-3", "data", "Failed", true})}, all, 2, nil},
		"with the label of this attempt, which could not change it": {retried{
			objects: but(object{"persistentvolumeclaims", "data", "r-3", 1}), restores: completed, data: written,
			found: map[string]string{"results": `{"warnings":{"namespaces":{"there":["PersistentVolumeClaim \"data\" is invalid: spec: Forbidden","ConfigMap \"a\" is immutable","Pod \"one\" is invalid","PersistentVolumeClaim \"snap\" is invalid"]}}}`},
		}, all, 3, nil},
		"and failed with an error": {retried{
			objects: made, restores: completed, data: written,
			found: map[string]string{"results": `{"errors":{"namespaces":{"there":["error restoring configmaps/there/a: denied"]}},"warnings":{"namespaces":{"there":["Pod \"one\" is invalid","PersistentVolumeClaim \"data\" is invalid","PersistentVolumeClaim \"snap\" is invalid"]}}}`},
		}, v1alpha1.ItemCounts{Total: 4, Unchanged: 3, Failed: 1}, 3, nil},
		"left out of the Restore": {retried{
			objects: made, restores: completed, data: written,
			found: map[string]string{"restored": `{"v1/ConfigMap":["there/a(failed)"],"v1/PersistentVolumeClaim":["there/data(failed)","there/snap(failed)"]}`},
		}, all, 3, nil},
		"the first Restore is deleted": {retried{objects: made, data: written}, kept(4), 0, nil},
		"it failed as a whole":         {retried{objects: made, restores: []restore{{"Failed", 0, 0}}, data: written}, kept(4), 0, nil},
		"its results are gone":         {retried{objects: made, restores: []restore{{"PartiallyFailed", 1, 0}}, data: written}, kept(4), 0, nil},
		"an error of an item, which is there now": {retried{
			objects: but(object{"configmaps", "a", "r-2", 2}), restores: []restore{{"PartiallyFailed", 3, 0}, {"Completed", 0, 0}}, data: written,
			files: map[string]string{"results-r": `{"errors":{"velero":["pod volume restore failed: no space"],"namespaces":{"there":["error restoring configmaps/there/a: exceeded quota","error preparing pods/there/two: x"]}}}`},
		}, all, 3, nil},
		"an error of a hook": {retried{
			objects: made, restores: []restore{{"PartiallyFailed", 1, 0}, completed[1]}, data: written,
			files: map[string]string{"results-r": `{"errors":{"namespaces":{"there":["hook load in container main of pod there/one: command terminated with exit code 1"]}}}`},
		}, all, 3, []string{"namespace there: hook load in container main of pod there/one: command terminated with exit code 1"}},
		"a status that is there": {retried{objects: made, restores: completed, data: written, status: &v1alpha1.PreserveStatus{IncludedResources: []string{"*"}}}, all, 3, nil},
		"a status that was not restored": {retried{
			objects: made, restores: []restore{{"Completed", 0, 1}, completed[1]}, data: written, status: &v1alpha1.PreserveStatus{IncludedResources: []string{"*"}},
			files: map[string]string{"results-r": `{"warnings":{"namespaces":{"there":["error restoring status of a: conflict"]}}}`},
		}, v1alpha1.ItemCounts{Total: 4, Unchanged: 3, LeftOut: 1}, 3, nil},
		"overwritten by an attempt that failed as a whole":  {retried{objects: made, restores: []restore{{"Completed", 0, 0}, {"Failed", 0, 0}}, data: append(slices.Clone(written), data{"r-2", "data", "Failed", true})}, all, 2, nil},
		"perhaps overwritten by an attempt that is deleted": {retried{objects: made, restores: completed[:1], data: written}, all, 0, nil},
		"an error of Velero itself, about nodes": {retried{
			objects: made, restores: []restore{{"PartiallyFailed", 1, 0}, completed[1]}, data: written,
			files: map[string]string{"results-r": `{"errors":{"velero":["daemonset pod not found in running state in node n"]}}`},
		}, all, 3, nil},
		"a hook of what was made anew, beside what is there": {retried{
			objects: made[:1], restores: []restore{{"PartiallyFailed", 1, 0}, completed[1]},
			data:  []data{{"r-3", "data", "Completed", true}, {"r-3", "scratch", "Completed", true}},
			files: map[string]string{"results-r": `{"errors":{"namespaces":{"there":["hook load in container main expired before executing"]}}}`},
			found: map[string]string{
				"restored": strings.Replace(allCreated, "there/a(created)", "there/a(skipped)", 1), "results": `{}`, "arrived": `[{"pvcName":"snap","pvcNamespace":"there","restoreMethod":"CSISnapshot"}]`,
			},
		}, v1alpha1.ItemCounts{Total: 4, Created: 3, Unchanged: 1}, 3, []string{"namespace there: hook load in container main expired before executing"}},
		"all of it was made anew": {retried{
			restores: []restore{{"PartiallyFailed", 1, 0}, completed[1]}, data: append(slices.Clone(written), data{"r-3", "data", "Completed", true}),
			files: map[string]string{"results-r": `{"errors":{"namespaces":{"there":["hook load in container main expired before executing"]}}}`},
			found: map[string]string{"restored": allCreated, "results": `{}`, "arrived": `[{"pvcName":"snap","pvcNamespace":"there","restoreMethod":"CSISnapshot"}]`},
		}, v1alpha1.ItemCounts{Total: 4, Created: 4}, 3, nil},
		"too many errors to know": {retried{
			objects: made, restores: []restore{{"PartiallyFailed", 1001, 0}, completed[1]}, data: written,
			files: map[string]string{"results-r": `{"errors":{"namespaces":{"there":[` + strings.Repeat(`"error restoring configmaps/there/x: quota",`, 1000) + `"hook load failed"]}}}`},
		}, all, 3, []string{"it has more errors than the first 1000, which are not known"}},
		"labelled only, because it could not be changed": {retried{
			objects: made, restores: completed, data: written,
			files: map[string]string{"items-r": strings.Replace(allCreated, "there/a(created)", "there/a(failed)", 1), "items-r-2": "{}"},
			found: map[string]string{"results": `{"warnings":{"namespaces":{"there":["ConfigMap \"a\" is immutable","Pod \"one\" is invalid","PersistentVolumeClaim \"data\" is invalid","PersistentVolumeClaim \"snap\" is invalid"]}}}`},
		}, v1alpha1.ItemCounts{Total: 4, Unchanged: 3, Failed: 1}, 3, nil},
		"its list is gone": {retried{objects: made, restores: completed, data: written, files: map[string]string{"items-r": absent}}, kept(4), 1, nil},
		"without pods, and a pod is gone": {retried{
			objects: append(slices.Clone(made[:1]), made[2:]...), restores: completed, data: written, withoutPods: true,
			found: map[string]string{"restored": `{"v1/ConfigMap":["there/a(failed)"],"v1/PersistentVolumeClaim":["there/data(failed)","there/snap(failed)"]}`},
		}, v1alpha1.ItemCounts{Total: 4, Unchanged: 3, LeftOut: 1}, 3, nil},
		"all is as in the source, but for a hook": {retried{
			objects: made[:1], restores: []restore{{"PartiallyFailed", 1, 0}, completed[1]}, data: written,
			files: map[string]string{"results-r": `{"errors":{"namespaces":{"there":["hook load failed"]}}}`},
			found: map[string]string{"results": `{}`, "list": `{"v1/ConfigMap":["app/a"]}`, "restored": `{"v1/ConfigMap":["there/a(skipped)"]}`, "volumes": `[]`},
		}, v1alpha1.ItemCounts{Total: 1, Unchanged: 1}, 3, []string{"namespace there: hook load failed"}},
		"claims that may not be listed": {retried{objects: made, restores: completed, data: written, change: func(s *membertest.APIServer) {
			s.Answers["/api/v1/persistentvolumeclaims"] = membertest.Forbidden
		}}, kept(2), 1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := tt.read(t)
			if err := cmp.Or(got.Err, got.ListsErr); err != nil {
				t.Fatal(err)
			}
			if d := gocmp.Diff(tt.items, got.Lists.Items); d != "" {
				t.Errorf("items (-want +got):\n%s%v", d, got.Lists.Exceptions)
			}
			if _, others := tt.found["list"]; others {
				got.Lists.Volumes = v1alpha1.VolumeCounts{Total: 3, Moved: tt.moved}
			}
			if got.Lists.Volumes.Total != 3 || got.Lists.Volumes.Moved != tt.moved {
				t.Errorf("the volumes are %+v, want %d moved: %v", got.Lists.Volumes, tt.moved, exceptions(got.Lists, v1alpha1.ItemWithoutData))
			}
			if d := gocmp.Diff(tt.errors, got.EarlierErrors); d != "" {
				t.Errorf("lasting errors (-want +got):\n%s", d)
			}
		})
	}
}

// TestEarlierAttemptsThatCannotBeRead has faults that pass.
func TestEarlierAttemptsThatCannotBeRead(t *testing.T) {
	for name, w := range map[string]retried{
		"no list":      {change: func(s *membertest.APIServer) { s.Answers["/api/v1/configmaps"] = membertest.Broken }},
		"no discovery": {change: func(s *membertest.APIServer) { s.Answers["/api/v1"] = membertest.Broken }},
	} {
		w.objects, w.restores, w.data = made, completed, written
		if got := w.read(t); got.ListsErr == nil {
			t.Errorf("%s: %+v", name, got.Lists)
		}
	}
}

// TestEarlierAttemptsNeedLittleMemory reads claims with huge labels and names.
func TestEarlierAttemptsNeedLittleMemory(t *testing.T) {
	const pages = 10
	huge := strings.Repeat("x", 2<<20)
	var served http.HandlerFunc
	w := retried{objects: made, restores: completed, data: written}
	w.change = func(s *membertest.APIServer) {
		page := 0
		served = func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/api/v1/persistentvolumeclaims" {
				s.SetFault(nil)
				defer s.SetFault(served)
				s.ServeHTTP(w, r)
				return
			}
			next := "more"
			if page++; page >= pages {
				next = ""
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, fmt.Sprintf(`{"metadata":{"continue":%q},"items":[{"metadata":{"name":"n%d","namespace":"there","creationTimestamp":"2026-01-02T12:00:00Z","labels":{"velero.io/restore-name":"r","huge":%q}}}]}`, next, page, huge))
		}
		s.SetFault(served)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	got := w.read(t)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); got.ListsErr != nil || grown > 10<<20 {
		t.Errorf("the heap has grown by %d MiB; %v", grown>>20, got.ListsErr)
	}
	runtime.KeepAlive(got)
}
