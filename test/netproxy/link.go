// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package netproxy

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// link is one connection through the proxy.
type link struct {
	proxy *Proxy
	// lost says that something was swallowed, so that nothing that comes later
	// makes sense to the other side.
	lost atomic.Bool

	mu      sync.Mutex
	client  *net.TCPConn
	backend *net.TCPConn // nil until it is connected to
	done    chan struct{}
	closed  bool
}

// run forwards until both sides have ended or the link is closed.
func (l *link) run() {
	defer l.close()
	if l.proxy.now() == Blackhole {
		l.lost.Store(true)
		_, _ = io.Copy(io.Discard, l.client)
		return
	}
	backend, err := l.proxy.dial()
	if err != nil {
		l.reset()
		return
	}
	if !l.connected(backend) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { l.forward(backend, l.client) })
	both.Go(func() { l.forward(l.client, backend) })
	both.Wait()
}

func (l *link) connected(backend *net.TCPConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		backend.Close()
		return false
	}
	l.backend = backend
	return true
}

// forward passes on what comes from one side, and its end.
func (l *link) forward(to, from *net.TCPConn) {
	chunk := make([]byte, 32<<10)
	for {
		n, err := from.Read(chunk)
		mode := l.proxy.now()
		if mode == Blackhole {
			l.lost.Store(true)
		}
		if !l.wait(mode.delay) {
			return
		}
		if l.lost.Load() {
			if err != nil {
				return
			}
			continue
		}
		if _, failed := to.Write(chunk[:n]); failed != nil {
			l.close()
			return
		}
		switch {
		case errors.Is(err, io.EOF):
			_ = to.CloseWrite()
			return
		case err != nil:
			l.reset()
			return
		}
	}
}

// wait says whether the link is still open after a while.
func (l *link) wait(d time.Duration) bool {
	if d == 0 {
		return true
	}
	select {
	case <-time.After(d):
		return true
	case <-l.done:
		return false
	}
}

func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.closed = true
	close(l.done)
	l.client.Close()
	if l.backend != nil {
		l.backend.Close()
	}
}

// reset closes both sides in a way that each is told of a reset.
func (l *link) reset() {
	l.mu.Lock()
	if !l.closed {
		_ = l.client.SetLinger(0)
		if l.backend != nil {
			_ = l.backend.SetLinger(0)
		}
	}
	l.mu.Unlock()
	l.close()
}
