// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package prerequisites

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/member/internal/client"
	"kurator.dev/migrate-apiserver/pkg/member/internal/clienttest"
	"kurator.dev/migrate-apiserver/pkg/member/internal/membertest"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

func TestCheck(t *testing.T) {
	const daemonSet = "/apis/apps/v1/namespaces/velero/daemonsets/node-agent"
	const snapshotClasses = "/apis/snapshot.storage.k8s.io/v1/volumesnapshotclasses"
	const class = "/apis/storage.k8s.io/v1/storageclasses/"
	needed := migration.Prerequisites{NodeAgent: true, SnapshotClass: true, StorageClasses: []string{"fast", "slow"}}
	for name, tt := range map[string]struct {
		answers map[string]string
		want    migration.Missing
	}{
		"all there": {
			map[string]string{daemonSet: `{"status":{"desiredNumberScheduled":2,"numberReady":1}}`, snapshotClasses: `{"items":[{}]}`, class + "fast": `{}`, class + "slow": `{}`},
			migration.Missing{},
		},
		"nothing there": {
			map[string]string{daemonSet: membertest.Absent, snapshotClasses: `{}`, class + "fast": membertest.Absent, class + "slow": membertest.Absent},
			migration.Missing{NodeAgent: "is not installed: there is no DaemonSet node-agent in namespace velero", SnapshotClass: true, StorageClasses: []string{"fast", "slow"}},
		},
		"node-agent not ready, no snapshots": {
			map[string]string{daemonSet: `{"status":{"desiredNumberScheduled":2}}`, class + "fast": `{}`, class + "slow": membertest.Absent},
			migration.Missing{NodeAgent: "is ready on none of 2 nodes", SnapshotClass: true, StorageClasses: []string{"slow"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := membertest.NewAPIServer(t)
			s.Answers = tt.answers
			if d := cmp.Diff(tt.want, Check(t.Context(), clienttest.New(s, client.Options{}), needed)); d != "" {
				t.Error(d)
			}
		})
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
			s := membertest.NewAPIServer(t)
			s.Answers = map[string]string{
				"/api/v1/persistentvolumeclaims": all, "/api/v1/namespaces/b/persistentvolumeclaims": all, "/api/v1/namespaces/c/persistentvolumeclaims": membertest.Forbidden,
				"/apis/storage.k8s.io/v1/storageclasses/fast": `{}`, "/apis/storage.k8s.io/v1/storageclasses/slow": `{}`, "/apis/storage.k8s.io/v1/storageclasses/manual": membertest.Absent,
			}
			if d := cmp.Diff(tt.want, ClaimClasses(t.Context(), clienttest.New(s, client.Options{}), tt.filter), cmpopts.EquateEmpty()); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestUnusedClaims checks which claims no running pod uses.
func TestUnusedClaims(t *testing.T) {
	s := membertest.NewAPIServer(t)
	s.Answers = map[string]string{
		"/apis/apps/v1/namespaces/velero/daemonsets/node-agent": `{"status":{"numberReady":1}}`,
		"/api/v1/namespaces/a/pods": `{"items":[
			{"metadata":{"namespace":"a"},"spec":{"volumes":[{},{"persistentVolumeClaim":{"claimName":"used"}}]},"status":{"phase":"Running"}},
			{"metadata":{"namespace":"a"},"spec":{"volumes":[{"persistentVolumeClaim":{"claimName":"ended"}}]},"status":{"phase":"Succeeded"}}]}`,
		"/api/v1/namespaces/a/persistentvolumeclaims": `{"items":[
			{"metadata":{"namespace":"a","name":"used"},"status":{"phase":"Bound"}},{"metadata":{"namespace":"a","name":"ended"},"status":{"phase":"Bound"}},
			{"metadata":{"namespace":"a","name":"pending"},"status":{"phase":"Pending"}},{"metadata":{"namespace":"a","name":"alone"},"status":{"phase":"Bound"}}]}`,
	}
	check := func(want migration.Missing) {
		t.Helper()
		needed := migration.Prerequisites{NodeAgent: true, UsedClaims: &v1alpha1.ResourceFilter{IncludedNamespaces: []string{"a"}}}
		if d := cmp.Diff(want, Check(t.Context(), clienttest.New(s, client.Options{}), needed)); d != "" {
			t.Error(d)
		}
	}
	check(migration.Missing{Unused: []string{"a/alone", "a/ended"}, UnusedTotal: 2})
	s.Answers["/api/v1/namespaces/a/pods"] = membertest.Forbidden
	check(migration.Missing{})
}

// TestCheckWithoutPermission checks that nothing counts as missing.
func TestCheckWithoutPermission(t *testing.T) {
	s := membertest.NewAPIServer(t)
	s.SetFault(membertest.Status(http.StatusForbidden, "forbidden"))
	needed := migration.Prerequisites{NodeAgent: true, SnapshotClass: true, StorageClasses: []string{"fast"}}
	if d := cmp.Diff(migration.Missing{}, Check(t.Context(), clienttest.New(s, client.Options{}), needed)); d != "" {
		t.Error(d)
	}
}
