// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/client-go/rest"

	"kurator.dev/migrate-apiserver/test/localfleet"
)

// TestAudit has the server write an audit log of its own: who asked for which
// migration is in it, and the host's log has an event of each of these requests.
func TestAudit(t *testing.T) {
	n := newNamespace(t)
	const policy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  verbs: [create, patch, delete, deletecollection]
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
	n.run("create", "role", "creator", "--verb=create,patch", "--resource=migrates.backup.kurator.dev")
	n.run("create", "rolebinding", "bob", "--role=creator", "--user=bob")
	n.run("create", "rolebinding", "alice", "--clusterrole=cluster-admin", "--user=alice")
	users := map[string]tenant{"alice": n.byCertificate("alice", "tenants"), "bob": n.byCertificate("bob"), "kubernetes-admin": administrator()}

	about := func(requester string) map[string]string {
		return map[string]string{
			"backup.kurator.dev/clusters":  "AttachedCluster/member1 -> AttachedCluster/member2,AttachedCluster/member3",
			"backup.kurator.dev/requester": requester,
		}
	}
	var want []entry
	for _, r := range []struct {
		user, verb, name string
		code             int32
		about            map[string]string
		args             string
	}{
		{"bob", "create", "a", 403, about("bob"), "create -f -"},
		{"bob", "patch", "a", 403, about("bob"), "apply --server-side -f -"},
		{"alice", "create", "a", 201, about("alice"), "create --dry-run=server -f -"},
		{"alice", "create", "a", 201, about("alice"), "create -f -"},
		{"alice", "create", "a", 409, about("alice"), "create -f -"},
		{"alice", "patch", "b", 201, about("alice"), "apply --server-side -f -"},
		{"kubernetes-admin", "patch", "b", 200, nil, "apply --server-side --force-conflicts -f -"},
		{"alice", "patch", "a", 200, nil, "label migrate a it=is-changed"},
		{"kubernetes-admin", "delete", "a", 200, about("alice"), "delete migrate a --dry-run=server"},
		{"kubernetes-admin", "delete", "a", 200, about("alice"), "delete migrate a"},
		{"kubernetes-admin", "deletecollection", "", 200, nil, "delete --raw " + migratesIn + n.name + "/migrates"},
	} {
		forged := strings.Replace(manifest(r.name), "spec:\n", "spec:\n  requester: {username: mallory}\n", 1)
		out, err := users[r.user].try(t, forged, append([]string{"--namespace=" + n.name}, strings.Fields(r.args)...)...)
		if (err == nil) != (r.code < 400) {
			t.Fatalf("%s by %s: %v\n%s", r.args, r.user, err, out)
		}
		want = append(want, entry{r.user, r.verb, n.name + "/" + r.name, r.code, r.about})
	}
	equal(t, "what is left", n.run("get", "migrates", "-o", "name"), "")

	// An event is written when its request is answered.
	atHost, ours := map[types.UID]auditv1.Event{}, []entry{}
	eventually(t, "the last event", func(context.Context) bool {
		for _, event := range audited(t, host.HostAuditLog(), "migrates") {
			atHost[event.AuditID] = event
		}
		return slices.ContainsFunc(audited(t, log, "migrates"), func(event auditv1.Event) bool {
			return event.Verb == "deletecollection" && atHost[event.AuditID].AuditID != ""
		})
	})
	for _, event := range audited(t, log, "migrates") {
		same := entryOf(event)
		same.Annotations = nil
		if event.Verb == "create" {
			same.Object = n.name + "/" // the name is in the body, which the host only passes on
		}
		if d := cmp.Diff(same, entryOf(atHost[event.AuditID])); d != "" {
			t.Errorf("another event of the host (-ours +the host's):\n%s", d)
		}
		ours = append(ours, entryOf(event))
	}
	if d := cmp.Diff(want, ours); d != "" {
		t.Error(d)
	}
}

// audited are the events about a resource in a log.
func audited(t *testing.T, log, resource string) []auditv1.Event {
	t.Helper()
	content, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	var all []auditv1.Event
	for line := range strings.Lines(string(content)) {
		var event auditv1.Event
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatal(err)
		}
		if event.ObjectRef != nil && event.ObjectRef.Resource == resource {
			all = append(all, event)
		}
	}
	return all
}

// entry is what matters of an audit event.
type entry struct {
	User, Verb, Object string
	Code               int32
	Annotations        map[string]string
}

// entryOf has those annotations that are ours.
func entryOf(event auditv1.Event) entry {
	e := entry{User: event.User.Username, Verb: event.Verb}
	if event.ObjectRef != nil {
		e.Object = event.ObjectRef.Namespace + "/" + event.ObjectRef.Name
	}
	if event.ResponseStatus != nil {
		e.Code = event.ResponseStatus.Code
	}
	for key, value := range event.Annotations {
		if strings.HasPrefix(key, "backup.kurator.dev/") {
			if e.Annotations == nil {
				e.Annotations = map[string]string{}
			}
			e.Annotations[key] = value
		}
	}
	return e
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
