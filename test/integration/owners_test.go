// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// TestNamespaceDeletion deletes a namespace whose Migrate waits for an unreachable member. While
// the namespace is terminating, no Migrate can be created in it.
func TestNamespaceDeletion(t *testing.T) {
	n := newNamespace(t)
	n.createUnreachable("a")
	const finalizer = `{"metadata":{"finalizers":["test.kurator.dev/%s"]}}`
	n.run("create", "configmap", "holds-namespace")
	n.run("patch", "configmap", "holds-namespace", "--type=merge", "-p", fmt.Sprintf(finalizer, "held"))

	n.run("delete", "namespace", n.name, "--wait=false")
	eventually(t, "the Migrate to be deleted", func(context.Context) bool {
		return n.run("get", "migrates", "-o", "name") == ""
	})
	contains(t, n.fail("create", "-f", n.file("late.yaml", manifest("late"), 0o600)),
		"(Forbidden)", "unable to create new content in namespace "+n.name+" because it is being terminated")
	n.run("patch", "configmap", "holds-namespace", "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
	n.run("wait", "namespace", n.name, "--for=delete", "--timeout=60s")
	contains(t, n.fail("create", "-f", n.file("later.yaml", manifest("later"), 0o600)),
		`(NotFound)`, `namespaces "`+n.name+`" not found`)
}

// TestMigrateDeletionCascades deletes Migrates that own other objects, with each propagation
// policy. It is parallel because the host's garbage collector needs up to half a minute to
// discover a new API.
func TestMigrateDeletionCascades(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	for _, name := range []string{"background", "foreground", "orphan"} {
		n.create(name)
		n.create(name + "-owned")
		for _, owned := range []string{"configmap/" + name, "migrate/" + name + "-owned"} {
			if strings.HasPrefix(owned, "configmap/") {
				n.run("create", "configmap", name)
			}
			n.run("patch", owned, "--type=merge", "-p", ownedBy("backup.kurator.dev/v1alpha1", "Migrate", name, n.get(name, "{.metadata.uid}")))
		}
	}
	for _, name := range []string{"background", "foreground", "orphan"} {
		n.run("delete", "migrate", name, "--cascade="+name, "--timeout=60s")
		n.fail("get", "migrate", name)
	}
	for _, owned := range []string{"configmap/background", "migrate/background-owned", "configmap/foreground", "migrate/foreground-owned"} {
		n.run("wait", owned, "--for=delete", "--timeout=60s")
	}
	for _, orphan := range []string{"configmap/orphan", "migrate/orphan-owned"} {
		equal(t, "owners of "+orphan, n.run("get", orphan, "-o", "jsonpath={.metadata.ownerReferences}"), "")
	}
}

// TestOwnerDeletionDeletesMigrate deletes a ConfigMap that owns a Migrate.
func TestOwnerDeletionDeletesMigrate(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	n.run("create", "configmap", "owner")
	n.create("owned")
	uid := n.run("get", "configmap", "owner", "-o", "jsonpath={.metadata.uid}")
	n.run("patch", "migrate", "owned", "--type=merge", "-p", ownedBy("v1", "ConfigMap", "owner", uid))
	n.run("delete", "configmap", "owner", "--cascade=foreground", "--timeout=60s")
	n.run("wait", "migrate/owned", "--for=delete", "--timeout=60s")
}

// ownedBy returns a patch that sets the owner of an object. The owner's deletion in the
// foreground waits for the object's.
func ownedBy(apiVersion, kind, name, uid string) string {
	return fmt.Sprintf(`{"metadata":{"ownerReferences":[{"apiVersion":%q,"kind":%q,"name":%q,"uid":%q,"blockOwnerDeletion":true}]}}`, apiVersion, kind, name, uid)
}
