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

// Spare is an additional server of ours. No APIService of the host leads to it, so
// clients connect to it directly. It uses the host with its own ServiceAccount and
// permissions.
type Spare struct {
	fleet *Fleet
	name  string
}

// Spares returns n Spares, each with its own port, which may be used in parallel. Only
// an attached fleet has them.
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
	// Account is the name of its ServiceAccount, of the ServiceAccount's namespace and
	// of its prefix in etcd. Each run needs a new one, so that it starts without data.
	Account string
	// Permissions are objects to apply to the host, including the namespace and the
	// ServiceAccount.
	Permissions []*unstructured.Unstructured
	// Flags and Environment are added to the server's usual ones.
	Flags, Environment []string
}

// Start starts the server and does not wait until it is ready.
func (s *Spare) Start(ctx context.Context, run SpareRun) error {
	applier, err := s.fleet.applier(cluster{name: hostName})
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

// Kill kills the server.
func (s *Spare) Kill(ctx context.Context) error { return s.process(SpareRun{}).Kill(ctx) }

// Running reports whether the server has been started and has not ended.
func (s *Spare) Running() bool { return s.process(SpareRun{}).Running() }

// Log returns the log of the current run.
func (s *Spare) Log() (string, error) {
	content, err := os.ReadFile(s.process(SpareRun{}).LogFile())
	return string(content), err
}

// Config returns a client configuration of the host's administrator that connects to
// the server.
func (s *Spare) Config() (*rest.Config, error) { return s.fleet.ServerConfig(s.name) }

// process returns the process of a run. It uses the host's etcd, which runs already.
func (s *Spare) process(run SpareRun) *Process {
	keys, kubeconfig := s.fleet.keys("etcd"), s.fleet.kubeconfig(hostName, run.Account)
	c := s.fleet.serverCommand(s.name,
		"--etcd-servers=https://"+s.fleet.address("etcd"), "--etcd-prefix=/"+run.Account, "--etcd-cafile="+keys.authority(),
		"--etcd-certfile="+keys.certificate("client"), "--etcd-keyfile="+keys.key("client"),
		"--kubeconfig="+kubeconfig, "--authentication-kubeconfig="+kubeconfig, "--authorization-kubeconfig="+kubeconfig,
		"--leader-elect-resource-namespace="+run.Account,
	)
	c.args = append(c.args, run.Flags...)
	c.environment, c.ready = append(c.environment, run.Environment...), nil
	return s.fleet.process(c)
}
