// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kurator.dev/migrate-apiserver/pkg/migration"
)

// capiCluster is Kurator's kind of a cluster that it creates by Cluster API, whose convention for the kubeconfig it has.
var capiCluster = clusterKind{
	name: migration.KindCluster,
	read: func(u *unstructured.Unstructured, c *cluster) {
		phase, _, _ := unstructured.NestedString(u.Object, "status", "phase")
		c.ready = phase == "Ready"
		c.secret, c.key = u.GetName()+"-kubeconfig", defaultKey
	},
	kubeconfig: (*Inventory).kubeconfigInSecret,
}
