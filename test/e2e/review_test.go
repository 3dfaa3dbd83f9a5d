// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// Users that exist in the host and the members: trusted may do all that the migration
// does; mistrusted may not read all objects in the source; local may create them only in
// one namespace of the target.
const (
	hostUsers = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reviewed}
rules:
- {apiGroups: [backup.kurator.dev], resources: [migrates], verbs: [get, create]}
- {apiGroups: [cluster.kurator.dev], resources: [attachedclusters], verbs: [use]}
---
` + clusterRoleBinding + `
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: local}
`
	sourceUsers = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reviewed}
rules:
- {apiGroups: [""], resources: [configmaps], verbs: [get, list]}
---
` + clusterRoleBinding + `
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: local}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reviewed, namespace: reviewed}
rules:
- {apiGroups: [""], resources: [namespaces, secrets], verbs: [get, list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reviewed, namespace: reviewed}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reviewed}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: trusted}
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: local}
`
	targetUsers = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reviewed}
rules:
- {apiGroups: [""], resources: [configmaps, namespaces, secrets], verbs: [create]}
---
` + clusterRoleBinding
	clusterRoleBinding = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: reviewed}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reviewed}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: trusted}
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: mistrusted}`
	localRoleBinding = `
apiVersion: v1
kind: Namespace
metadata: {name: %[1]s}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: local, namespace: %[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reviewed}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: local}
`
)

// TestMemberAccessReviewWaitsForPermission runs the server with --member-access-review,
// so that it checks the requester's permissions in the members. The Migrate of a user
// with all permissions completes. That of a user who may not read the namespace and its
// Secrets in the source waits for permission and has no Backup; that of a user who may
// not create objects in the mapped namespace of the target waits and has no Restore.
func TestMemberAccessReviewWaitsForPermission(t *testing.T) {
	needsFleet(t)
	ensureAbsent(t, "reviewed", "reviewed-elsewhere")
	host.apply(t, hostUsers)
	members[source].apply(t, settings("reviewed"))
	members[source].apply(t, sourceUsers)
	members[2].apply(t, targetUsers)
	members[source].kubectl(t, "create", "secret", "generic", "password", "--namespace=reviewed", "--from-literal=password=secret")
	t.Cleanup(func() { startServer(t) })
	program := filepath.Join(fleet.BinDir(), "migrate-apiserver")
	if err := fleet.StartServer(context.WithoutCancel(t.Context()), program, "--member-access-review"); err != nil {
		t.Fatal(err)
	}
	const policy = "{resourceFilter: {includedNamespaces: [reviewed], includedResources: [configmaps, secrets]}}"

	mistrusted := migrateAs(t, "mistrusted", manifest("mistrusted", policy, 2))
	const want = `Access to AttachedCluster kurator-member1 is denied, waiting for permission: user "mistrusted" may not get namespaces ` +
		`reviewed in kurator-member1, which the migration would do for them.`
	waits := mistrusted.await(t, "that the requester may not read the namespace", func(m *v1alpha1.Migrate) bool {
		return m.Status.SourceClusterStatus != nil && m.Status.SourceClusterStatus.Message == want
	})
	checkCondition(t, waits, v1alpha1.ConditionReady, metav1.ConditionFalse, "ClusterNotAuthorized")
	live := host.kubectl(t, "get", "migrate", "mistrusted", "--subresource=status", "--output=jsonpath={.status.sourceClusterStatus.message}")
	if live != want {
		t.Errorf("the source's live message is %q, want %q", live, want)
	}

	trusted := migrateAs(t, "trusted", manifest("trusted", policy, 2)).awaitCompleted(t)
	checkOnce(t, trusted, 2)
	if trusted.Spec.Requester == nil || trusted.Spec.Requester.Username != "trusted" {
		t.Errorf("the recorded requester is %+v", trusted.Spec.Requester)
	}
	for _, annotations := range []map[string]string{
		members[source].backups(t, trusted.UID)[0].Annotations, members[2].restores(t, trusted.UID)[0].Annotations,
	} {
		if got := annotations["backup.kurator.dev/requester"]; got != "trusted" {
			t.Errorf("the Velero object's requester is %q", got)
		}
	}
	if data := members[2].configMap(t, "reviewed", "settings"); data["greeting"] != "hello" {
		t.Errorf("the ConfigMap has %q in the target", data)
	}

	// The other Migrate has completed while this one waited.
	if backups := members[source].backups(t, waits.UID); len(backups) != 0 {
		t.Errorf("there are %d Backups for a user without permission in the source", len(backups))
	}
	members[source].apply(t, strings.ReplaceAll(sourceUsers, "resources: [configmaps]", "resources: [configmaps, namespaces]"))
	mistrusted.await(t, "that the requester may not read Secrets", func(m *v1alpha1.Migrate) bool {
		return strings.Contains(m.Status.SourceClusterStatus.Message, "may not get secrets in namespace reviewed in kurator-member1")
	})
	members[source].apply(t, strings.ReplaceAll(sourceUsers, "resources: [configmaps]", "resources: [configmaps, namespaces, secrets]"))
	checkOnce(t, mistrusted.awaitCompleted(t), 2)

	members[2].apply(t, fmt.Sprintf(localRoleBinding, "reviewed"))
	local := migrateAs(t, "local", manifest("local", "{namespaceMapping: {reviewed: reviewed-elsewhere}, "+strings.TrimPrefix(policy, "{"), 2))
	waits = local.await(t, "that the requester may not create anything there", func(m *v1alpha1.Migrate) bool {
		targets := m.Status.TargetClusterStatus
		return len(targets) == 1 && strings.Contains(targets[0].Message,
			`user "local" may not create configmaps in namespace reviewed-elsewhere in kurator-member2, which the migration would do for them`)
	})
	if restores := members[2].restores(t, waits.UID); len(restores) != 0 {
		t.Errorf("there are %d Restores for a user without permission in the target", len(restores))
	}
	members[2].apply(t, fmt.Sprintf(localRoleBinding, "reviewed-elsewhere"))
	checkOnce(t, local.awaitCompleted(t), 2)
	if data := members[2].configMap(t, "reviewed-elsewhere", "settings"); data["greeting"] != "hello" {
		t.Errorf("the ConfigMap has %q in the mapped namespace", data)
	}
}

// migrateAs creates a Migrate as a user of the host.
func migrateAs(t *testing.T, user, manifest string) migration {
	t.Helper()
	m := migration{metav1.NamespaceDefault, user}
	m.delete(t)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(m.describe())
		}
	})
	host.kubectl(t, "create", "--as="+user, "--filename", manifestFile(t, manifest))
	return m
}
