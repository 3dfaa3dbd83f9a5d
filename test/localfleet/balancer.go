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
	// probeTimeout is how long it may take to say so, on a machine that does much
	// else, too.
	probeTimeout = 15 * time.Second
)

// balancer is to the replicas what a Service and its endpoints are in a cluster:
// a new connection goes to one that is ready, and one that is open stays where it
// is.
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

// close ends it. A nil balancer has nothing to end.
func (b *balancer) close() error {
	if b == nil {
		return nil
	}
	b.stop()
	b.probing.Wait()
	return b.proxy.Close()
}

// endpoints are the addresses that are ready.
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
