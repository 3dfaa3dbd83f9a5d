// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/fleet/internal/access"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// kind is a kind of the inventory.
type kind struct {
	name     string
	resource schema.GroupVersionResource
	// matters returns the part of an object that matters to a migration, for comparison.
	matters func(*unstructured.Unstructured) any
	// optional is set for a kind that is absent where the server may not list it.
	optional bool
}

func kinds() []kind {
	all := []kind{newKind(migration.KindFleet, func(u *unstructured.Unstructured) any { return Members(u) })}
	for _, k := range clusterKinds() {
		of := newKind(k.name, func(u *unstructured.Unstructured) any { return k.cluster(u) })
		of.optional = k.optional
		all = append(all, of)
	}
	return all
}

func newKind(name string, matters func(*unstructured.Unstructured) any) kind {
	return kind{name: name, resource: migration.ResourceFor(name).WithVersion("v1alpha1"), matters: matters}
}

// clusterKind is a kind of clusters; each has a file of its own.
type clusterKind struct {
	name     string
	optional bool
	// read sets what the kind has in its own way.
	read func(u *unstructured.Unstructured, c *cluster)
	// kubeconfig returns the kubeconfig of a cluster in a namespace.
	kubeconfig func(i *Inventory, ctx context.Context, namespace string, c *cluster) ([]byte, error)
}

func clusterKinds() []clusterKind {
	return []clusterKind{attachedCluster, capiCluster, clusterProfile}
}

// cluster returns the cluster of an object.
func (k clusterKind) cluster(u *unstructured.Unstructured) *cluster {
	c := &cluster{kind: k.name, name: u.GetName(), uid: u.GetUID(), veleroNamespace: velerov1.DefaultNamespace}
	if namespace, ok := u.GetAnnotations()[v1alpha1.VeleroNamespaceAnnotation]; ok {
		c.veleroNamespace = namespace
	}
	c.concurrentBackups = u.GetAnnotations()[v1alpha1.ConcurrentBackupsAnnotation]
	k.read(u, c)
	return c
}

// clusterKindOf returns the kind of clusters with a name; false if there is none.
func clusterKindOf(name string) (clusterKind, bool) {
	for _, k := range clusterKinds() {
		if k.name == name {
			return k, true
		}
	}
	return clusterKind{}, false
}

// cluster is the part of a cluster object that matters to a migration.
type cluster struct {
	kind, name string
	uid        types.UID
	ready      bool
	// secret and key refer to the kubeconfig; secret is empty if the object has no reference.
	secret, key string
	// providers are the ways to access a ClusterProfile, and set its cluster set.
	providers []access.Provider
	set       string
	// veleroNamespace is the value of the annotation, not validated.
	veleroNamespace string
	// concurrentBackups is the value of the annotation, not validated; empty if it has none.
	concurrentBackups string
}
