// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/klog/v2"
)

// Config is the configuration of an etcd.
type Config struct {
	// Dir is the data directory. It is created if it does not exist.
	Dir string
	// QuotaBytes is the size of the database at which it refuses writes, in bytes.
	QuotaBytes int64
}

// Server is a running etcd.
type Server struct {
	etcd     *embed.Etcd
	endpoint string
	stopping atomic.Bool
	cleanup  func() error

	// watching is the watch of the disk, which unwatch ends.
	watching sync.WaitGroup
	unwatch  context.CancelFunc
}

// Start starts an etcd and waits until it serves.
func Start(ctx context.Context, config Config) (*Server, error) {
	dir, err := filepath.Abs(config.Dir)
	if err != nil {
		return nil, fmt.Errorf("data directory %s: %w", config.Dir, err)
	}
	unlock, err := lock(dir)
	if err != nil {
		return nil, fmt.Errorf("data directory %s: %w", dir, err)
	}
	socket, removeSocket, err := socketPath(dir)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("socket of etcd: %w", err), unlock())
	}
	s := &Server{
		endpoint: "unix://" + socket,
		cleanup:  func() error { return errors.Join(removeSocket(), unlock()) },
	}
	err = makeRoom(dir)
	if err == nil {
		err = s.start(ctx, s.config(ctx, dir, socket, config.QuotaBytes))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start etcd in %s: %w", dir, err), s.cleanup())
	}
	registerEmbedded()
	s.watchDisk(ctx, dir, config.QuotaBytes)
	return s, nil
}

// watchDisk watches the free space of the data directory until Stop.
func (s *Server) watchDisk(ctx context.Context, dir string, quota int64) {
	d := &disk{free: func() (int64, error) { return freeSpace(dir) }, alarm: member{s.etcd.Server}, quota: quota}
	ctx, s.unwatch = context.WithCancel(context.WithoutCancel(ctx))
	s.watching.Go(func() { d.run(ctx) })
}

// Endpoint returns the URL for clients.
func (s *Server) Endpoint() string { return s.endpoint }

// Failed returns a channel that receives the error of an etcd that ended without Stop.
func (s *Server) Failed() <-chan error { return s.etcd.Err() }

// Stop stops the etcd and waits until everything is on disk.
func (s *Server) Stop() error {
	s.unwatch()
	s.watching.Wait()
	s.stopping.Store(true)
	s.etcd.Close()
	return s.cleanup()
}

func (s *Server) start(ctx context.Context, config *embed.Config) error {
	started, err := embed.StartEtcd(config)
	if err != nil {
		return err
	}
	select {
	case <-started.Server.ReadyNotify():
		s.etcd = started
		return nil
	case err = <-started.Err():
	case <-started.Server.StopNotify():
		err = errors.New("it stopped before it was ready")
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	started.Close()
	return err
}

func (s *Server) config(ctx context.Context, dir, socket string, quota int64) *embed.Config {
	config := newConfig(dir)
	config.QuotaBackendBytes = quota
	config.BackendFreelistType = "map"
	config.BootstrapDefragThresholdMegabytes = startDefragment(dir)
	config.EnableGRPCGateway = false
	config.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zapLogger(klog.FromContext(ctx).WithName("etcd"), &s.stopping))

	// A single member elects itself without waiting.
	config.TickMs, config.ElectionMs = 20, 100

	client := url.URL{Scheme: "unix", Path: socket}
	config.ListenClientUrls = []url.URL{client}
	config.AdvertiseClientUrls = []url.URL{client}
	return config
}

// newConfig returns the configuration of the only member of a cluster.
func newConfig(dir string) *embed.Config {
	config := embed.NewConfig()
	config.Name = "migrate-apiserver"
	config.Dir = dir
	// etcd requires a peer address; nothing listens on it.
	peer := url.URL{Scheme: "http", Host: "localhost:2380"}
	config.ListenPeerUrls = nil
	config.AdvertisePeerUrls = []url.URL{peer}
	config.InitialCluster = config.Name + "=" + peer.String()
	return config
}

// lock locks the data directory against a second process. etcd itself would take the socket and
// then wait for the database forever.
func lock(dir string) (unlock func() error, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	held, err := fileutil.TryLockFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_WRONLY, 0o600)
	if errors.Is(err, fileutil.ErrLocked) {
		return nil, errors.New("another process uses it")
	}
	if err != nil {
		return nil, err
	}
	return held.Close, nil
}

// maxSocketPath is the longest path of a unix socket (sun_path without its terminating zero) on
// any system that we build for, in bytes.
const maxSocketPath = 103

// socketName is the name of the socket.
const socketName = "etcd.sock"

// socketPath returns a path in the data directory, or in a private temporary one if that is too
// long for a unix socket.
func socketPath(dir string) (path string, remove func() error, err error) {
	if path := filepath.Join(dir, socketName); len(path) <= maxSocketPath {
		return path, func() error { return nil }, os.Chmod(dir, 0o700)
	}
	temporary, err := os.MkdirTemp("", "migrate-")
	if err != nil {
		return "", nil, err
	}
	path = filepath.Join(temporary, socketName)
	remove = func() error { return os.RemoveAll(temporary) }
	if len(path) > maxSocketPath {
		return "", nil, errors.Join(fmt.Errorf("%s is too long: give a shorter data directory", path), remove())
	}
	return path, remove, nil
}
