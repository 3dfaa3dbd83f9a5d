// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package prerequisites

import (
	"maps"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/member/internal/client"
	"kurator.dev/migrate-apiserver/pkg/member/internal/clienttest"
	"kurator.dev/migrate-apiserver/pkg/member/internal/membertest"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

const (
	daemonSet       = "/apis/apps/v1/namespaces/velero/daemonsets/node-agent"
	snapshotClasses = "/apis/snapshot.storage.k8s.io/v1/volumesnapshotclasses"
	allClasses      = "/apis/storage.k8s.io/v1/storageclasses"
	fastAndSlow     = `{"items":[{"metadata":{"name":"fast"}},{"metadata":{"name":"slow"}}]}`
)

// check checks a member with these answers.
func check(t *testing.T, answers map[string]string, needed migration.Prerequisites) (migration.Checked, error) {
	s := membertest.NewAPIServer(t)
	s.Answers = answers
	return Check(t.Context(), clienttest.New(s, client.Options{}), needed)
}

func TestCheck(t *testing.T) {
	needed := migration.Prerequisites{NodeAgent: true, SnapshotClass: true, StorageClasses: true}
	for name, tt := range map[string]struct {
		answers map[string]string
		want    migration.Checked
	}{
		"all there": {
			map[string]string{daemonSet: `{"status":{"desiredNumberScheduled":2,"numberReady":1}}`, snapshotClasses: `{"items":[{}]}`, allClasses: fastAndSlow},
			migration.Checked{StorageClasses: sets.New("fast", "slow")},
		},
		"nothing there": {
			map[string]string{daemonSet: membertest.Absent, snapshotClasses: `{}`, allClasses: `{}`},
			migration.Checked{NodeAgent: "is not installed: there is no DaemonSet node-agent in namespace velero", NoSnapshotClass: true, StorageClasses: sets.New[string]()},
		},
		"node-agent not ready, no snapshots": {
			map[string]string{daemonSet: `{"status":{"desiredNumberScheduled":2}}`, allClasses: `{}`},
			migration.Checked{NodeAgent: "is ready on none of 2 nodes", NoSnapshotClass: true, StorageClasses: sets.New[string]()},
		},
		"without permission": {map[string]string{daemonSet: membertest.Forbidden, snapshotClasses: membertest.Forbidden, allClasses: membertest.Forbidden}, migration.Checked{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := check(t, tt.answers, needed)
			if d := cmp.Diff(tt.want, got); d != "" || err != nil {
				t.Error(err, d)
			}
		})
	}
}

// TestTemporaryErrors checks that an error that may go away is returned.
func TestTemporaryErrors(t *testing.T) {
	const namespaced = "/api/v1/namespaces/a/"
	filter := &v1alpha1.ResourceFilter{IncludedNamespaces: []string{"a"}}
	working := map[string]string{
		daemonSet: `{"status":{"numberReady":1}}`, snapshotClasses: `{"items":[{}]}`, allClasses: fastAndSlow,
		namespaced + "pods": `{}`, namespaced + "persistentvolumeclaims": `{}`,
	}
	for path := range working {
		answers := maps.Clone(working)
		answers[path] = membertest.Broken
		if _, err := check(t, answers, migration.Prerequisites{NodeAgent: true, SnapshotClass: true, StorageClasses: true, Claims: filter, UsedOnly: true}); err == nil {
			t.Errorf("no error without %s", path)
		}
	}
}

// TestClaimClasses checks which claims count.
func TestClaimClasses(t *testing.T) {
	const all = `{"items":[
		{"metadata":{"namespace":"a"},"spec":{"storageClassName":"fast"}},{"metadata":{"namespace":"a"},"spec":{}},
		{"metadata":{"namespace":"a"},"spec":{"storageClassName":"manual"}},
		{"metadata":{"namespace":"b","labels":{"app":"b"}},"spec":{"storageClassName":"slow"}}]}`
	for name, tt := range map[string]struct {
		filter v1alpha1.ResourceFilter
		want   []string
	}{
		"all":              {v1alpha1.ResourceFilter{}, []string{"fast", "slow"}},
		"a namespace":      {v1alpha1.ResourceFilter{IncludedNamespaces: []string{"b"}}, []string{"slow"}},
		"a pattern":        {v1alpha1.ResourceFilter{ExcludedNamespaces: []string{"b*"}}, []string{"fast"}},
		"labels":           {v1alpha1.ResourceFilter{LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "b"}}}, []string{"slow"}},
		"other resources":  {v1alpha1.ResourceFilter{IncludedResources: []string{"pods"}}, nil},
		"another's claims": {v1alpha1.ResourceFilter{IncludedNamespaces: []string{"c"}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := check(t, map[string]string{
				"/api/v1/persistentvolumeclaims": all, "/api/v1/namespaces/b/persistentvolumeclaims": all,
				"/api/v1/namespaces/c/persistentvolumeclaims": membertest.Forbidden, allClasses: fastAndSlow,
			}, migration.Prerequisites{Claims: &tt.filter})
			if d := cmp.Diff(migration.Checked{ClaimClasses: tt.want}, got, cmpopts.EquateEmpty()); d != "" || err != nil {
				t.Error(err, d)
			}
		})
	}
}

// TestUnusedClaims checks which claims no running pod uses.
func TestUnusedClaims(t *testing.T) {
	answers := map[string]string{
		"/api/v1/namespaces/a/pods": `{"items":[
			{"metadata":{"namespace":"a","name":"web","labels":{"app":"web"}},"spec":{"volumes":[{"name":"x"},{"persistentVolumeClaim":{"claimName":"used"}},{"name":"scratch","ephemeral":{}}]},"status":{"phase":"Running"}},
			{"metadata":{"namespace":"a"},"spec":{"volumes":[{"persistentVolumeClaim":{"claimName":"ended"}}]},"status":{"phase":"Succeeded"}}]}`,
		"/api/v1/namespaces/a/persistentvolumeclaims": `{"items":[
			{"metadata":{"namespace":"a","name":"used","labels":{"app":"web"}},"status":{"phase":"Bound"}},{"metadata":{"namespace":"a","name":"ended"},"status":{"phase":"Bound"}},
			{"metadata":{"namespace":"a","name":"web-scratch"},"status":{"phase":"Bound"}},
			{"metadata":{"namespace":"a","name":"pending"},"status":{"phase":"Pending"}},{"metadata":{"namespace":"a","name":"alone"},"status":{"phase":"Bound"}}]}`,
		allClasses: fastAndSlow,
	}
	wantUnused := func(filter v1alpha1.ResourceFilter, want ...string) {
		t.Helper()
		filter.IncludedNamespaces = []string{"a"}
		got, err := check(t, answers, migration.Prerequisites{Claims: &filter, UsedOnly: true})
		if d := cmp.Diff(migration.Checked{Unused: want, UnusedTotal: int64(len(want))}, got, cmpopts.EquateEmpty()); d != "" || err != nil {
			t.Error(err, d)
		}
	}
	wantUnused(v1alpha1.ResourceFilter{}, "a/alone", "a/ended")
	wantUnused(v1alpha1.ResourceFilter{LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}})
	wantUnused(v1alpha1.ResourceFilter{IncludedResources: []string{"pvc"}, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}}, "a/used")
	answers["/api/v1/namespaces/a/pods"] = membertest.Forbidden
	wantUnused(v1alpha1.ResourceFilter{})
}

// TestDroppedFields asks members for the fields that they know: one drops a field, one refuses the sample, and one fails.
func TestDroppedFields(t *testing.T) {
	m := &v1alpha1.Migrate{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "app", UID: "c948154d-1727"}, Spec: v1alpha1.MigrateSpec{
		Policy: &v1alpha1.MigratePolicy{ExistingResourcePolicy: "update", Volumes: &v1alpha1.VolumePolicy{Data: "SnapshotDataMovement"}},
	}}
	for name, tt := range map[string]struct {
		source bool
		answer http.HandlerFunc
		want   []string
		fails  bool
	}{
		"a target that drops one": {false, membertest.Answer(http.StatusCreated, "application/json", `{"spec":{"backupName":"b"}}`), []string{"existingResourcePolicy"}, false},
		"a source that has all":   {true, membertest.Answer(http.StatusCreated, "application/json", `{"spec":{"snapshotMoveData":true,"defaultVolumesToFsBackup":false,"snapshotVolumes":true}}`), nil, false},
		"refused":                 {false, membertest.Status(http.StatusForbidden, "no"), nil, false},
		"there already":           {false, membertest.Status(http.StatusConflict, "exists"), nil, false},
		"failed":                  {false, membertest.Status(http.StatusInternalServerError, "no"), nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := membertest.NewAPIServer(t)
			asked := ""
			s.SetFault(func(w http.ResponseWriter, r *http.Request) {
				asked = r.Method + " " + r.URL.Path + "?" + r.URL.RawQuery
				tt.answer(w, r)
			})
			got, err := Check(t.Context(), clienttest.New(s, client.Options{}), migration.Prerequisites{Fields: m, Source: tt.source})
			if (err != nil) != tt.fails {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got.DroppedFields); d != "" {
				t.Error(d)
			}
			resource := map[bool]string{true: "backups", false: "restores"}[tt.source]
			if want := "POST /apis/velero.io/v1/namespaces/velero/" + resource + "?dryRun=All"; asked != want {
				t.Errorf("the request is %s, want %s", asked, want)
			}
		})
	}
}
