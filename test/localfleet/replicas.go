// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package localfleet

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
)

const (
	serverEtcdName    = "migrate-etcd"
	serverEtcdMembers = 3
)

// ReplicaName is the name of the process of the nth replica of our server, which
// are counted from 1.
func ReplicaName(n int) string { return fmt.Sprintf("%s-%d", serverName, n) }

// ServerEtcdName is the name of the process of the nth member of the replicas'
// etcd, which are counted from 1.
func ServerEtcdName(n int) string { return fmt.Sprintf("%s-%d", serverEtcdName, n) }

// Replicas is how many there are of our server, which may be one.
func (f *Fleet) Replicas() int { return max(f.state.Replicas, 1) }

// ServerConfig is a client configuration of the host's administrator that leads to
// our server, or the replica of that name, and leaves the host out.
func (f *Fleet) ServerConfig(name string) (*rest.Config, error) {
	config, err := f.HostConfig()
	if err != nil {
		return nil, err
	}
	config.Host, config.CAFile = "https://"+f.address(name), f.keys(serverName).authority()
	config.CAData = nil
	return config, nil
}

// ServerEtcdLeader is the name of the process of the member of the replicas' etcd
// that leads now.
func (f *Fleet) ServerEtcdLeader(ctx context.Context) (string, error) {
	keys := f.keys(serverEtcdName)
	for _, name := range serverEtcdNames() {
		metrics, err := fetch(ctx, "https://"+f.address(name)+"/metrics", keys.authority(), keys.certificate("client"), keys.key("client"))
		if err == nil && strings.Contains(string(metrics), "\netcd_server_is_leader 1\n") {
			return name, nil
		}
	}
	return "", errors.New("no member of " + serverEtcdName + " leads")
}

// replicaPorts are the names of the ports that replicas and their etcd need.
func (f *Fleet) replicaPorts() []string {
	if f.Replicas() == 1 {
		return nil
	}
	var names []string
	for n := range f.Replicas() {
		names = append(names, ReplicaName(n+1))
	}
	for _, name := range serverEtcdNames() {
		names = append(names, name, name+"-peer")
	}
	return names
}

func serverEtcdNames() []string {
	var names []string
	for n := range serverEtcdMembers {
		names = append(names, ServerEtcdName(n+1))
	}
	return names
}

// serverEtcd is the etcd of the replicas; none where there are none.
func (f *Fleet) serverEtcd() []command {
	if f.Replicas() == 1 {
		return nil
	}
	var commands []command
	for _, name := range serverEtcdNames() {
		commands = append(commands, f.etcdMember(name, serverEtcdNames(), f.keys(serverEtcdName)))
	}
	return commands
}

// servers are our server or its replicas.
func (f *Fleet) servers() []command {
	if f.Replicas() == 1 {
		return []command{f.server()}
	}
	keys := f.keys(serverEtcdName)
	var endpoints []string
	for _, name := range serverEtcdNames() {
		endpoints = append(endpoints, "https://"+f.address(name))
	}
	var commands []command
	for n := range f.Replicas() {
		commands = append(commands, f.serverCommand(ReplicaName(n+1),
			"--etcd-servers="+strings.Join(endpoints, ","), "--etcd-cafile="+keys.authority(),
			"--etcd-certfile="+keys.certificate("client"), "--etcd-keyfile="+keys.key("client"),
		))
	}
	return commands
}

// upServers runs our server, or its replicas with what they need.
func (f *Fleet) upServers(ctx context.Context) error {
	if f.Replicas() == 1 {
		return f.process(f.server()).ensure(ctx)
	}
	// A member of an etcd is not ready before most are there.
	if err := f.ensureAll(ctx, f.serverEtcd()); err != nil {
		return err
	}
	if f.balancer == nil {
		var err error
		if f.balancer, err = f.balance(); err != nil {
			return err
		}
	}
	return f.ensureAll(ctx, f.servers())
}

func (f *Fleet) ensureAll(ctx context.Context, commands []command) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, c := range commands {
		group.Go(func() error { return f.process(c).ensure(ctx) })
	}
	return group.Wait()
}
