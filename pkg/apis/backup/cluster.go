// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package backup

import corev1 "k8s.io/api/core/v1"

// KindAttachedCluster and KindCluster are the kinds of a member cluster, both of
// cluster.kurator.dev.
const (
	KindAttachedCluster = "AttachedCluster"
	KindCluster         = "Cluster"
)

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
