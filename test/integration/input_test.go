// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"strings"
	"testing"
)

// TestInvalidInput sends what only a serialized object can have: nulls and values of a wrong
// type. The unit tests of package validation have the other cases.
func TestInvalidInput(t *testing.T) {
	n := newNamespace(t)
	tests := map[string]struct{ old, new, want string }{
		"null cluster":          {"    - kind: AttachedCluster\n      name: member3\n", "    - null\n", "spec.targetCluster.clusters[1]: Required value: write kind (AttachedCluster, Cluster or ClusterProfile) and name of a cluster, or remove the entry"},
		"null sourceCluster":    {"  sourceCluster:\n    fleet: nowhere\n    clusters:\n    - kind: AttachedCluster\n      name: member1\n", "  sourceCluster: null\n", "spec.sourceCluster.fleet: Required value: name the Fleet that the clusters are members of"},
		"null label selector":   {"      labelSelector:\n        matchLabels:\n          app: busybox\n", "      orLabelSelectors: [null]\n", "spec.policy.resourceFilter.orLabelSelectors[0]: Required value: write a label selector, or remove the entry"},
		"array for a string":    {"fleet: nowhere", "fleet: [nowhere]", "cannot unmarshal array into Go struct field"},
		"string for an integer": {"spec:\n", "spec:\n  progressDeadlineSeconds: soon\n", "cannot unmarshal string into Go struct field"},
		"invalid name":          {"  name: a\n", "  name: A_B\n", "metadata.name: Invalid value: \"A_B\""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bad := strings.Replace(manifest("a"), test.old, test.new, 1)
			if bad == manifest("a") {
				t.Fatal("the case does not change the manifest")
			}
			n := namespace{t, n.name}
			contains(t, n.fail("create", "--validate=ignore", "-f", n.file("bad.yaml", bad, 0o600)), test.want)
			n.fail("apply", "--server-side", "--validate=ignore", "-f", n.file("bad.yaml", bad, 0o600))
		})
	}
	equal(t, "stored Migrates", n.run("get", "migrates", "-o", "name"), "")
}

// TestKuratorManifest applies a manifest as users of Kurator have it, with many fields at once:
// this API must stay compatible with Kurator's.
func TestKuratorManifest(t *testing.T) {
	n := newNamespace(t)
	n.run("apply", "-f", n.file("kurator.yaml", `apiVersion: backup.kurator.dev/v1alpha1
kind: Migrate
metadata:
  name: everything
spec:
  sourceCluster:
    fleet: quickstart
    clusters:
    - kind: AttachedCluster
      name: kurator-member1
  targetCluster:
    fleet: quickstart
    clusters:
    - name: kurator-member2
  policy:
    resourceFilter:
      includedNamespaces: [a, "b-*"]
      excludedNamespaces: [c]
      includedResources: [deployments.apps]
      excludedResources: [events]
      includeClusterResources: false
      orLabelSelectors:
      - matchLabels: {app: busybox}
      - matchExpressions:
        - {key: tier, operator: In, values: [web, db]}
    orderedResources:
      pods: a/x,a/y
    namespaceMapping:
      a: z
    migrateStatus:
      includedResources: [deployments.apps]
    preserveNodePorts: true
`, 0o600))
	equal(t, "omitted kind", n.get("everything", "{.spec.targetCluster.clusters[0].kind}"), "")
	equal(t, "mapping", n.get("everything", "{.spec.policy.namespaceMapping.a}"), "z")
}
