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

// ReplicaName returns the process name of the nth replica of our server, counted
// from 1.
func ReplicaName(n int) string { return fmt.Sprintf("%s-%d", serverName, n) }

// ServerEtcdName returns the process name of the nth member of the replicas' etcd,
// counted from 1.
func ServerEtcdName(n int) string { return fmt.Sprintf("%s-%d", serverEtcdName, n) }

// Replicas returns the number of replicas of our server, at least one.
func (f *Fleet) Replicas() int { return max(f.state.Replicas, 1) }

// ServerConfig returns a client configuration of the host's administrator that
// connects to our server, or to the replica with that name, without the aggregator.
func (f *Fleet) ServerConfig(name string) (*rest.Config, error) {
	config, err := f.HostConfig()
	if err != nil {
		return nil, err
	}
	config.Host, config.CAFile = "https://"+f.address(name), f.keys(serverName).authority()
	config.CAData = nil
	return config, nil
}

// ServerEtcdLeader returns the process name of the current leader of the replicas'
// etcd.
func (f *Fleet) ServerEtcdLeader(ctx context.Context) (string, error) {
	keys := f.keys(serverEtcdName)
	for _, name := range serverEtcdNames() {
		metrics, err := fetch(ctx, "https://"+f.address(name)+"/metrics", keys.authority(), keys.certificate("client"), keys.key("client"))
		if err == nil && strings.Contains(string(metrics), "\netcd_server_is_leader 1\n") {
			return name, nil
		}
	}
	return "", errors.New(serverEtcdName + " has no leader")
}

// replicaPorts returns the names of the ports of the replicas and their etcd, or nil
// with one replica.
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

// serverEtcd returns the commands of the replicas' etcd, or nil with one replica.
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

// servers returns the commands of our server or of its replicas.
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

// upServers starts our server, or its replicas with their etcd and load balancer.
func (f *Fleet) upServers(ctx context.Context) error {
	if f.Replicas() == 1 {
		return f.process(f.server()).ensure(ctx)
	}
	// In parallel, since no member of an etcd is ready without a quorum.
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
