// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package etcd_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/klog/v2/ktesting"

	"kurator.dev/migrate-apiserver/cmd/migrate-apiserver/app/internal/etcd"
)

// TestSnapshotAndRestore takes a snapshot of an etcd that goes on, and restores it over later data.
func TestSnapshotAndRestore(t *testing.T) {
	_, ctx := ktesting.NewTestContext(t)
	dir, file := filepath.Join(t.TempDir(), "etcd"), filepath.Join(t.TempDir(), "snapshot.db")
	server := start(t, dir)
	put(t, server, "a", "before")
	status, err := etcd.Snapshot(ctx, dir, file)
	if err != nil || status.Keys != 1 || status.Bytes == 0 {
		t.Fatalf("%+v, %v", status, err)
	}
	put(t, server, "a", "after")
	last := revision(t, server)
	if _, err := etcd.Snapshot(ctx, dir, file); err == nil || !strings.Contains(err.Error(), file+" exists") {
		t.Errorf("a second snapshot to the file: %v", err)
	}
	if _, _, err := etcd.Restore(ctx, dir, file, true); err == nil || !strings.Contains(err.Error(), "another process uses it") {
		t.Errorf("a restore while it runs: %v", err)
	}
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}

	if _, _, err := etcd.Restore(ctx, dir, file, false); err == nil || !strings.Contains(err.Error(), "it has data: move it away, or add --replace") {
		t.Errorf("a restore over data: %v", err)
	}
	if _, err := etcd.Snapshot(ctx, dir, file+"2"); err == nil || !strings.Contains(err.Error(), "no server runs with the data directory "+dir) {
		t.Errorf("a snapshot without a server: %v", err)
	}
	restored, aside, err := etcd.Restore(ctx, dir, file, true)
	if err != nil || restored != status || aside == "" {
		t.Fatalf("%+v, %q, %v", restored, aside, err)
	}
	server = start(t, dir)
	if got := get(t, server, "a"); got != "before" {
		t.Errorf("restored is %q", got)
	}
	if now := revision(t, server); now <= last {
		t.Errorf("revision %d is not after %d, which clients have seen", now, last)
	}
	put(t, server, "a", "again")
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	old := start(t, aside)
	if got := get(t, old, "a"); got != "after" {
		t.Errorf("the data that was moved aside is %q", got)
	}
	if err := old.Stop(); err != nil {
		t.Fatal(err)
	}
}

// TestRestoreOfOtherFiles restores files that are no snapshots: nothing is moved aside.
func TestRestoreOfOtherFiles(t *testing.T) {
	_, ctx := ktesting.NewTestContext(t)
	dir := filepath.Join(t.TempDir(), "etcd")
	server := start(t, dir)
	put(t, server, "a", "b")
	snapshot := filepath.Join(t.TempDir(), "snapshot.db")
	if _, err := etcd.Snapshot(ctx, dir, snapshot); err != nil {
		t.Fatal(err)
	}
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(snapshot)
	if err != nil {
		t.Fatal(err)
	}
	damaged := append([]byte{}, whole...)
	damaged[len(damaged)-100] ^= 0xff
	for name, content := range map[string][]byte{"empty": {}, "text": []byte(strings.Repeat("no snapshot\n", 1000)), "cut": whole[:len(whole)/2], "damaged": damaged} {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, aside, err := etcd.Restore(ctx, dir, file, true); err == nil || aside != "" || !strings.Contains(err.Error(), "is not a snapshot of etcd, or is damaged") {
			t.Errorf("%s: %q, %v", name, aside, err)
		}
	}
	if _, _, err := etcd.Restore(ctx, dir, filepath.Join(t.TempDir(), "missing"), true); err == nil {
		t.Error("a missing file is restored")
	}
	server = start(t, dir)
	if got := get(t, server, "a"); got != "b" {
		t.Errorf("the data is %q", got)
	}
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
}

// revision returns the last revision.
func revision(t *testing.T, server *etcd.Server) int64 {
	t.Helper()
	c := client(t, server)
	defer c.Close()
	response, err := c.Get(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	return response.Header.Revision
}

// TestFullEtcdRecovers fills a small database until etcd refuses writes, deletes most of it, and defragments.
func TestFullEtcdRecovers(t *testing.T) {
	_, ctx := ktesting.NewTestContext(t)
	dir := t.TempDir()
	server, err := etcd.Start(ctx, etcd.Config{Dir: dir, QuotaBytes: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	c := client(t, server)
	defer c.Close()
	content := strings.Repeat("x", 256<<10)
	written := 0
	for ; written < 100; written++ {
		if _, err = c.Put(ctx, fmt.Sprintf("key-%d", written), content); err != nil {
			break
		}
	}
	if !errors.Is(err, rpctypes.ErrNoSpace) {
		t.Fatalf("after %d writes: %v, want no space", written, err)
	}
	if _, err := c.Delete(ctx, "key-", clientv3.WithPrefix()); err != nil {
		t.Fatalf("delete from a full etcd: %v", err)
	}
	if _, err := c.Put(ctx, "after", "value"); !errors.Is(err, rpctypes.ErrNoSpace) {
		t.Errorf("it accepts writes by itself: %v", err)
	}
	space, err := etcd.Defragment(ctx, dir)
	if err != nil || !space.Disarmed || space.After >= space.Before || space.Used > space.After {
		t.Fatalf("defragmented %+v, %v", space, err)
	}
	put(t, server, "after", "value")
	if again, err := etcd.Defragment(ctx, dir); err != nil || again.Disarmed {
		t.Errorf("again: %+v, %v", again, err)
	}
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := etcd.Defragment(ctx, dir); err == nil || !strings.Contains(err.Error(), "no server runs with the data directory") {
		t.Errorf("without a server: %v", err)
	}
}
