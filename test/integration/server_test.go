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

func TestEveryFieldIsExplained(t *testing.T) {
	n := newNamespace(t)
	// The host fetches the schemas after it has made the API available.
	eventually(t, "the host to know the schemas", func(context.Context) bool {
		_, err := n.try("", "explain", "migrate")
		return err == nil
	})
	contains(t, n.run("explain", "migrate"), "GROUP:      backup.kurator.dev", "KIND:       Migrate", "DESCRIPTION:", "Velero backs them up")
	contains(t, n.run("explain", "migrate.spec.policy.resourceFilter.orLabelSelectors"), "match at least one of")
	contains(t, n.run("explain", "migrate.status", "--recursive"), "backupStatusInCluster")

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
			t.Errorf("%s is not explained", name)
		}
		for _, property := range slices.Sorted(maps.Keys(s.Properties)) {
			if s.Properties[property].Description == "" {
				t.Errorf("%s.%s is not explained", name, property)
			}
		}
	}
	if ours != 12 {
		t.Errorf("got %d schemas of ours, want 12", ours)
	}
}

type schema struct {
	Description string            `json:"description"`
	Properties  map[string]schema `json:"properties"`
}

func TestWatch(t *testing.T) {
	n := newNamespace(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
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
	server := direct(t)
	for _, path := range []string{"/livez", "/readyz"} {
		equal(t, path, server.get(t, path), "ok")
	}
	contains(t, server.get(t, "/readyz?verbose"), "[+]etcd ok", "[+]migrate-driver ok", "[+]delegated-authorization ok", "[+]poststarthook/start-migrate-driver ok")
	contains(t, server.get(t, "/metrics"),
		`apiserver_request_total{code="201"`, `resource="migrates"`, "apiserver_storage_objects", "apiserver_flowcontrol_")
	contains(t, server.get(t, "/openapi/v2"), `"title":"Kurator Migrate"`)
}

// TestRestartKeepsEverything stops the server as a rollout does, while somebody
// watches.
func TestRestartKeepsEverything(t *testing.T) {
	n := newNamespace(t)
	const many = 20
	for i := range many {
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
		t.Fatal("no watch")
	}
	began := time.Now()
	if err := host.StopServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("a watch held the server up for %s", took)
	}
	_ = watch.Process.Kill() // kubectl may go on watching through the host
	_ = watch.Wait()
	if err := host.StartServer(t.Context(), localfleet.ServerProgram(host.BinDir())); err != nil {
		t.Fatal(err)
	}
	equal(t, "all Migrates", n.run("get", "migrates", "-o", "yaml"), before)
	n.create("after")
}

// TestGracefulShutdown has the server stop while it is used: it says so, serves
// on until the delay is over, and ends.
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
	server := direct(t)
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
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, patience, true,
		func(ctx context.Context) (bool, error) { return condition(ctx), nil })
	if err != nil {
		t.Fatalf("waited for %s: %v", what, err)
	}
}
