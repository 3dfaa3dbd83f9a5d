// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package permission

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

func to(fleet string, names ...string) v1alpha1.Destination {
	d := v1alpha1.Destination{Fleet: fleet}
	for _, name := range names {
		kind, name, _ := strings.Cut(name, "/")
		d.Clusters = append(d.Clusters, corev1.ObjectReference{Kind: kind, Name: name})
	}
	return d
}

func TestObjectsOf(t *testing.T) {
	for _, tt := range []struct {
		name           string
		source, target v1alpha1.Destination
		want           []string
	}{
		{"by name", to("f", "AttachedCluster/a"), to("f", "AttachedCluster/b", "Cluster/c", "/d"), []string{"AttachedCluster ns/a", "AttachedCluster ns/b", "Cluster ns/c", "Cluster ns/d"}},
		{"one name, two kinds", to("f", "AttachedCluster/a"), to("f", "/a"), []string{"AttachedCluster ns/a", "Cluster ns/a"}},
		{"a fleet", to("f", "AttachedCluster/a"), to("f"), []string{"AttachedCluster ns/a", "Fleet ns/f"}},
		{"two fleets", to("f"), to("g"), []string{"Fleet ns/f", "Fleet ns/g"}},
		{"each once", to("f"), to("f"), []string{"Fleet ns/f"}},
		{"each cluster once", to("f", "/a"), to("f", "/a", "Cluster/a"), []string{"Cluster ns/a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, object := range ObjectsOf("ns", &v1alpha1.MigrateSpec{SourceCluster: tt.source, TargetCluster: tt.target}) {
				got = append(got, object.String())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestObjectForAResolvedCluster: a Fleet stands for its clusters, a cluster set does not.
func TestObjectForAResolvedCluster(t *testing.T) {
	for _, tt := range []struct {
		destination v1alpha1.Destination
		cluster     migration.Cluster
		want        string
	}{
		{to("f"), migration.Cluster{Kind: "AttachedCluster", Name: "a"}, "Fleet ns/f"},
		{to("f", "AttachedCluster/a"), migration.Cluster{Kind: "AttachedCluster", Name: "a"}, "AttachedCluster ns/a"},
		{to("f"), migration.Cluster{Kind: "ClusterProfile", Name: "a"}, "ClusterProfile ns/a"},
		{to("f", "ClusterProfile/a"), migration.Cluster{Kind: "ClusterProfile", Name: "a"}, "ClusterProfile ns/a"},
	} {
		if got := objectFor("ns", tt.destination, tt.cluster).String(); got != tt.want {
			t.Errorf("%v of %v: got %s, want %s", tt.cluster, tt.destination, got, tt.want)
		}
	}
}
