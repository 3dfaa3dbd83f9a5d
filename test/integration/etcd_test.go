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

// TestCrashKeepsAcknowledgedWrites kills the server during a write: every Migrate whose
// creation was acknowledged must be stored after the restart.
func TestCrashKeepsAcknowledgedWrites(t *testing.T) {
	n := newNamespace(t)
	process := ourServer(t)
	file := n.file("a.yaml", manifest("a"), 0o600)
	const count = 10
	for i := range count {
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
	for i := range count {
		n.run("get", "migrate", fmt.Sprintf("m%02d", i))
	}
	if created == nil {
		n.run("get", "migrate", "a")
	}
}

// TestExternalEtcd runs the server with the host's etcd, over TLS. The host's own objects
// are in the same etcd.
func TestExternalEtcd(t *testing.T) {
	n := newNamespace(t)
	n.create("embedded")

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
	equal(t, "Migrates in the external etcd", n.run("get", "migrates", "-o", "name"), "")
	n.create("external")
	if err := host.StopServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := host.StartServer(t.Context(), program, flags...); err != nil {
		t.Fatal(err)
	}
	equal(t, "Migrates after a restart", n.run("get", "migrates", "-o", "name"), "migrate.backup.kurator.dev/external\n")

	if err := host.StartServer(t.Context(), program); err != nil {
		t.Fatal(err)
	}
	equal(t, "Migrates in the embedded etcd", n.run("get", "migrates", "-o", "name"), "migrate.backup.kurator.dev/embedded\n")
}

// port returns the port on which a process of the fleet listens.
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
