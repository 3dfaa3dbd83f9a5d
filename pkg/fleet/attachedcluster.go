// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kurator.dev/migrate-apiserver/pkg/migration"
)

// attachedCluster is Kurator's kind of a cluster whose kubeconfig somebody put into a Secret.
var attachedCluster = clusterKind{
	name: migration.KindAttachedCluster,
	read: func(u *unstructured.Unstructured, c *cluster) {
		c.ready, _, _ = unstructured.NestedBool(u.Object, "status", "ready")
		c.secret, _, _ = unstructured.NestedString(u.Object, "spec", "kubeconfig", "name")
		c.key, _, _ = unstructured.NestedString(u.Object, "spec", "kubeconfig", "key")
		if c.key == "" {
			c.key = defaultKey
		}
	},
	kubeconfig: (*Inventory).kubeconfigInSecret,
}
