// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/test/localfleet"
)

// A namespace of the source, with a ConfigMap to migrate and objects that the source adds to
// every Backup whose name has "bounded": its API server widens the filter of the Backup that
// our server creates.
const hostileSource = `
apiVersion: v1
kind: Namespace
metadata: {name: bounded}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: bounded}
---
apiVersion: v1
kind: Secret
metadata: {name: planted, namespace: bounded}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: bounded-intruder}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, namespace: bounded, name: intruder}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: bounded}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [velero.io], apiVersions: [v1], operations: [CREATE], resources: [backups]}]}
  matchConditions: [{name: bounded, expression: 'object.metadata.name.contains("bounded")'}]
  failurePolicy: Fail
  reinvocationPolicy: Never
  mutations:
  - patchType: JSONPatch
    jsonPatch:
      expression: '[JSONPatch{op: "remove", path: "/spec/includedResources"}, JSONPatch{op: "add", path: "/spec/includeClusterResources", value: true}]'
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: bounded}
spec: {policyName: bounded}
`

// TestRestoreIsLimitedToListedResources migrates from a source that adds other objects to the
// Backup than the Migrate asks for.
func TestRestoreIsLimitedToListedResources(t *testing.T) {
	needsFleet(t)
	ensureAbsent(t, "bounded")
	members[2].kubectl(t, "delete", "clusterrolebinding/bounded-intruder", "--ignore-not-found")
	members[source].apply(t, hostileSource)
	probe := manifestFile(t, `
apiVersion: velero.io/v1
kind: Backup
metadata: {name: bounded-probe, namespace: velero}
spec: {includedResources: [configmaps]}
`)
	eventually(t, "the source widens Backups", func() (string, bool) {
		created, err := fleet.Kubectl(t.Context(), members[source].kubeconfig, "create", "--dry-run=server", "--output=jsonpath={.spec}", "--filename="+probe)
		if err != nil {
			return err.Error(), false // the policy does not know the kind yet
		}
		return created, strings.Contains(created, `"includeClusterResources":true`)
	})

	m := migrate(t, manifest("bounded", "{resourceFilter: {includedNamespaces: [bounded], includedResources: [configmaps]}}", 2)).
		awaitEnd(t, v1alpha1.MigratePhasePartiallyFailed)
	if reason := m.Status.TargetClusterStatus[0].Reason; reason != v1alpha1.ReasonItemsLeftOut {
		t.Errorf("what the source added is reported as %s", reason)
	}
	backup := members[source].backups(t, m.UID)[0]
	if len(backup.Spec.IncludedResources) > 0 || backup.Status.Progress.TotalItems < 4 {
		t.Errorf("the Backup includes resources %q and has %d items: the source added nothing", backup.Spec.IncludedResources, backup.Status.Progress.TotalItems)
	}
	got := members[2].restored(t, m.Status.TargetClusterStatus[0].RestoreNameInCluster)
	if want := []string{"ConfigMap/bounded/settings"}; !slices.Equal(got, want) {
		t.Errorf("restored\n%q, want\n%q", got, want)
	}
	if found := members[2].kubectl(t, "get", "clusterrolebinding/bounded-intruder", "secret/planted", "--namespace=bounded", "--ignore-not-found", "--output=name"); found != "" {
		t.Errorf("the target has %q", found)
	}
}

// definition returns a CustomResourceDefinition of a namespaced kind; its resource is the kind in lower case
// with an s.
func definition(group, kind string) string {
	singular := strings.ToLower(kind)
	return fmt.Sprintf(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %[3]ss.%[1]s}
spec:
  group: %[1]s
  names: {kind: %[2]s, plural: %[3]ss, singular: %[3]s}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`, group, kind, singular)
}

// TestCustomResourceIsMigratedWithItsDefinition checks that a Restore which is limited to a custom resource,
// by the filter or by what the Backup has, still creates both, although Velero in the target can't resolve the
// resource before it has restored the definition. The plural of Tray is not the one that Kubernetes guesses.
func TestCustomResourceIsMigratedWithItsDefinition(t *testing.T) {
	needsFleet(t)
	ensureAbsent(t, "gadgets")
	for _, kind := range []string{"Gadget", "Tray"} {
		resource := "customresourcedefinition/" + strings.ToLower(kind) + "s.bounds.example.com"
		members[2].kubectl(t, "delete", resource, "--ignore-not-found")
		members[source].apply(t, definition("bounds.example.com", kind))
		members[source].kubectl(t, "wait", "--for=condition=Established", resource)
	}
	members[source].apply(t, `
apiVersion: v1
kind: Namespace
metadata: {name: gadgets}
---
apiVersion: bounds.example.com/v1
kind: Gadget
metadata: {name: one, namespace: gadgets}
---
apiVersion: bounds.example.com/v1
kind: Tray
metadata: {name: two, namespace: gadgets}
`)
	rediscover(t, source)

	for _, tt := range []struct{ filter, want string }{
		{"includedResources: [gadget.bounds]", "gadget.bounds.example.com/one\n"},
		{"excludedResources: [gadgets.bounds.example.com]", "tray.bounds.example.com/two\n"},
		{"labelSelector: {}", "gadget.bounds.example.com/one\ntray.bounds.example.com/two\n"},
	} {
		t.Run(tt.filter, func(t *testing.T) {
			if err := members[2].deleteNamespaces(t.Context(), []string{"gadgets"}); err != nil {
				t.Fatal(err)
			}
			members[2].kubectl(t, "delete", "customresourcedefinitions", "gadgets.bounds.example.com", "trays.bounds.example.com", "--ignore-not-found")
			m := migrateAndComplete(t, manifest("gadgets", "{resourceFilter: {includedNamespaces: [gadgets], "+tt.filter+"}}", 2))
			got := ""
			for _, resource := range []string{"gadgets", "trays"} {
				if members[2].kubectl(t, "get", "customresourcedefinition", resource+".bounds.example.com", "--ignore-not-found", "--output=name") != "" {
					got += members[2].kubectl(t, "get", resource+".bounds.example.com", "--namespace=gadgets", "--output=name")
				}
			}
			if got != tt.want {
				t.Errorf("the target has %q, want %q: %s", got, tt.want, m.Status.TargetClusterStatus[0].Message)
			}
		})
	}
}

// rediscover restarts the Velero of a member: it discovers resources when it starts and then every five
// minutes.
func rediscover(t *testing.T, n int) {
	t.Helper()
	velero, err := fleet.Process(localfleet.MemberName(n) + "-velero")
	if err != nil {
		t.Fatal(err)
	}
	if err := velero.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
}
