// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"kurator.dev/migrate-apiserver/test/localfleet"
)

// TestEveryFieldIsExplained checks that `kubectl explain` works, and that each of our types and
// fields has a description.
func TestEveryFieldIsExplained(t *testing.T) {
	n := newNamespace(t)
	// The host marks the API available before it has fetched the schemas.
	eventually(t, "the host to have the schemas", func(context.Context) bool {
		_, err := n.try("", "explain", "migrate")
		return err == nil
	})
	contains(t, n.run("explain", "migrate"), "GROUP:      backup.kurator.dev", "KIND:       Migrate", "DESCRIPTION:", "Velero backs them up")
	contains(t, n.run("explain", "migrate.spec.policy.resourceFilter.orLabelSelectors"), "match at least one of")
	contains(t, n.run("explain", "migrate.status", "--recursive"), "backupStatusInCluster")
	contains(t, n.run("explain", "migratepreview"), "KIND:       MigratePreview", "the plan of a migration")
	contains(t, n.run("explain", "migratepreview.status", "--recursive"), "loadConcurrency")
	contains(t, n.run("get", "--raw", "/apis/backup.kurator.dev/v1alpha1"), `"name":"migratepreviews"`, `"name":"migrates/log"`, `"name":"migrates/results"`, `"kind":"MigrateResults"`,
		`"name":"migrates/cancel"`, `"kind":"MigrateCancelOptions"`, `"name":"migrates/retry"`, `"kind":"MigrateRetryOptions"`)

	var document struct {
		Components struct {
			Schemas map[string]schema `json:"schemas"`
		} `json:"components"`
	}
	raw := n.run("get", "--raw", "/openapi/v3/apis/backup.kurator.dev/v1alpha1")
	if err := json.Unmarshal([]byte(raw), &document); err != nil {
		t.Fatal(err)
	}
	ours := 0
	for _, name := range slices.Sorted(maps.Keys(document.Components.Schemas)) {
		if !strings.HasPrefix(name, "dev.kurator.migrate-apiserver.pkg.apis.backup.v1alpha1.") {
			continue
		}
		ours++
		s := document.Components.Schemas[name]
		if s.Description == "" {
			t.Errorf("%s has no description", name)
		}
		for _, property := range slices.Sorted(maps.Keys(s.Properties)) {
			if s.Properties[property].Description == "" {
				t.Errorf("%s.%s has no description", name, property)
			}
		}
	}
	if ours != 40 {
		t.Errorf("got %d schemas of our types, want 40", ours)
	}
}

// TestOpenAPIReferencesResolve follows every reference in the documents as RFC 6901 says, and as
// clients do that don't decode "~1".
func TestOpenAPIReferencesResolve(t *testing.T) {
	n := newNamespace(t)
	for _, path := range []string{"/openapi/v2", "/openapi/v3/apis/backup.kurator.dev/v1alpha1"} {
		eventually(t, path+" has our types", func(context.Context) bool {
			raw, err := n.try("", "get", "--raw", path)
			return err == nil && strings.Contains(raw, "dev.kurator.migrate-apiserver.pkg.apis.backup.v1alpha1.Migrate")
		})
		var document any
		if err := json.Unmarshal([]byte(n.run("get", "--raw", path)), &document); err != nil {
			t.Fatal(err)
		}
		references := map[string]bool{}
		collectReferences(document, references)
		if len(references) < 20 {
			t.Errorf("%s has only %d references", path, len(references))
		}
		for reference := range references {
			decoded, literal := document, document
			for token := range strings.SplitSeq(strings.TrimPrefix(reference, "#/"), "/") {
				decoded = child(decoded, strings.NewReplacer("~1", "/", "~0", "~").Replace(token))
				literal = child(literal, token)
			}
			if decoded == nil || literal == nil {
				t.Errorf("%s: reference %s leads nowhere", path, reference)
			}
		}
	}
}

// collectReferences adds the values of all "$ref" in a JSON value to references.
func collectReferences(value any, references map[string]bool) {
	switch v := value.(type) {
	case map[string]any:
		if reference, ok := v["$ref"].(string); ok {
			references[reference] = true
		}
		for _, member := range v {
			collectReferences(member, references)
		}
	case []any:
		for _, item := range v {
			collectReferences(item, references)
		}
	}
}

// child returns a member of a JSON object, or nil.
func child(value any, name string) any {
	object, _ := value.(map[string]any)
	return object[name]
}

type schema struct {
	Description string            `json:"description"`
	Properties  map[string]schema `json:"properties"`
}

func TestWatch(t *testing.T) {
	n := newNamespace(t)
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	watch := n.command(ctx, "get", "migrates", "--watch", "--output-watch-events", "-o", "jsonpath={.type} {.object.metadata.name} {.object.status.phase}{\"\\n\"}")
	out, err := watch.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	await := func(want string) {
		t.Helper()
		for lines.Scan() {
			if lines.Text() == want {
				return
			}
		}
		t.Fatalf("the watch ended without %q", want)
	}

	n.create("a")
	await("ADDED a Pending")
	n.run("label", "migrate", "a", "watched=yes")
	await("MODIFIED a Pending")
	n.run("delete", "migrate", "a")
	await("DELETED a Pending")
	cancel()
	_ = watch.Wait() // killed
}

func TestHealthAndMetrics(t *testing.T) {
	n := newNamespace(t)
	n.create("a")
	server := directClient(t)
	for _, path := range []string{"/livez", "/readyz"} {
		equal(t, path, server.get(t, path), "ok")
	}
	contains(t, server.get(t, "/readyz?verbose"), "[+]etcd ok", "[+]migrate-driver ok", "[+]delegated-authorization ok", "[+]poststarthook/start-migrate-driver ok")
	contains(t, server.get(t, "/metrics"),
		`apiserver_request_total{code="201"`, `resource="migrates"`, "apiserver_storage_objects", "apiserver_flowcontrol_")
	contains(t, server.get(t, "/openapi/v2"), `"title":"Kurator Migrate"`)
}

// TestRestartKeepsMigrates stops the server as a rollout does, while a watch is open.
func TestRestartKeepsMigrates(t *testing.T) {
	n := newNamespace(t)
	const count = 20
	for i := range count {
		n.create(fmt.Sprintf("m%02d", i))
	}
	n.run("wait", "migrates", "--all", "--for=condition=MembersReachable=Unknown", "--timeout=30s")
	before := n.run("get", "migrates", "-o", "yaml")

	watch := n.command(t.Context(), "get", "migrates", "--watch")
	watching, err := watch.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	if !bufio.NewScanner(watching).Scan() {
		t.Fatal("the watch returned nothing")
	}
	start := time.Now()
	if err := host.StopServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("with a watch open, the shutdown took %s", took)
	}
	_ = watch.Process.Kill() // kubectl may still be connected to the host
	_ = watch.Wait()
	if err := host.StartServer(t.Context(), localfleet.ServerProgram(host.BinDir())); err != nil {
		t.Fatal(err)
	}
	equal(t, "Migrates after the restart", n.run("get", "migrates", "-o", "yaml"), before)
	n.create("after")
}

// TestGracefulShutdown checks that after SIGTERM readyz fails and requests are served until
// --shutdown-delay-duration is over, and that the driver stops before the server.
func TestGracefulShutdown(t *testing.T) {
	n := newNamespace(t)
	n.create("a")
	program := localfleet.ServerProgram(host.BinDir())
	if err := host.StartServer(t.Context(), program, "--shutdown-delay-duration=3s", "--shutdown-send-retry-after"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := host.StartServer(context.Background(), program); err != nil {
			t.Error(err)
		}
	})
	server := directClient(t)
	process := ourServer(t)
	if err := process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}

	eventually(t, "readyz to fail", func(ctx context.Context) bool {
		code, _, err := server.try(ctx, "/readyz")
		return err == nil && code == 500
	})
	contains(t, server.get(t, "/apis/backup.kurator.dev/v1alpha1/namespaces/"+n.name+"/migrates/a"), `"name":"a"`)
	equal(t, "livez", server.get(t, "/livez"), "ok")
	eventually(t, "the process to end", func(context.Context) bool { return !process.Running() })

	log, err := os.ReadFile(process.LogFile())
	if err != nil {
		t.Fatal(err)
	}
	last := string(log)[strings.LastIndex(string(log), `"Starting"`):]
	stopped, closed := strings.Index(last, "Stopped driving migrations"), strings.Index(last, "Stopped listening")
	if stopped < 0 || closed < stopped {
		t.Errorf("the driver did not stop before the server:\n%s", last)
	}
	contains(t, last[closed:], `"Stopped"`)
}

func eventually(t *testing.T, what string, condition func(context.Context) bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, waitTimeout, true,
		func(ctx context.Context) (bool, error) { return condition(ctx), nil })
	if err != nil {
		t.Fatalf("waited for %s: %v", what, err)
	}
}
