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
	"sync/atomic"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/klog/v2"
)

// Config says where an etcd keeps its data, and how much.
type Config struct {
	// Dir is the data directory. It is made if it is not there.
	Dir string
	// QuotaBytes is the size at which the database takes no more writes.
	QuotaBytes int64
}

// Server is an etcd that runs.
type Server struct {
	etcd     *embed.Etcd
	endpoint string
	stopping atomic.Bool
	cleanup  func() error
}

// Start starts an etcd and returns when it serves.
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
	if err := s.start(ctx, s.config(ctx, dir, socket, config.QuotaBytes)); err != nil {
		return nil, errors.Join(fmt.Errorf("start etcd in %s: %w", dir, err), s.cleanup())
	}
	return s, nil
}

// Endpoint is where clients reach it.
func (s *Server) Endpoint() string { return s.endpoint }

// Failed tells that it has ended without Stop.
func (s *Server) Failed() <-chan error { return s.etcd.Err() }

// Stop ends it and returns when all is on disk.
func (s *Server) Stop() error {
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
	config := embed.NewConfig()
	config.Name = "migrate-apiserver"
	config.Dir = dir
	config.QuotaBackendBytes = quota
	config.BackendFreelistType = "map"
	config.EnableGRPCGateway = false
	config.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zapLogger(klog.FromContext(ctx).WithName("etcd"), &s.stopping))

	// One member elects itself, so there is nobody to wait for.
	config.TickMs, config.ElectionMs = 20, 100

	client := url.URL{Scheme: "unix", Path: socket}
	config.ListenClientUrls = []url.URL{client}
	config.AdvertiseClientUrls = []url.URL{client}
	// A member must have a peer address; nothing listens on it.
	peer := url.URL{Scheme: "http", Host: "localhost:2380"}
	config.ListenPeerUrls = nil
	config.AdvertisePeerUrls = []url.URL{peer}
	config.InitialCluster = config.Name + "=" + peer.String()
	return config
}

// lock keeps a second process out: etcd itself would wait for the database
// without end, after it had taken the socket.
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

// maxSocketPath is what the address of a unix socket holds (sun_path, less its
// closing zero), the shortest of the systems we build for.
const maxSocketPath = 103

// socketPath is in the data directory, or where that is too long for a socket's
// address, in a temporary one that is as private.
func socketPath(dir string) (path string, remove func() error, err error) {
	const name = "etcd.sock"
	if path := filepath.Join(dir, name); len(path) <= maxSocketPath {
		return path, func() error { return nil }, os.Chmod(dir, 0o700)
	}
	temporary, err := os.MkdirTemp("", "migrate-")
	if err != nil {
		return "", nil, err
	}
	path = filepath.Join(temporary, name)
	remove = func() error { return os.RemoveAll(temporary) }
	if len(path) > maxSocketPath {
		return "", nil, errors.Join(fmt.Errorf("%s is too long: give a shorter data directory", path), remove())
	}
	return path, remove, nil
}
