// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// TestNamespaceDeletion deletes a namespace whose Migrate waits for a member that is
// down, and finds it closed to new Migrates meanwhile.
func TestNamespaceDeletion(t *testing.T) {
	n := newNamespace(t)
	n.createOfDeadFleet("a")
	const held = `{"metadata":{"finalizers":["test.kurator.dev/%s"]}}`
	n.run("create", "configmap", "last")
	n.run("patch", "configmap", "last", "--type=merge", "-p", fmt.Sprintf(held, "held"))

	n.run("delete", "namespace", n.name, "--wait=false")
	eventually(t, "the Migrate to go", func(context.Context) bool {
		return n.run("get", "migrates", "-o", "name") == ""
	})
	contains(t, n.fail("create", "-f", n.file("late.yaml", manifest("late"), 0o600)),
		"(Forbidden)", "unable to create new content in namespace "+n.name+" because it is being terminated")
	n.run("patch", "configmap", "last", "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
	n.run("wait", "namespace", n.name, "--for=delete", "--timeout=60s")
	contains(t, n.fail("create", "-f", n.file("later.yaml", manifest("later"), 0o600)),
		`(NotFound)`, `namespaces "`+n.name+`" not found`)
}

// TestOwnedByMigrate deletes Migrates that own a ConfigMap, in each way there is. The
// host's garbage collector learns of a new API within half a minute, so this waits
// beside other tests that wait.
func TestOwnedByMigrate(t *testing.T) {
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

// TestMigrateOwnedByConfigMap deletes a ConfigMap that owns a Migrate.
func TestMigrateOwnedByConfigMap(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	n.run("create", "configmap", "owner")
	n.create("owned")
	uid := n.run("get", "configmap", "owner", "-o", "jsonpath={.metadata.uid}")
	n.run("patch", "migrate", "owned", "--type=merge", "-p", ownedBy("v1", "ConfigMap", "owner", uid))
	n.run("delete", "configmap", "owner", "--cascade=foreground", "--timeout=60s")
	n.run("wait", "migrate/owned", "--for=delete", "--timeout=60s")
}

// ownedBy is a patch that gives an object an owner, who in the foreground waits for it.
func ownedBy(apiVersion, kind, name, uid string) string {
	return fmt.Sprintf(`{"metadata":{"ownerReferences":[{"apiVersion":%q,"kind":%q,"name":%q,"uid":%q,"blockOwnerDeletion":true}]}}`, apiVersion, kind, name, uid)
}
