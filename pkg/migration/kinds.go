// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// KindFleet is the kind of a fleet; the others are the kinds of member clusters.
const (
	KindFleet           = "Fleet"
	KindAttachedCluster = backup.KindAttachedCluster
	KindCluster         = backup.KindCluster
	KindClusterProfile  = backup.KindClusterProfile
)

// ResourceFor returns the resource of one of these kinds on the host, or the zero value for any
// other kind.
func ResourceFor(kind string) schema.GroupResource {
	switch kind {
	case KindFleet:
		return schema.GroupResource{Group: "fleet.kurator.dev", Resource: "fleets"}
	case KindAttachedCluster:
		return schema.GroupResource{Group: backup.ClusterGroup(kind), Resource: "attachedclusters"}
	case KindCluster:
		return schema.GroupResource{Group: backup.ClusterGroup(kind), Resource: "clusters"}
	case KindClusterProfile:
		return schema.GroupResource{Group: backup.ClusterGroup(kind), Resource: "clusterprofiles"}
	}
	return schema.GroupResource{}
}

// ClusterFor returns the cluster that ref refers to.
func ClusterFor(ref corev1.ObjectReference) Cluster {
	return Cluster{Kind: backup.ClusterKind(ref), Name: ref.Name}
}

// ClusterOf returns the cluster of a cluster status.
func ClusterOf(cs v1alpha1.ClusterStatus) Cluster {
	return Cluster{Kind: cs.ClusterKind, Name: cs.ClusterName}
}
