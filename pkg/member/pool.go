// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"kurator.dev/migrate-apiserver/pkg/member/internal/limits"
	"kurator.dev/migrate-apiserver/pkg/member/internal/metrics"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// Kubeconfigs reads the kubeconfig of a cluster from the host.
type Kubeconfigs interface {
	Kubeconfig(ctx context.Context, namespace string, cluster migration.Cluster) (kubeconfig []byte, err error)
}

// Options are the bounds within which members are dealt with. A zero field means
// its default.
type Options struct {
	// CallTimeout bounds a call, the waiting for its turn included, and the start
	// of a watch. Default: 10 s.
	CallTimeout time.Duration
	// MaxCalls is how many calls a member gets at a time. Default: 8.
	MaxCalls int
	// RetryMin and RetryMax bound how long a member that did not answer is left
	// alone. Default: 1 s to 1 min.
	RetryMin, RetryMax time.Duration
	// RecheckInterval is how old what is known of a kubeconfig may get. Default:
	// 1 min.
	RecheckInterval time.Duration
	// PingInterval is how long a connection may be silent before it is tested; the
	// test may take half as long. Default: 10 s.
	PingInterval time.Duration
	// AnswerTimeout is how long Velero's server may take to answer a request that is an
	// object. Default: 3 s.
	AnswerTimeout time.Duration
	// IdleTimeout is how long a connection is kept that nobody uses. Default:
	// 10 min.
	IdleTimeout time.Duration

	// AllowInsecureTLS accepts kubeconfigs with insecure-skip-tls-verify.
	AllowInsecureTLS bool
	// AllowLocalAddresses lets members, and the storage that a member names, be at
	// loopback, link-local and other addresses at which none is usually.
	AllowLocalAddresses bool
	// AddressRanges are where members, and the storage that a member names, may be, if
	// they are not at an address of a kind that is refused. Empty: everywhere but at the
	// Services of the host.
	AddressRanges []netip.Prefix
	// HostServices tells where the Services of the host are. Nil: that does not matter.
	HostServices func() ([]netip.Prefix, error)
	// Proxy tells the proxy that leads to a request's URL; nil if none does. Default:
	// that of the environment.
	Proxy func(*http.Request) (*url.URL, error)
}

func (o Options) withDefaults() Options {
	if o.MaxCalls == 0 {
		o.MaxCalls = 8
	}
	if o.Proxy == nil {
		o.Proxy = http.ProxyFromEnvironment
	}
	for _, d := range []struct {
		value     *time.Duration
		otherwise time.Duration
	}{
		{&o.CallTimeout, 10 * time.Second},
		{&o.RetryMin, time.Second},
		{&o.RetryMax, time.Minute},
		{&o.RecheckInterval, time.Minute},
		{&o.PingInterval, 10 * time.Second},
		{&o.AnswerTimeout, 3 * time.Second},
		{&o.IdleTimeout, 10 * time.Minute},
	} {
		if *d.value == 0 {
			*d.value = d.otherwise
		}
	}
	return o
}

// Pool has the members of all fleets, each once.
type Pool struct {
	kubeconfigs Kubeconfigs
	options     Options
	// cached and reading are what is left for the objects of all members that are kept
	// and for their answers that are being read.
	cached, reading *limits.Total

	mu      sync.Mutex
	members map[key]*Member
	swept   time.Time
}

// key identifies a member.
type key struct {
	namespace string
	velero    migration.Velero
}

// NewPool makes a Pool. It makes no calls.
func NewPool(kubeconfigs Kubeconfigs, options Options) *Pool {
	metrics.Register()
	return &Pool{
		kubeconfigs: kubeconfigs, options: options.withDefaults(), members: map[key]*Member{},
		cached: limits.NewKept(), reading: limits.NewReading(),
	}
}

// Member returns a member, with one of its Veleros. It makes no calls and does not
// look whether it exists: the Member's methods do.
func (p *Pool) Member(namespace string, velero migration.Velero) *Member {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sweep()
	k := key{namespace, velero}
	m := p.members[k]
	if m == nil {
		m = newMember(k, p.kubeconfigs, p.options, p.cached.Quota(), p.reading.Quota())
		p.members[k] = m
	}
	m.touch()
	return m
}

// Watch watches a member for the Migrate with a UID until the Watch is stopped. It never
// blocks: while the member can't be reached, that is what the Watch observes. All Watches
// of one member share its watches, which keep the objects of their Migrates.
//
// onChange is called after something changed: with the UID of the Migrate whose
// Backup or Restore it was, or with none if it was the connection's state or the
// storage, which matter to every Migrate of the member. It must not block, and
// may still be called while Stop runs.
func (p *Pool) Watch(namespace string, velero migration.Velero, uid types.UID, onChange func(uid types.UID)) *Watch {
	return p.Member(namespace, velero).watch(uid, onChange)
}

// Invalidate has the kubeconfig of a cluster read again, and the cluster asked
// again at once if it did not answer before.
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
		m.invalidate()
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

// sweep closes the connections that nobody has used for long.
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
