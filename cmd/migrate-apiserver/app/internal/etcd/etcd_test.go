// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package etcd_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/component-base/metrics/legacyregistry"
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

// TestStartDefragments fills and empties a database, which the next start shrinks.
func TestStartDefragments(t *testing.T) {
	dir := t.TempDir()
	server := start(t, dir)
	c := client(t, server)
	defer c.Close()
	content := strings.Repeat("x", 1<<20)
	for n := range 80 {
		if _, err := c.Put(t.Context(), fmt.Sprintf("key-%d", n), content); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Delete(t.Context(), "key-", clientv3.WithPrefix()); err != nil {
		t.Fatal(err)
	}
	put(t, server, "a", "b")
	if _, err := c.Compact(t.Context(), revision(t, server), clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	size := func(of *etcd.Server) int64 {
		t.Helper()
		c := client(t, of)
		defer c.Close()
		status, err := c.Status(t.Context(), of.Endpoint())
		if err != nil {
			t.Fatal(err)
		}
		return status.DbSize
	}
	if got := size(server); got < 80<<20 {
		t.Errorf("%d bytes before", got)
	}
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	server = start(t, dir)
	if got := size(server); got > 1<<20 {
		t.Errorf("%d bytes after a restart", got)
	}
	if got := get(t, server, "a"); got != "b" {
		t.Errorf("got %q, want b", got)
	}
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
}

// TestMetricsOfEtcd checks that the API server serves the metrics of etcd that alerts for its quota use.
func TestMetricsOfEtcd(t *testing.T) {
	server := start(t, t.TempDir())
	put(t, server, "a", "b")
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			values[family.GetName()] = metric.GetGauge().GetValue()
		}
	}
	if got := values["etcd_server_quota_backend_bytes"]; got != 1<<30 {
		t.Errorf("the quota is %v", got)
	}
	if got := values["etcd_mvcc_db_total_size_in_bytes"]; got <= 0 {
		t.Errorf("the size is %v", got)
	}
	for _, name := range []string{"etcd_mvcc_db_total_size_in_use_in_bytes", "etcd_disk_wal_fsync_duration_seconds", "migrate_etcd_disk_free_bytes"} {
		if _, ok := values[name]; !ok {
			t.Errorf("there is no %s", name)
		}
	}
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
}
