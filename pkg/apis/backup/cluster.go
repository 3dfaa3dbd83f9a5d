// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package backup

import corev1 "k8s.io/api/core/v1"

// These are the kinds of a member cluster: of Kurator (cluster.kurator.dev), and of SIG-Multicluster (multicluster.x-k8s.io).
const (
	KindAttachedCluster = "AttachedCluster"
	KindCluster         = "Cluster"
	KindClusterProfile  = "ClusterProfile"
)

// ClusterKinds returns the kinds of a member cluster.
func ClusterKinds() []string { return []string{KindAttachedCluster, KindCluster, KindClusterProfile} }

// ClusterGroup returns the API group of a kind of member clusters.
func ClusterGroup(kind string) string {
	if kind == KindClusterProfile {
		return "multicluster.x-k8s.io"
	}
	return "cluster.kurator.dev"
}

// MaxClusters is how many clusters a Destination may name or resolve to at most: the
// status has an entry for each and is one object, which etcd has to accept.
const MaxClusters = 500

// ClusterKind returns the kind of the cluster that ref refers to, which is Cluster if
// ref has none.
func ClusterKind(ref corev1.ObjectReference) string {
	if ref.Kind == "" {
		return KindCluster
	}
	return ref.Kind
}
