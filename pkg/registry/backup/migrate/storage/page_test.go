// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// FuzzPage requests pages of results with any parameters.
func FuzzPage(f *testing.F) {
	f.Add("", "", int64(0), "")
	f.Add("m2", "Failed", int64(-1), "eyJ1aWQiOiJ1IiwiY2x1c3RlciI6Im0yIiwic2tpcCI6OTk5OTk5OTk5OTk5OTk5OTk5fQ")
	f.Add("m1", "Kept", int64(1<<62), "eyJ1aWQiOiJ1Iiwia2luZCI6IkF0dGFjaGVkQ2x1c3RlciIsImNsdXN0ZXIiOiJtMiIsInNraXAiOjF9")
	cluster := func(name string) v1alpha1.ClusterStatus {
		return v1alpha1.ClusterStatus{ClusterKind: "AttachedCluster", ClusterName: name}
	}
	m := &v1alpha1.Migrate{ObjectMeta: metav1.ObjectMeta{UID: "u"}, Status: v1alpha1.MigrateStatus{
		SourceClusterStatus: &v1alpha1.BackupDetails{ClusterStatus: cluster("m1")},
		TargetClusterStatus: []v1alpha1.RestoreDetails{{ClusterStatus: cluster("m2")}},
	}}
	f.Fuzz(func(t *testing.T, cluster, outcome string, limit int64, continues string) {
		p, err := pageOf(m, &backup.MigrateResultsOptions{Cluster: cluster, Outcome: outcome, Limit: limit, Continue: continues})
		switch {
		case apierrors.IsBadRequest(err), apierrors.IsResourceExpired(err):
		case err != nil:
			t.Errorf("error %v", err)
		case len(p.operations) == 0 || p.skip < 0 || p.limit < 0:
			t.Errorf("page %+v", p)
		}
	})
}
