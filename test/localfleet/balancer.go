// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package localfleet

import (
	"context"
	"slices"
	"sync"
	"time"

	"kurator.dev/migrate-apiserver/test/netproxy"
)

const (
	// probeInterval is the time between two readiness probes of a replica.
	probeInterval = 100 * time.Millisecond
	// probeTimeout is long enough for a probe on a busy machine.
	probeTimeout = 15 * time.Second
)

// balancer stands in for the Service of the replicas and its endpoints: it forwards
// a new connection to a ready replica and leaves open connections alone.
type balancer struct {
	proxy   *netproxy.Proxy
	stop    context.CancelFunc
	probing sync.WaitGroup
}

func (f *Fleet) balance() (*balancer, error) {
	addresses := make([]string, f.Replicas())
	for n := range addresses {
		addresses[n] = f.address(ReplicaName(n + 1))
	}
	proxy, err := netproxy.ListenOn(f.state.Ports[serverName], addresses...)
	if err != nil {
		return nil, err
	}
	b := &balancer{proxy: proxy}
	var ctx context.Context
	ctx, b.stop = context.WithCancel(context.Background())
	ready := &endpoints{proxy: proxy}
	for n := range addresses {
		b.probing.Go(func() {
			for ctx.Err() == nil {
				attempt, cancel := context.WithTimeout(ctx, probeTimeout)
				ready.set(addresses[n], f.serverReady(attempt, ReplicaName(n+1)) == nil)
				cancel()
				select {
				case <-ctx.Done():
				case <-time.After(probeInterval):
				}
			}
		})
	}
	return b, nil
}

// close stops the probes and the proxy. It does nothing on a nil balancer.
func (b *balancer) close() error {
	if b == nil {
		return nil
	}
	b.stop()
	b.probing.Wait()
	return b.proxy.Close()
}

// endpoints holds the addresses of the ready replicas and forwards to them alone.
type endpoints struct {
	proxy *netproxy.Proxy

	mu    sync.Mutex
	ready []string
}

func (e *endpoints) set(address string, ready bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := slices.Index(e.ready, address)
	switch {
	case ready && i < 0:
		e.ready = append(e.ready, address)
	case !ready && i >= 0:
		e.ready = slices.Delete(e.ready, i, i+1)
	default:
		return
	}
	e.proxy.SetBackends(slices.Clone(e.ready)...)
}
