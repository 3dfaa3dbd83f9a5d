// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/generated/clientset/versioned"
	typed "kurator.dev/migrate-apiserver/pkg/generated/clientset/versioned/typed/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/test/localfleet"
)

const (
	// diskSize is the size of a disk on which the server runs: two segments of its log, 64 MB each, and a database fit.
	diskSize = 320 << 20
	// littleSpace is enough for the server to start, but not for writes.
	littleSpace = 100 << 20
)

// TestFullDisk fills the disk of the embedded etcd during writes. No Migrate is lost whose creation was acknowledged, reads and
// deletes go on as soon as there is a little space, and writes by themselves once there is more.
func TestFullDisk(t *testing.T) {
	n := newNamespace(t)
	disk := mountDisk(t, diskSize)
	program := localfleet.ServerProgram(host.BinDir())
	t.Cleanup(func() {
		if err := host.StartServer(context.Background(), program); err != nil {
			t.Error(err)
		}
	})
	if err := host.StartServer(t.Context(), program, "--data-dir="+filepath.Join(disk, "etcd")); err != nil {
		t.Fatal(err)
	}
	server := ourServer(t)
	migrates := n.client()

	fillDisk(t, disk, 0)
	acknowledged, refused := createUntilRefused(t, migrates)
	t.Logf("%d were created; then: %v", len(acknowledged), refused)
	if !isFull(refused) { // it met the full disk before it could refuse the write
		eventually(t, "the server to end", func(context.Context) bool { return !server.Running() })
		contains(t, logOf(t, server), "The disk of the data directory is full, so the server ends: free space there")
	}
	if err := server.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := server.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "its disk is full: ") {
		t.Errorf("a start on a full disk: %v", err)
	}

	fillDisk(t, disk, littleSpace)
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	var list *v1alpha1.MigrateList
	eventually(t, "reads", func(ctx context.Context) bool {
		var err error
		list, err = migrates.List(ctx, metav1.ListOptions{})
		return err == nil
	})
	for _, name := range acknowledged {
		if !slices.ContainsFunc(list.Items, func(m v1alpha1.Migrate) bool { return m.Name == name }) {
			t.Errorf("%s was created and is lost", name)
		}
	}
	eventually(t, "writes to be refused", func(ctx context.Context) bool {
		_, err := migrates.Create(ctx, unplaced("refused"), metav1.CreateOptions{})
		if err == nil {
			_ = migrates.Delete(ctx, "refused", metav1.DeleteOptions{})
		}
		return isFull(err)
	})
	if err := migrates.Delete(t.Context(), acknowledged[0], metav1.DeleteOptions{}); err != nil {
		t.Errorf("delete while writes are refused: %v", err)
	}
	direct := directClient(t)
	eventually(t, "the metric of the alarm", func(context.Context) bool {
		metrics := direct.get(t, "/metrics")
		return strings.Contains(metrics, `migrate_etcd_alarms{type="NOSPACE"} 1`) && strings.Contains(metrics, "\netcd_server_quota_backend_bytes ")
	})
	direct.get(t, "/readyz")

	fillDisk(t, disk, diskSize)
	eventually(t, "writes", func(ctx context.Context) bool {
		_, err := migrates.Create(ctx, unplaced("after"), metav1.CreateOptions{})
		return err == nil
	})
}

// createUntilRefused creates Migrates and returns their names, and the error of the first that is not created.
func createUntilRefused(t *testing.T, migrates typed.MigrateInterface) (created []string, refused error) {
	t.Helper()
	for i := range 10000 {
		name := fmt.Sprintf("m%05d", i)
		if _, err := migrates.Create(t.Context(), unplaced(name), metav1.CreateOptions{}); err != nil {
			return created, err
		}
		created = append(created, name)
	}
	t.Fatal("a full disk takes 10000 Migrates")
	return nil, nil
}

// unplaced returns a Migrate whose Fleet does not exist.
func unplaced(name string) *v1alpha1.Migrate {
	return &v1alpha1.Migrate{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{"padding": strings.Repeat("x", 16<<10)}}, Spec: v1alpha1.MigrateSpec{
		SourceCluster: v1alpha1.Destination{Fleet: "none"}, TargetCluster: v1alpha1.Destination{Fleet: "none"},
	}}
}

// isFull reports whether an error is that of a full storage.
func isFull(err error) bool {
	status := apierrors.APIStatus(nil)
	return errors.As(err, &status) && status.Status().Code == http.StatusInsufficientStorage && strings.Contains(err.Error(), "free space on its disk")
}

// client returns a client of the administrator for the Migrates of the namespace.
func (n namespace) client() typed.MigrateInterface {
	n.t.Helper()
	config, err := host.HostConfig()
	if err != nil {
		n.t.Fatal(err)
	}
	config.QPS = -1
	client, err := versioned.NewForConfig(config)
	if err != nil {
		n.t.Fatal(err)
	}
	return client.BackupV1alpha1().Migrates(n.name)
}

func logOf(t *testing.T, process *localfleet.Process) string {
	t.Helper()
	log, err := os.ReadFile(process.LogFile())
	if err != nil {
		t.Fatal(err)
	}
	return string(log)
}

// fillDisk makes a file of the size that leaves a disk as much free space as given, or none if that is not possible.
func fillDisk(t *testing.T, disk string, free int64) {
	t.Helper()
	path := filepath.Join(disk, "filler")
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var stat unix.Statfs_t
	if err := unix.Statfs(disk, &stat); err != nil {
		t.Fatal(err)
	}
	size := int64(stat.Bavail)*stat.Bsize - free
	if size <= 0 {
		return
	}
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(unix.Fallocate(int(file.Fd()), 0, 0, size), file.Close()); err != nil {
		t.Fatal(err)
	}
}

// mountDiskScript mounts a directory until the pipe that it reads breaks, which happens when the test, or its process, has ended.
const mountDiskScript = `
mount -t tmpfs -o "size=$2" migrate-disk "$1" || exit
echo mounted
while read -r _; do :; done
umount --lazy "$1"
`

// mountDisk mounts a disk of a size in bytes, and returns its directory.
func mountDisk(t *testing.T, size int64) string {
	t.Helper()
	dir := t.TempDir()
	run := exec.Command("/bin/sh", "-c", mountDiskScript, "disk", dir, fmt.Sprint(size))
	run.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	run.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	pipe, err := run.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var reason strings.Builder
	run.Stderr = &reason
	output, err := run.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(output).ReadString('\n')
	end := func() error { return errors.Join(pipe.Close(), run.Wait()) }
	if line != "mounted\n" {
		_ = end()
		localfleet.Needs(t, fmt.Errorf("no disk can be mounted: %s", strings.TrimSpace(reason.String())))
	}
	t.Cleanup(func() {
		if err := end(); err != nil {
			t.Error(err)
		}
	})
	return dir
}
