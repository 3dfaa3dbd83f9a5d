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

// TestAuditRecordsRequesterAndClusters checks that our server's audit log has the requester
// and the clusters of each migration, and that the host's audit log has an event with the
// same audit ID.
func TestAuditRecordsRequesterAndClusters(t *testing.T) {
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

	annotations := func(requester string) map[string]string {
		return map[string]string{
			"backup.kurator.dev/clusters":  "AttachedCluster/member1 -> AttachedCluster/member2,AttachedCluster/member3",
			"backup.kurator.dev/requester": requester,
		}
	}
	var want []auditEntry
	for _, r := range []struct {
		user, verb, name string
		code             int32
		annotations      map[string]string
		args             string
	}{
		{"bob", "create", "a", 403, annotations("bob"), "create -f -"},
		{"bob", "patch", "a", 403, annotations("bob"), "apply --server-side -f -"},
		{"alice", "create", "a", 201, annotations("alice"), "create --dry-run=server -f -"},
		{"alice", "create", "a", 201, annotations("alice"), "create -f -"},
		{"alice", "create", "a", 409, annotations("alice"), "create -f -"},
		{"alice", "patch", "b", 201, annotations("alice"), "apply --server-side -f -"},
		{"kubernetes-admin", "patch", "b", 200, nil, "apply --server-side --force-conflicts -f -"},
		{"alice", "patch", "a", 200, nil, "label migrate a it=is-changed"},
		{"kubernetes-admin", "delete", "a", 200, annotations("alice"), "delete migrate a --dry-run=server"},
		{"kubernetes-admin", "delete", "a", 200, annotations("alice"), "delete migrate a"},
		{"kubernetes-admin", "deletecollection", "", 200, nil, "delete --raw " + migratesIn + n.name + "/migrates"},
	} {
		forged := strings.Replace(manifest(r.name), "spec:\n", "spec:\n  requester: {username: mallory}\n", 1)
		out, err := users[r.user].try(t, forged, append([]string{"--namespace=" + n.name}, strings.Fields(r.args)...)...)
		if (err == nil) != (r.code < 400) {
			t.Fatalf("%s by %s: %v\n%s", r.args, r.user, err, out)
		}
		want = append(want, auditEntry{r.user, r.verb, n.name + "/" + r.name, r.code, r.annotations})
	}
	equal(t, "Migrates left", n.run("get", "migrates", "-o", "name"), "")

	// The event of the last request may be written after its response.
	hostEvents, ours := map[types.UID]auditv1.Event{}, []auditEntry{}
	eventually(t, "the last event", func(context.Context) bool {
		for _, event := range auditEvents(t, host.HostAuditLog(), "migrates") {
			hostEvents[event.AuditID] = event
		}
		return slices.ContainsFunc(auditEvents(t, log, "migrates"), func(event auditv1.Event) bool {
			return event.Verb == "deletecollection" && hostEvents[event.AuditID].AuditID != ""
		})
	})
	for _, event := range auditEvents(t, log, "migrates") {
		expected := auditEntryOf(event)
		expected.Annotations = nil
		if event.Verb == "create" {
			expected.Object = n.name + "/" // the name is in the body, which the host does not decode
		}
		if d := cmp.Diff(expected, auditEntryOf(hostEvents[event.AuditID])); d != "" {
			t.Errorf("the host's event differs (-ours +host):\n%s", d)
		}
		ours = append(ours, auditEntryOf(event))
	}
	if d := cmp.Diff(want, ours); d != "" {
		t.Error(d)
	}
}

// auditEvents returns the events in an audit log that are about a resource.
func auditEvents(t *testing.T, log, resource string) []auditv1.Event {
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

// auditEntry has the fields of an audit event that the test compares.
type auditEntry struct {
	User, Verb, Object string
	Code               int32
	Annotations        map[string]string
}

// auditEntryOf keeps only the annotations of our API group: k8s.io/apiserver adds others.
func auditEntryOf(event auditv1.Event) auditEntry {
	e := auditEntry{User: event.User.Username, Verb: event.Verb}
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

// TestFlowSchemaClassifiesRequests checks that our server applies the FlowSchemas of the
// host: the response headers name the one that matched.
func TestFlowSchemaClassifiesRequests(t *testing.T) {
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
		server := directClientAs(t, func(config *rest.Config) *rest.Config {
			config.Impersonate.UserName = user
			return config
		})
		response, err := server.open(ctx, "/apis/backup.kurator.dev/v1alpha1/namespaces/"+n.name+"/migrates")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		return response.Header.Get("X-Kubernetes-Pf-Flowschema-Uid"), response.Header.Get("X-Kubernetes-Pf-Prioritylevel-Uid")
	}
	eventually(t, "the FlowSchema to match the user", func(ctx context.Context) bool {
		s, l := headers(ctx, "busy")
		return s == schema && l == level
	})
	if s, _ := headers(t.Context(), "idle"); s == schema || s == "" {
		t.Errorf("the FlowSchema of another user is %q", s)
	}
}
