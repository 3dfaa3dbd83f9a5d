// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"

	"kurator.dev/migrate-apiserver/pkg/migration"
)

// Members returns the clusters of a Fleet in its order, each once. It skips kinds and names
// that are too long to be valid.
func Members(u *unstructured.Unstructured) []migration.Cluster {
	refs, _, _ := unstructured.NestedFieldNoCopy(u.Object, "spec", "clusters")
	list, _ := refs.([]any)
	var members []migration.Cluster
	seen := map[migration.Cluster]bool{}
	for _, item := range list {
		ref, _ := item.(map[string]any)
		kind, _, _ := unstructured.NestedString(ref, "kind")
		name, _, _ := unstructured.NestedString(ref, "name")
		c := migration.ClusterFor(corev1.ObjectReference{Kind: kind, Name: name})
		if c.Name == "" || seen[c] || len(c.Name) > validation.DNS1123SubdomainMaxLength || len(c.Kind) > validation.DNS1123LabelMaxLength {
			continue
		}
		seen[c] = true
		members = append(members, c)
	}
	return members
}
