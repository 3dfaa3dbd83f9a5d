// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package permission

import (
	"fmt"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

const (
	// verbUse is the verb that a user needs on a cluster, or on the Fleet that stands for its
	// clusters, to migrate from or to it.
	verbUse = "use"
	// useRole is the ClusterRole in our examples that grants verbUse.
	useRole = "migrate-cluster-user"
)

// Object is an object on the host that a user needs the verb use on: a cluster or a Fleet.
type Object struct {
	kind, namespace, name string
}

// ObjectsOf returns all objects that a Migrate with this spec needs, each once.
func ObjectsOf(namespace string, spec *v1alpha1.MigrateSpec) []Object {
	var objects []Object
	seen := map[Object]bool{}
	add := func(d v1alpha1.Destination, c migration.Cluster) {
		if object := objectFor(namespace, d, c); !seen[object] {
			seen[object] = true
			objects = append(objects, object)
		}
	}
	for _, d := range []v1alpha1.Destination{spec.SourceCluster, spec.TargetCluster} {
		for _, ref := range d.Clusters {
			add(d, migration.ClusterFor(ref))
		}
		if len(d.Clusters) == 0 {
			add(d, migration.Cluster{})
		}
	}
	return objects
}

// objectFor returns the object that a user needs for a cluster of a destination: the cluster if
// the destination names clusters, else the Fleet. A ClusterProfile is needed itself in any case: who may use a Fleet may not
// therefore use a cluster set of its name.
func objectFor(namespace string, d v1alpha1.Destination, c migration.Cluster) Object {
	if len(d.Clusters) == 0 && c.Kind != migration.KindClusterProfile {
		return Object{migration.KindFleet, namespace, d.Fleet}
	}
	return Object{c.Kind, namespace, c.Name}
}

// allOfKind returns the Object that stands for all objects of the kind in the namespace.
func (o Object) allOfKind() Object { return Object{kind: o.kind, namespace: o.namespace} }

// String returns the kind, namespace and name.
func (o Object) String() string { return fmt.Sprintf("%s %s/%s", o.kind, o.namespace, o.name) }

// Denial returns the message for a user who may not use the object, with the permission that
// they need.
func (o Object) Denial(username string) string {
	resource := migration.ResourceFor(o.kind)
	return fmt.Sprintf("user %q may not use %s: they need verb %q on resource %q in API group %q with that name and namespace; "+
		"ask for a RoleBinding to ClusterRole %s, or to a Role with that rule", username, o, verbUse, resource.Resource, resource.Group, useRole)
}

// attributes returns the attributes of a SubjectAccessReview for a user and the object.
func (o Object) attributes(u user.Info) authorizer.Attributes {
	resource := migration.ResourceFor(o.kind)
	return authorizer.AttributesRecord{
		User: u, Verb: verbUse, ResourceRequest: true,
		APIGroup: resource.Group, APIVersion: "*", Resource: resource.Resource, Namespace: o.namespace, Name: o.name,
	}
}
