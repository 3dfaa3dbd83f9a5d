// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"kurator.dev/migrate-apiserver/test/localfleet"
)

// TestCrashKeepsEverything kills the server in the middle of writes: what was
// answered is there afterwards.
func TestCrashKeepsEverything(t *testing.T) {
	n := newNamespace(t)
	process := ourServer(t)
	file := n.file("a.yaml", manifest("a"), 0o600)
	const many = 10
	for i := range many {
		n.run("create", "-f", n.file("m.yaml", manifest(fmt.Sprintf("m%02d", i)), 0o600))
	}
	killed := make(chan error, 1)
	go func() { killed <- process.Kill(context.WithoutCancel(t.Context())) }()
	_, created := n.try("", "create", "-f", file)
	if err := <-killed; err != nil {
		t.Fatal(err)
	}
	if err := host.StartServer(t.Context(), localfleet.ServerProgram(host.BinDir())); err != nil {
		t.Fatal(err)
	}
	for i := range many {
		n.run("get", "migrate", fmt.Sprintf("m%02d", i))
	}
	if created == nil {
		n.run("get", "migrate", "a")
	}
}

// TestExternalEtcd runs the server on the etcd of the host, over TLS and beside
// the host's own objects.
func TestExternalEtcd(t *testing.T) {
	n := newNamespace(t)
	n.create("in-the-embedded-one")

	program, keys := localfleet.ServerProgram(host.BinDir()), filepath.Join(host.Dir(), "pki", "etcd")
	flags := []string{
		fmt.Sprintf("--etcd-servers=https://127.0.0.1:%d", port(t, "etcd")),
		"--etcd-cafile=" + filepath.Join(keys, "ca.crt"),
		"--etcd-certfile=" + filepath.Join(keys, "client.crt"), "--etcd-keyfile=" + filepath.Join(keys, "client.key"),
	}
	if err := host.StartServer(t.Context(), program, flags...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := host.StartServer(context.Background(), program); err != nil {
			t.Error(err)
		}
	})
	equal(t, "Migrates in the other etcd", n.run("get", "migrates", "-o", "name"), "")
	n.create("in-the-external-one")
	if err := host.StopServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := host.StartServer(t.Context(), program, flags...); err != nil {
		t.Fatal(err)
	}
	equal(t, "Migrates after a restart", n.run("get", "migrates", "-o", "name"), "migrate.backup.kurator.dev/in-the-external-one\n")

	if err := host.StartServer(t.Context(), program); err != nil {
		t.Fatal(err)
	}
	equal(t, "Migrates in the embedded one", n.run("get", "migrates", "-o", "name"), "migrate.backup.kurator.dev/in-the-embedded-one\n")
}

// port is where a process of the fleet listens.
func port(t *testing.T, process string) int {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(host.Dir(), "state.json"))
	if err != nil {
		t.Fatal(err)
	}
	var state struct{ Ports map[string]int }
	if err := json.Unmarshal(content, &state); err != nil {
		t.Fatal(err)
	}
	return state.Ports[process]
}
