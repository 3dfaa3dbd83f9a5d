// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/client-go/rest"

	"kurator.dev/migrate-apiserver/test/localfleet"
)

// TestAudit has the server write an audit log of its own: who asked for which
// migration is in it.
func TestAudit(t *testing.T) {
	n := newNamespace(t)
	const policy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  verbs: [create, delete]
  resources:
  - group: backup.kurator.dev
- level: None
`
	log := filepath.Join(t.TempDir(), "audit.log")
	program := localfleet.ServerProgram(host.BinDir())
	err := host.StartServer(t.Context(), program,
		"--audit-policy-file="+n.file("policy.yaml", policy, 0o600), "--audit-log-path="+log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := host.StartServer(context.Background(), program); err != nil {
			t.Error(err)
		}
	})
	n.run("create", "role", "creator", "--verb=create", "--resource=migrates.backup.kurator.dev")
	n.run("create", "rolebinding", "bob", "--role=creator", "--user=bob")
	n.run("create", "rolebinding", "alice", "--clusterrole=cluster-admin", "--user=alice")
	file := n.file("a.yaml", manifest("a"), 0o600)
	n.fail("create", "--as=bob", "-f", file)
	n.run("create", "--as=alice", "--as-group=tenants", "-f", file)
	n.run("label", "--as=alice", "migrate", "a", "not=logged")
	n.run("delete", "--as=kubernetes-admin", "--as-group=system:masters", "migrate", "a")

	annotations := func(requester string) map[string]string {
		return map[string]string{
			"backup.kurator.dev/clusters":  "AttachedCluster/member1 -> AttachedCluster/member2,AttachedCluster/member3",
			"backup.kurator.dev/requester": requester,
		}
	}
	want := []entry{
		{"bob", "create", n.name + "/a", 403, annotations("bob")},
		{"alice", "create", n.name + "/a", 201, annotations("alice")},
		{"kubernetes-admin", "delete", n.name + "/a", 200, annotations("alice")},
	}
	if d := cmp.Diff(want, entries(t, log, n.name)); d != "" {
		t.Error(d)
	}
}

// entry is what matters of an audit event.
type entry struct {
	User, Verb, Object string
	Code               int32
	Annotations        map[string]string
}

// entries are the events of a namespace, with those annotations that are ours.
func entries(t *testing.T, log, namespace string) []entry {
	t.Helper()
	content, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	var all []entry
	for line := range strings.Lines(string(content)) {
		var event auditv1.Event
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatal(err)
		}
		if event.ObjectRef == nil || event.ObjectRef.Namespace != namespace {
			continue
		}
		var ours map[string]string
		for key, value := range event.Annotations {
			if strings.HasPrefix(key, "backup.kurator.dev/") {
				if ours == nil {
					ours = map[string]string{}
				}
				ours[key] = value
			}
		}
		object := event.ObjectRef.Namespace + "/" + event.ObjectRef.Name
		all = append(all, entry{event.User.Username, event.Verb, object, event.ResponseStatus.Code, ours})
	}
	return all
}

// TestFlowControl has a FlowSchema of the host take up a user: our server names it
// in its answer.
func TestFlowControl(t *testing.T) {
	n := newNamespace(t)
	n.apply(`apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: FlowSchema
metadata:
  name: ` + n.name + `
spec:
  matchingPrecedence: 100
  priorityLevelConfiguration:
    name: workload-low
  distinguisherMethod:
    type: ByUser
  rules:
  - subjects:
    - kind: User
      user:
        name: busy
    resourceRules:
    - apiGroups: [backup.kurator.dev]
      resources: [migrates]
      namespaces: ["*"]
      verbs: ["*"]
`)
	schema := n.run("get", "flowschema", n.name, "-o", "jsonpath={.metadata.uid}")
	level := n.run("get", "prioritylevelconfiguration", "workload-low", "-o", "jsonpath={.metadata.uid}")
	headers := func(ctx context.Context, user string) (schema, level string) {
		server := directAs(t, func(config *rest.Config) *rest.Config {
			config.Impersonate.UserName = user
			return config
		})
		response, err := server.ask(ctx, "/apis/backup.kurator.dev/v1alpha1/namespaces/"+n.name+"/migrates")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		return response.Header.Get("X-Kubernetes-Pf-Flowschema-Uid"), response.Header.Get("X-Kubernetes-Pf-Prioritylevel-Uid")
	}
	eventually(t, "the FlowSchema to take up the user", func(ctx context.Context) bool {
		s, l := headers(ctx, "busy")
		return s == schema && l == level
	})
	if s, _ := headers(t.Context(), "idle"); s == schema || s == "" {
		t.Errorf("another user is of FlowSchema %q", s)
	}
}
