// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"kurator.dev/migrate-apiserver/pkg/member/internal/client"
	"kurator.dev/migrate-apiserver/pkg/member/internal/limits"
	"kurator.dev/migrate-apiserver/pkg/member/internal/metrics"
	"kurator.dev/migrate-apiserver/pkg/member/internal/transport"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

type (
	// Kubeconfigs reads the kubeconfig of a cluster from the host.
	Kubeconfigs = client.Kubeconfigs
	// Options bound the calls to members. A zero field has its default.
	Options = client.Options
	// Addresses are the addresses that members and their storage may have.
	Addresses = transport.Addresses
	// UnreachableError reports that no call is made to a member now, because it did not
	// answer the last one.
	UnreachableError = client.UnreachableError
)

// ForReader returns a context for calls on behalf of API clients. They get at most half of a
// member's slots, so that any number of them leaves the other half to the driver.
func ForReader(ctx context.Context) context.Context { return client.ForReader(ctx) }

// ForPreview returns a context for the calls of a preview: those of a reader, whose failure does not count against the
// member.
func ForPreview(ctx context.Context) context.Context { return client.Tentative(client.ForReader(ctx)) }

// Pool has the members of all fleets. It is safe for concurrent use.
type Pool struct {
	kubeconfigs Kubeconfigs
	options     Options
	// kept and reading bound the memory of all members together.
	kept, reading *limits.Total

	mu      sync.Mutex
	members map[key]*Member
	swept   time.Time
}

// key identifies a member.
type key struct {
	namespace string
	velero    migration.Velero
}

// NewPool returns a Pool. It makes no calls.
func NewPool(kubeconfigs Kubeconfigs, options Options) *Pool {
	metrics.Register()
	return &Pool{
		kubeconfigs: kubeconfigs, options: options.WithDefaults(), members: map[key]*Member{},
		kept: limits.NewKept(), reading: limits.NewReading(),
	}
}

// Member returns the Member for a Velero. It makes no calls, and does not check whether the
// cluster exists: the methods of Member do.
func (p *Pool) Member(namespace string, velero migration.Velero) *Member {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sweep()
	k := key{namespace, velero}
	m := p.members[k]
	if m == nil {
		m = newMember(client.New(namespace, velero, p.kubeconfigs, p.options, p.reading.Quota()), p.kept.Quota())
		p.members[k] = m
	}
	m.client.Touch()
	return m
}

// Watch watches a member for the Migrate with a UID until the Watch is stopped. It never
// blocks: while the member is unreachable, that is what the Watch observes. All Watches of a
// member share its cache.
//
// onChange is called after a change: with the UID after a Backup or Restore of the Migrate
// changed, or with an empty one after the state of the member or its storage changed, which concerns
// every Migrate. It must not block, and may still run while Stop does.
func (p *Pool) Watch(namespace string, velero migration.Velero, uid types.UID, onChange func(uid types.UID)) *Watch {
	return p.Member(namespace, velero).watch(uid, onChange)
}

// Invalidate has the kubeconfig of a cluster read again before the next call, and admits that
// call at once even if the cluster did not answer before.
func (p *Pool) Invalidate(namespace string, cluster migration.Cluster) {
	var of []*Member
	p.mu.Lock()
	for k, m := range p.members {
		if k.namespace == namespace && k.velero.Cluster == cluster {
			of = append(of, m)
		}
	}
	p.mu.Unlock()
	for _, m := range of {
		m.client.Invalidate()
	}
}

// Close stops all watches, waits for them, and closes all connections.
func (p *Pool) Close() {
	p.mu.Lock()
	members := p.members
	p.members = map[key]*Member{}
	p.mu.Unlock()
	for _, m := range members {
		m.close()
	}
}

// sweep removes and closes the members that are unused for Options.IdleTimeout. The caller holds
// the lock.
func (p *Pool) sweep() {
	if time.Since(p.swept) < p.options.IdleTimeout/10 {
		return
	}
	p.swept = time.Now()
	for k, m := range p.members {
		if m.idle() > p.options.IdleTimeout {
			delete(p.members, k)
			m.close()
		}
	}
}
