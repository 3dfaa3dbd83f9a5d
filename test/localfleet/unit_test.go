// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package localfleet

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

func TestKubeconfigIsSelfContained(t *testing.T) {
	content, err := kubeconfigFor("host", "https://127.0.0.1:1", []byte("authority"), clientcmdapi.AuthInfo{Token: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(content)
	if err != nil {
		t.Fatal(err)
	}
	if config.Host != "https://127.0.0.1:1" || config.BearerToken != "secret" || string(config.CAData) != "authority" {
		t.Errorf("read back as %v", config)
	}
}

func TestPortLocksChooseDifferentPorts(t *testing.T) {
	var one, other portLocks
	defer func() {
		if err := errors.Join(one.release(), other.release()); err != nil {
			t.Error(err)
		}
	}()
	seen := map[int]bool{}
	for range 50 {
		for _, locks := range []*portLocks{&one, &other} {
			port, err := locks.choose()
			if err != nil {
				t.Fatal(err)
			}
			if seen[port] {
				t.Fatalf("port %d was chosen twice", port)
			}
			if port < lowestPort || port >= highestPort {
				t.Fatalf("port %d is out of range", port)
			}
			seen[port] = true
		}
	}
}

func TestWriteKeysKeepsExistingKeys(t *testing.T) {
	f := &Fleet{dir: t.TempDir(), state: &state{Members: 1, Ports: map[string]int{"host": 1, "kurator-member1": 2}}}
	read := func() map[string]string {
		t.Helper()
		if err := f.writeKeys(); err != nil {
			t.Fatal(err)
		}
		content := map[string]string{}
		for _, path := range []string{"pki/host/ca.crt", "pki/host/admin.key", "pki/kurator-member1/ca.crt", "host.kubeconfig", "kurator-member1.kubeconfig"} {
			bytes, err := os.ReadFile(filepath.Join(f.dir, path))
			if err != nil {
				t.Fatal(err)
			}
			content[path] = string(bytes)
		}
		return content
	}
	first, second := read(), read()
	for path := range first {
		if first[path] != second[path] {
			t.Errorf("%s was replaced", path)
		}
	}
	if first["pki/host/ca.crt"] == first["pki/kurator-member1/ca.crt"] {
		t.Error("two clusters have the same authority")
	}
}

func TestParse(t *testing.T) {
	objects, err := parse([]byte(`
# A document with only a comment is no object.
---
apiVersion: v1
kind: Namespace
metadata: {name: one}
---
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Secret
  metadata: {name: two, namespace: one}
- apiVersion: v1
  kind: Secret
  metadata: {name: three, namespace: one}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"Namespace one", "Secret one/two", "Secret one/three"}
	if len(objects) != len(want) {
		t.Fatalf("got %d objects, want %d", len(objects), len(want))
	}
	for i, object := range objects {
		if got := describe(object); got != want[i] {
			t.Errorf("object %d is %s, want %s", i, got, want[i])
		}
	}
}

func TestNotBefore(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 600_000_000, time.UTC)
	for timestamp, want := range map[string]bool{
		"2026-01-02T03:04:04Z": false,
		"2026-01-02T03:04:05Z": true,
		"2026-01-02T03:04:06Z": true,
	} {
		got, err := notBefore(timestamp, start)
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("notBefore(%s) = %t, want %t", timestamp, got, want)
		}
	}
}

func TestLoadFailsWithoutFleet(t *testing.T) {
	if _, err := Load(t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error = %v, want one that is ErrNotExist", err)
	}
}

func TestStateRoundTrips(t *testing.T) {
	dir := t.TempDir()
	self, err := identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	written := &state{ID: "x", Members: 3, Processes: map[string]record{"etcd": {identity: self, Fingerprint: "f"}}}
	if err := written.write(dir); err != nil {
		t.Fatal(err)
	}
	got, err := readState(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got.ID != "x" || got.Members != 3 || !got.Processes["etcd"].alive() || got.Processes["etcd"].Fingerprint != "f" {
		t.Errorf("read back as %+v", got)
	}
}

// eventually fails the test unless isTrue returns true within a minute.
func eventually(t *testing.T, what string, isTrue func() bool) {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for !isTrue() {
		select {
		case <-ticker.C:
		case <-deadline.C:
			t.Fatalf("not within a minute: %s", what)
		}
	}
}
