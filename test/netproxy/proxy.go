// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package netproxy

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"
)

// dialTimeout is the time in which a backend must accept a connection.
const dialTimeout = 5 * time.Second

// Mode is the behaviour of a Proxy.
type Mode struct {
	kind  kind
	delay time.Duration
}

type kind int

const (
	passes kind = iota
	drops
	resets
	refuses
)

var (
	// Pass forwards all data.
	Pass = Mode{kind: passes}
	// Blackhole keeps connections open, accepts new ones, and drops all data. A
	// connection that has lost data never recovers, whatever mode follows.
	Blackhole = Mode{kind: drops}
	// Reset resets all connections, also new ones.
	Reset = Mode{kind: resets}
	// Refuse closes the listener, as if no process listened on the port. Open
	// connections keep forwarding; Cut closes them.
	Refuse = Mode{kind: refuses}
)

// Delay returns a mode that forwards data in both directions after a delay of d.
func Delay(d time.Duration) Mode { return Mode{kind: passes, delay: d} }

// Proxy listens on a port of 127.0.0.1 and forwards connections. Its methods are safe
// for concurrent use.
type Proxy struct {
	port *port

	mu       sync.Mutex
	backends []string
	mode     Mode
	listener net.Listener // nil in mode Refuse
	links    map[*link]struct{}
	next     int // the index of the backend to dial next, modulo their number
	running  sync.WaitGroup
}

// Listen starts a proxy in mode Pass on a free port. backends are one or more
// addresses as host:port.
func Listen(backends ...string) (*Proxy, error) {
	taken, err := takePort()
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	return start(taken, backends)
}

// ListenOn is like Listen, on a port that the caller has reserved.
func ListenOn(number int, backends ...string) (*Proxy, error) {
	return start(&port{number: number}, backends)
}

func start(taken *port, backends []string) (*Proxy, error) {
	if len(backends) == 0 {
		return nil, errors.Join(errors.New("proxy: no backend"), taken.release())
	}
	p := &Proxy{port: taken, backends: backends, mode: Refuse, links: map[*link]struct{}{}}
	if err := p.Set(Pass); err != nil {
		return nil, errors.Join(err, taken.release())
	}
	return p, nil
}

// Addr returns the address on which the proxy listens, as host:port.
func (p *Proxy) Addr() string { return p.port.address() }

// Set changes the mode. It returns an error only if it can't reopen the listener.
func (p *Proxy) Set(mode Mode) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case mode == Refuse:
		p.refuse()
	case p.listener == nil:
		if err := p.listen(); err != nil {
			return err
		}
	}
	p.mode = mode
	if mode == Reset {
		for l := range p.links {
			l.reset()
		}
	}
	return nil
}

// SetBackends sets the backends of new connections. Without backends the proxy resets
// them.
func (p *Proxy) SetBackends(backends ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.backends = backends
}

// Cut closes all open connections. It does not change the mode.
func (p *Proxy) Cut() {
	p.mu.Lock()
	links := slices.Collect(maps.Keys(p.links))
	p.mu.Unlock()
	for _, l := range links {
		l.close()
	}
}

// Close closes the listener and all connections, and waits for their goroutines.
func (p *Proxy) Close() error {
	if err := p.Set(Refuse); err != nil {
		return err
	}
	p.Cut()
	p.running.Wait()
	return p.port.release()
}

// listen opens the listener. The caller holds the lock.
func (p *Proxy) listen() error {
	listener, err := net.Listen("tcp", p.Addr())
	if err != nil {
		return fmt.Errorf("proxy: %w", err)
	}
	p.listener = listener
	p.running.Go(func() {
		for {
			client, err := listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				p.accept(listener, client)
			}
		}
	})
	return nil
}

// refuse closes the listener. The caller holds the lock.
func (p *Proxy) refuse() {
	if p.listener != nil {
		p.listener.Close()
		p.listener = nil
	}
}

// accept starts a link for a connection, or resets the connection if its listener was
// closed meanwhile.
func (p *Proxy) accept(by net.Listener, client net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := &link{proxy: p, client: client.(*net.TCPConn), done: make(chan struct{})}
	if p.listener != by || p.mode == Reset {
		l.reset()
		return
	}
	p.links[l] = struct{}{}
	p.running.Go(func() {
		l.run()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.links, l)
	})
}

func (p *Proxy) currentMode() Mode {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mode
}

// dial connects to the next backend that accepts, in round-robin order.
func (p *Proxy) dial() (*net.TCPConn, error) {
	p.mu.Lock()
	first, backends := p.next, p.backends
	p.next++
	p.mu.Unlock()
	errs := []error{errors.New("no backend accepts")}
	for i := range backends {
		backend, err := net.DialTimeout("tcp", backends[(first+i)%len(backends)], dialTimeout)
		if err == nil {
			return backend.(*net.TCPConn), nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}
