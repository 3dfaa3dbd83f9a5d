// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package etcd_test

import (
	"path/filepath"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/klog/v2/ktesting"

	"kurator.dev/migrate-apiserver/cmd/migrate-apiserver/app/internal/etcd"
)

func TestStartKeepsTheData(t *testing.T) {
	dirs := map[string]string{
		"a socket in the data directory": filepath.Join(t.TempDir(), "etcd"),
		"a path too long for a socket":   filepath.Join(t.TempDir(), strings.Repeat("long", 30)),
	}
	for name, dir := range dirs {
		t.Run(name, func(t *testing.T) {
			first := start(t, dir)
			put(t, first, "a", "b")
			if err := first.Stop(); err != nil {
				t.Fatal(err)
			}

			second := start(t, dir)
			if got := get(t, second, "a"); got != "b" {
				t.Errorf("got %q, want b", got)
			}
			if err := second.Stop(); err != nil {
				t.Fatal(err)
			}
			left, err := filepath.Glob(filepath.Join(dir, "*.sock"))
			if err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

func TestStartRefusesADirectoryInUse(t *testing.T) {
	dir := t.TempDir()
	first := start(t, dir)
	_, ctx := ktesting.NewTestContext(t)
	_, err := etcd.Start(ctx, etcd.Config{Dir: dir})
	if want := "data directory " + dir + ": another process uses it"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	put(t, first, "still", "serves")
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
}

func TestStartFailsWithoutADirectory(t *testing.T) {
	_, ctx := ktesting.NewTestContext(t)
	if _, err := etcd.Start(ctx, etcd.Config{Dir: "/dev/null/etcd"}); err == nil {
		t.Error("started in /dev/null")
	}
}

func start(t *testing.T, dir string) *etcd.Server {
	t.Helper()
	_, ctx := ktesting.NewTestContext(t)
	server, err := etcd.Start(ctx, etcd.Config{Dir: dir, QuotaBytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	return server
}

func client(t *testing.T, server *etcd.Server) *clientv3.Client {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{server.Endpoint()}})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func put(t *testing.T, server *etcd.Server, key, value string) {
	t.Helper()
	c := client(t, server)
	defer c.Close()
	if _, err := c.Put(t.Context(), key, value); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, server *etcd.Server, key string) string {
	t.Helper()
	c := client(t, server)
	defer c.Close()
	response, err := c.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if len(response.Kvs) != 1 {
		t.Fatalf("key %s is missing", key)
	}
	return string(response.Kvs[0].Value)
}
