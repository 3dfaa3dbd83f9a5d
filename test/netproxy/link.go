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
	// lost is true once data was dropped. From then on all data is dropped, because the
	// stream would be corrupt.
	lost atomic.Bool

	mu      sync.Mutex
	client  *net.TCPConn
	backend *net.TCPConn // nil until connected
	done    chan struct{}
	closed  bool
}

// run forwards until both sides have ended or the link is closed.
func (l *link) run() {
	defer l.close()
	if l.proxy.currentMode() == Blackhole {
		l.lost.Store(true)
		_, _ = io.Copy(io.Discard, l.client)
		return
	}
	backend, err := l.proxy.dial()
	if err != nil {
		l.reset()
		return
	}
	if !l.setBackend(backend) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { l.forward(backend, l.client) })
	both.Go(func() { l.forward(l.client, backend) })
	both.Wait()
}

// setBackend sets the backend and returns true, or closes it and returns false if the
// link is closed.
func (l *link) setBackend(backend *net.TCPConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		backend.Close()
		return false
	}
	l.backend = backend
	return true
}

// forward copies data from one side to the other, and its end of stream.
func (l *link) forward(to, from *net.TCPConn) {
	chunk := make([]byte, 32<<10)
	for {
		n, err := from.Read(chunk)
		mode := l.proxy.currentMode()
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
		if _, writeErr := to.Write(chunk[:n]); writeErr != nil {
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

// wait waits for d and reports whether the link is still open.
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

// reset closes both sides with a TCP reset.
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
