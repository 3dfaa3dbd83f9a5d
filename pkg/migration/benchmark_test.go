// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"fmt"
	"testing"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
)

// BenchmarkStatus computes the status of a Migrate with many running Restores, as every sync of
// the driver and every read of the subresource status does.
func BenchmarkStatus(b *testing.B) {
	for _, targets := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("targets=%d", targets), func(b *testing.B) {
			var clusters []Cluster
			for i := range targets {
				clusters = append(clusters, Cluster{KindAttachedCluster, fmt.Sprintf("t%d", i)})
			}
			s := newFixture(nil, clusters...)
			for _, c := range clusters {
				s.host.TargetFleet.Members = append(s.host.TargetFleet.Members, c)
				s.host.Clusters[c] = ClusterState{Ready: true}
				s.seen.Members[c] = Member{Locations: []velerov1.BackupStorageLocation{bucket("velero")}, Turn: &Turn{}}
			}
			s.restoring()
			for b.Loop() {
				Status(s.m, s.observed(), s.now)
			}
		})
	}
}
