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

// SpareRun is one run of a Spare.
type SpareRun struct {
	// Account is the name of its ServiceAccount and of the namespace that it is in,
	// and new with each run: its data begins anew.
	Account string
	// Permissions are objects of the host, the namespace and ServiceAccount among them.
	Permissions []*unstructured.Unstructured
	// Flags and Environment are added to the server's usual ones.
	Flags, Environment []string
}

// Start runs the server and does not wait for it to be ready.
func (s *Spare) Start(ctx context.Context, run SpareRun) error {
	config, err := s.fleet.HostConfig()
	if err != nil {
		return err
	}
	applier, err := newApplier(config)
	if err != nil {
		return err
	}
	if err := applier.apply(ctx, run.Permissions...); err != nil {
		return err
	}
	kubeconfig := s.fleet.kubeconfig(hostName, run.Account)
	if err := s.fleet.writeAccountKubeconfig(ctx, kubeconfig, run.Account, run.Account); err != nil {
		return err
	}
	if err := os.Remove(s.process(run).LogFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return s.process(run).Start(ctx)
}

// Kill ends the server.
func (s *Spare) Kill(ctx context.Context) error { return s.process(SpareRun{}).Kill(ctx) }

// Running reports whether the server has been started and has not ended.
func (s *Spare) Running() bool { return s.process(SpareRun{}).Running() }

// Log is what the server has written.
func (s *Spare) Log() (string, error) {
	content, err := os.ReadFile(s.process(SpareRun{}).LogFile())
	return string(content), err
}

// Config is a client configuration of the host's administrator that leads to the
// server.
func (s *Spare) Config() (*rest.Config, error) { return s.fleet.ServerConfig(s.name) }

// process keeps its data in the host's etcd, for that is there already.
func (s *Spare) process(run SpareRun) *Process {
	keys, kubeconfig := s.fleet.keys("etcd"), s.fleet.kubeconfig(hostName, run.Account)
	c := s.fleet.serverCommand(s.name,
		"--etcd-servers=https://"+s.fleet.address("etcd"), "--etcd-prefix=/"+run.Account, "--etcd-cafile="+keys.authority(),
		"--etcd-certfile="+keys.certificate("client"), "--etcd-keyfile="+keys.key("client"),
		"--kubeconfig="+kubeconfig, "--authentication-kubeconfig="+kubeconfig, "--authorization-kubeconfig="+kubeconfig,
		"--leader-elect-resource-namespace="+run.Account,
	)
	c.args = append(c.args, run.Flags...)
	c.environment, c.ready = run.Environment, nil
	return s.fleet.process(c)
}
