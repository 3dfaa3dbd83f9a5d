// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"encoding/json"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kurator.dev/migrate-apiserver/pkg/fleet/internal/access"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

const (
	// ClusterSetLabel has the name of the cluster set of a ClusterProfile (KEP-4322).
	ClusterSetLabel = "multicluster.x-k8s.io/clusterset"
	// controlPlaneHealthy is the condition of a ClusterProfile that it can be used (KEP-4322).
	controlPlaneHealthy = "ControlPlaneHealthy"
)

// clusterProfile is SIG-Multicluster's kind of a cluster of any manager (KEP-4322), with the ways to access it (KEP-5339). Its
// fleet is a cluster set.
var clusterProfile = clusterKind{
	name:     migration.KindClusterProfile,
	optional: true,
	read: func(u *unstructured.Unstructured, c *cluster) {
		c.set = u.GetLabels()[ClusterSetLabel]
		conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
		for _, item := range conditions {
			condition, _ := item.(map[string]any)
			if condition["type"] == controlPlaneHealthy && condition["status"] == "True" {
				c.ready = true
			}
		}
		// The first of both is the name of the field since 2025.
		for _, field := range []string{"accessProviders", "credentialProviders"} {
			c.providers = append(c.providers, readProviders(u, field)...)
		}
	},
	kubeconfig: func(i *Inventory, ctx context.Context, namespace string, c *cluster) ([]byte, error) {
		return i.access.Kubeconfig(ctx, accessKey(namespace, c.name), c.providers)
	},
}

// accessKey identifies the credentials of a ClusterProfile.
func accessKey(namespace, name string) string { return namespace + "/" + name }

// readProviders returns the providers in a field of the status. It skips those that are invalid.
func readProviders(u *unstructured.Unstructured, field string) []access.Provider {
	list, _, _ := unstructured.NestedSlice(u.Object, "status", field)
	var providers []access.Provider
	for _, item := range list {
		var provider access.Provider
		encoded, err := json.Marshal(item)
		if err == nil {
			err = json.Unmarshal(encoded, &provider)
		}
		if err == nil && provider.Name != "" {
			providers = append(providers, provider)
		}
	}
	return providers
}
