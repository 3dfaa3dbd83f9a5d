// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// defaultKey is the key of the kubeconfig in a Secret of Cluster API, and of Kurator if the
// reference names none.
const defaultKey = "value"

// kind is a kind of Kurator.
type kind struct {
	name     string
	resource schema.GroupVersionResource
	// matters returns the part of an object that matters to a migration, for comparison.
	matters func(*unstructured.Unstructured) any
}

func kinds() []kind {
	of := func(name string, matters func(*unstructured.Unstructured) any) kind {
		return kind{name, migration.ResourceFor(name).WithVersion("v1alpha1"), matters}
	}
	return []kind{
		of(migration.KindFleet, func(u *unstructured.Unstructured) any { return fleetMembers(u) }),
		of(migration.KindAttachedCluster, func(u *unstructured.Unstructured) any { return readCluster(migration.KindAttachedCluster, u) }),
		of(migration.KindCluster, func(u *unstructured.Unstructured) any { return readCluster(migration.KindCluster, u) }),
	}
}

// cluster is the part of a cluster object that matters to a migration.
type cluster struct {
	uid   types.UID
	ready bool
	// secret and key refer to the kubeconfig; secret is empty if the object has no reference.
	secret, key string
	// veleroNamespace is the value of the annotation, not validated.
	veleroNamespace string
	// concurrentBackups is the value of the annotation, not validated; empty if it has none.
	concurrentBackups string
}

func readCluster(kind string, u *unstructured.Unstructured) cluster {
	c := cluster{uid: u.GetUID(), key: defaultKey, veleroNamespace: velerov1.DefaultNamespace}
	if namespace, ok := u.GetAnnotations()[v1alpha1.VeleroNamespaceAnnotation]; ok {
		c.veleroNamespace = namespace
	}
	c.concurrentBackups = u.GetAnnotations()[v1alpha1.ConcurrentBackupsAnnotation]
	switch kind {
	case migration.KindAttachedCluster:
		c.ready, _, _ = unstructured.NestedBool(u.Object, "status", "ready")
		c.secret, _, _ = unstructured.NestedString(u.Object, "spec", "kubeconfig", "name")
		if key, _, _ := unstructured.NestedString(u.Object, "spec", "kubeconfig", "key"); key != "" {
			c.key = key
		}
	case migration.KindCluster:
		phase, _, _ := unstructured.NestedString(u.Object, "status", "phase")
		c.ready = phase == "Ready"
		c.secret = u.GetName() + "-kubeconfig"
	}
	return c
}

// fleetMembers returns the clusters of a Fleet in its order, each once. It skips kinds and names
// that are too long to be valid.
func fleetMembers(u *unstructured.Unstructured) []migration.Cluster {
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
