// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.uber.org/zap"
	"k8s.io/klog/v2"
)

// revisionBump is by how much a restored etcd is ahead of its snapshot: no client of a Kubernetes API may have seen a later
// resourceVersion than those that it will get, or it would miss changes. As the documentation of etcd recommends.
const revisionBump = 1_000_000_000

// Status describes a snapshot.
type Status struct {
	// Keys is the number of its keys, including those of earlier revisions, and Bytes its size.
	Keys  int
	Bytes int64
	// Revision is its last revision.
	Revision int64
}

// Snapshot writes a snapshot of the etcd that serves from a data directory, in which another process runs, to a file that must not
// exist. It is consistent, and one of etcd: etcdutl can restore it, too.
func Snapshot(ctx context.Context, dir, file string) (Status, error) {
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		return Status{}, fmt.Errorf("%s exists, or can't be read: name another file", file)
	}
	endpoint, err := Endpoint(dir)
	if err != nil {
		return Status{}, err
	}
	snapshots := snapshot.NewV3(logger(ctx))
	config := clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: dialTimeout, Logger: zap.NewNop()}
	if _, err := snapshots.Save(ctx, config, file); err != nil {
		return Status{}, fmt.Errorf("snapshot of the etcd in %s: %w", dir, err)
	}
	return statusOf(snapshots, file)
}

// Endpoint returns the URL of the etcd that serves from a data directory, in which another process runs.
func Endpoint(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	socket := filepath.Join(dir, socketName)
	if _, err := os.Stat(socket); err != nil {
		return "", fmt.Errorf("no server runs with the data directory %s: start it, name its directory by --data-dir or, where the command has it, its etcd by --etcd-servers (%w)", dir, err)
	}
	return "unix://" + socket, nil
}

// dialTimeout bounds the connection to the socket.
const dialTimeout = 5 * time.Second

// statusOf checks a snapshot and returns what it has.
func statusOf(snapshots snapshot.Manager, file string) (Status, error) {
	var found snapshot.Status
	err := checkHash(file)
	if err == nil { // of a file that is cut, etcd would fault
		found, err = snapshots.Status(file)
	}
	if err != nil {
		return Status{}, fmt.Errorf("%s is not a snapshot of etcd, or is damaged: %w", file, err)
	}
	return Status{Keys: found.TotalKey, Bytes: found.TotalSize, Revision: found.Revision}, nil
}

// checkHash checks the SHA-256 that etcd appends to a snapshot.
func checkHash(file string) error {
	content, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }()
	info, err := content.Stat()
	if err != nil {
		return err
	}
	if info.Size() <= sha256.Size {
		return errors.New("it is too short")
	}
	sum, appended := sha256.New(), make([]byte, sha256.Size)
	if _, err := io.CopyN(sum, content, info.Size()-sha256.Size); err != nil {
		return err
	}
	if _, err := io.ReadFull(content, appended); err != nil {
		return err
	}
	if !bytes.Equal(sum.Sum(nil), appended) {
		return errors.New("its SHA-256 is another one")
	}
	return nil
}

// Restore makes a data directory from a snapshot. If there is data already, it returns an error, or with replace moves the data aside,
// to a directory whose name it returns.
func Restore(ctx context.Context, dir, file string, replace bool) (status Status, aside string, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return Status{}, "", err
	}
	snapshots := snapshot.NewV3(logger(ctx))
	if status, err = statusOf(snapshots, file); err != nil {
		return status, "", err
	}
	made := dir + ".restoring"
	defer func() { _ = os.RemoveAll(made) }()
	config := newConfig(made)
	if err := snapshots.Restore(snapshot.RestoreConfig{
		SnapshotPath: file, OutputDataDir: made, Name: config.Name, PeerURLs: []string{config.AdvertisePeerUrls[0].String()},
		InitialCluster: config.InitialCluster, InitialClusterToken: config.InitialClusterToken, RevisionBump: revisionBump, MarkCompacted: true,
	}); err != nil {
		return status, "", fmt.Errorf("restore %s: %w", file, err)
	}
	if aside, err = emptied(dir, replace); err == nil {
		err = os.Rename(made, dir)
	}
	if err != nil {
		err = fmt.Errorf("data directory %s: %w", dir, err)
	}
	return status, aside, err
}

// emptied leaves no data directory. It returns where it has moved the data that was there.
func emptied(dir string, replace bool) (aside string, err error) {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "", nil
	case err != nil:
		return "", err
	case len(entries) == 0:
		return "", os.Remove(dir)
	}
	unlock, err := lock(dir)
	if err != nil {
		return "", err
	}
	if err := unlock(); err != nil {
		return "", err
	}
	if !replace {
		return "", errors.New("it has data: move it away, or add --replace")
	}
	aside = dir + "." + time.Now().UTC().Format("20060102T150405Z")
	return aside, os.Rename(dir, aside)
}

func logger(ctx context.Context) *zap.Logger {
	return zapLogger(klog.FromContext(ctx).WithName("etcd"), new(atomic.Bool))
}
