// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package localfleet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
)

// Spare is one more of our servers. The host does not know it, so it is asked
// directly; but it knows the host, with permissions of its own.
type Spare struct {
	fleet *Fleet
	name  string
}

// Spares are n places for a Spare each, which may be used side by side. An attached
// fleet only has them.
func (f *Fleet) Spares(n int) ([]*Spare, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var spares []*Spare
	for i := range n {
		s := &Spare{fleet: f, name: fmt.Sprintf("spare-%02d", i+1)}
		if f.state.Ports[s.name] == 0 {
			port, err := f.locks.choose()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s.name, err)
			}
			f.state.Ports[s.name] = port
		}
		spares = append(spares, s)
	}
	return spares, nil
}

// Start runs the server as the ServiceAccount of that name in the namespace of that
// name, which are among the permissions, and does not wait for it to be ready. Its
// data begins anew; the environment is added to its usual one.
func (s *Spare) Start(ctx context.Context, account string, permissions []*unstructured.Unstructured, environment ...string) error {
	config, err := s.fleet.HostConfig()
	if err != nil {
		return err
	}
	applier, err := newApplier(config)
	if err != nil {
		return err
	}
	if err := applier.apply(ctx, permissions...); err != nil {
		return err
	}
	kubeconfig := s.fleet.kubeconfig(hostName, account)
	if err := s.fleet.writeAccountKubeconfig(ctx, kubeconfig, account, account); err != nil {
		return err
	}
	if err := os.Remove(s.process(account).LogFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return s.process(account, environment...).Start(ctx)
}

// Kill ends the server.
func (s *Spare) Kill(ctx context.Context) error { return s.process("").Kill(ctx) }

// Running reports whether the server has been started and has not ended.
func (s *Spare) Running() bool { return s.process("").Running() }

// Log is what the server has written.
func (s *Spare) Log() (string, error) {
	content, err := os.ReadFile(s.process("").LogFile())
	return string(content), err
}

// Config is a client configuration of the host's administrator that leads to the
// server.
func (s *Spare) Config() (*rest.Config, error) { return s.fleet.ServerConfig(s.name) }

// process keeps its data in the host's etcd, for that is there already.
func (s *Spare) process(account string, environment ...string) *Process {
	keys, kubeconfig := s.fleet.keys("etcd"), s.fleet.kubeconfig(hostName, account)
	c := s.fleet.serverCommand(s.name,
		"--etcd-servers=https://"+s.fleet.address("etcd"), "--etcd-prefix=/"+account, "--etcd-cafile="+keys.authority(),
		"--etcd-certfile="+keys.certificate("client"), "--etcd-keyfile="+keys.key("client"),
		"--kubeconfig="+kubeconfig, "--authentication-kubeconfig="+kubeconfig, "--authorization-kubeconfig="+kubeconfig,
		"--leader-elect-resource-namespace="+account,
	)
	c.environment, c.ready = environment, nil
	return s.fleet.process(c)
}
