// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"strings"
	"testing"
)

// TestValidatingAdmissionPolicy checks that our server enforces a policy of the host.
func TestValidatingAdmissionPolicy(t *testing.T) {
	n := newNamespace(t)
	n.apply(policies("ValidatingAdmissionPolicy", n.name, `
  validations:
  - expression: "!has(object.spec.targetCluster.clusters) || object.spec.targetCluster.clusters.all(c, c.name != 'member3')"
    messageExpression: "'member3 is not a target, ' + request.userInfo.username"
`, "validationActions: [Deny]"))
	refused := n.file("refused.yaml", manifest("refused"), 0o600)
	eventually(t, "the policy to take effect", func(context.Context) bool {
		out, err := n.try("", "create", "-f", refused, "--dry-run=server")
		return err != nil && strings.Contains(out, "member3 is not a target, kubernetes-admin")
	})
	contains(t, n.fail("create", "-f", refused), "ValidatingAdmissionPolicy", "denied request")
	contains(t, n.fail("apply", "--server-side", "-f", refused), "member3 is not a target")
	n.run("create", "-f", n.file("a.yaml", strings.Replace(manifest("a"), "member3", "member4", 1), 0o600))
}

// TestMutatingAdmissionPolicy checks that our server applies a policy of the host, and that a
// policy can't change the requester.
func TestMutatingAdmissionPolicy(t *testing.T) {
	n := newNamespace(t)
	policy := policies("MutatingAdmissionPolicy", n.name, `
  reinvocationPolicy: Never
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration:
      expression: >
        Object{metadata: Object.metadata{labels: {"owner": request.userInfo.username}},
               spec: Object.spec{progressDeadlineSeconds: 1234}}
  - patchType: JSONPatch
    jsonPatch:
      expression: >
        [JSONPatch{op: "add", path: "/metadata/labels/patched", value: string(request.operation)},
         JSONPatch{op: "add", path: "/spec/requester", value: Object.spec.requester{username: "mallory", groups: ["system:masters"]}}]
`, "")
	n.apply(strings.Replace(policy, "operations: [CREATE]", "operations: [CREATE, UPDATE]", 1))
	eventually(t, "the policy to take effect", func(context.Context) bool {
		out, err := n.try("", "create", "-f", n.file("dry.yaml", manifest("dry"), 0o600), "--dry-run=server", "-o", "jsonpath={.metadata.labels.owner}")
		return err == nil && strings.HasSuffix(out, "kubernetes-admin") // after the warnings of the dry run
	})
	n.create("a")
	equal(t, "label and deadline", n.get("a", "{.metadata.labels.owner} {.spec.progressDeadlineSeconds}"), "kubernetes-admin 1234")
	const requester = "{.metadata.labels.patched} {.spec.requester.username} {.spec.requester.groups}"
	equal(t, "requester", n.get("a", requester), `CREATE kubernetes-admin ["system:masters","system:authenticated"]`)
	n.run("annotate", "migrate", "a", "an=update")
	equal(t, "requester after an update", n.get("a", requester), `UPDATE kubernetes-admin ["system:masters","system:authenticated"]`)
}

// policies returns a policy for the creation of Migrates in a namespace, and its binding.
func policies(kind, namespace, spec, binding string) string {
	return `apiVersion: admissionregistration.k8s.io/v1
kind: ` + kind + `
metadata:
  name: ` + namespace + `
spec:
  failurePolicy: Fail
  matchConstraints:
    namespaceSelector:
      matchLabels:
        kubernetes.io/metadata.name: ` + namespace + `
    resourceRules:
    - apiGroups: [backup.kurator.dev]
      apiVersions: [v1alpha1]
      resources: [migrates]
      operations: [CREATE]` + spec + `---
apiVersion: admissionregistration.k8s.io/v1
kind: ` + kind + `Binding
metadata:
  name: ` + namespace + `
spec:
  policyName: ` + namespace + `
  ` + binding + `
`
}

// apply applies objects to the host and deletes them after the test.
func (n namespace) apply(manifests string) {
	n.t.Helper()
	file := n.file("host.yaml", manifests, 0o600)
	n.run("apply", "-f", file)
	n.t.Cleanup(func() {
		if out, err := n.tryWith(context.Background(), "", "delete", "--ignore-not-found", "-f", file); err != nil {
			n.t.Errorf("%v\n%s", err, out)
		}
	})
}
