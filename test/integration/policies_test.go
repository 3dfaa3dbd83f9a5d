// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"strings"
	"testing"
)

// TestValidatingAdmissionPolicy forbids a target by a policy of the host.
func TestValidatingAdmissionPolicy(t *testing.T) {
	n := newNamespace(t)
	n.apply(policies("ValidatingAdmissionPolicy", n.name, `
  validations:
  - expression: "!has(object.spec.targetCluster.clusters) || object.spec.targetCluster.clusters.all(c, c.name != 'member3')"
    messageExpression: "'nothing goes to member3, ' + request.userInfo.username"
`, "validationActions: [Deny]"))
	refused := n.file("refused.yaml", manifest("refused"), 0o600)
	eventually(t, "the policy to hold", func(context.Context) bool {
		out, err := n.try("", "create", "-f", refused, "--dry-run=server")
		return err != nil && strings.Contains(out, "nothing goes to member3, kubernetes-admin")
	})
	contains(t, n.fail("create", "-f", refused), "ValidatingAdmissionPolicy", "denied request")
	contains(t, n.fail("apply", "--server-side", "-f", refused), "nothing goes to member3")
	n.run("create", "-f", n.file("a.yaml", strings.Replace(manifest("a"), "member3", "member4", 1), 0o600))
}

// TestMutatingAdmissionPolicy has a policy of the host label every Migrate, and say
// that somebody else asked for it.
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
	eventually(t, "the policy to hold", func(context.Context) bool {
		out, err := n.try("", "create", "-f", n.file("dry.yaml", manifest("dry"), 0o600), "--dry-run=server", "-o", "jsonpath={.metadata.labels.owner}")
		return err == nil && out == "kubernetes-admin"
	})
	n.create("a")
	equal(t, "label and deadline", n.get("a", "{.metadata.labels.owner} {.spec.progressDeadlineSeconds}"), "kubernetes-admin 1234")
	const requester = "{.metadata.labels.patched} {.spec.requester.username} {.spec.requester.groups}"
	equal(t, "who created it", n.get("a", requester), `CREATE kubernetes-admin ["system:masters","system:authenticated"]`)
	n.run("annotate", "migrate", "a", "an=update")
	equal(t, "who created it, after an update", n.get("a", requester), `UPDATE kubernetes-admin ["system:masters","system:authenticated"]`)
}

// policies is a policy for new Migrates of one namespace, and its binding.
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

// apply applies objects of the host and deletes them after the test.
func (n namespace) apply(manifests string) {
	n.t.Helper()
	file := n.file("host.yaml", manifests, 0o600)
	n.run("apply", "-f", file)
	n.t.Cleanup(func() {
		if out, err := n.tryIn(context.Background(), "", "delete", "--ignore-not-found", "-f", file); err != nil {
			n.t.Errorf("%v\n%s", err, out)
		}
	})
}
