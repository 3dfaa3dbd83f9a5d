// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"kurator.dev/migrate-apiserver/pkg/member/internal/limits"
	"kurator.dev/migrate-apiserver/pkg/member/internal/metrics"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

const (
	// maxHeader bounds the header of an answer, in bytes.
	maxHeader = 64 << 10
	// receiveBuffer is how much of an answer is received before it is read, in bytes.
	receiveBuffer = 512 << 10
)

// dialTimeout bounds the time to get a TCP connection, and to shake hands.
const dialTimeout = 5 * time.Second

// newTransport makes a transport that is nobody else's, so that it can be
// closed: those of client-go are kept in a cache for ever.
func newTransport(config *rest.Config, o Options) (*http.Transport, error) {
	tlsConfig, err := rest.TLSConfigFor(config)
	if err != nil {
		return nil, fmt.Errorf("%w: its TLS settings are invalid", migration.ErrKubeconfigRefused)
	}
	server, err := url.Parse(config.Host)
	if err != nil {
		return nil, fmt.Errorf("%w: its server is not a URL", migration.ErrKubeconfigRefused)
	}
	transport, err := o.addresses().transportTo(server, &net.Dialer{
		Timeout:         dialTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: o.PingInterval, Interval: o.PingInterval / 2, Count: 3},
	})
	if err != nil {
		return nil, err
	}
	transport.TLSClientConfig = tlsConfig
	transport.IdleConnTimeout = 90 * time.Second
	transport.ForceAttemptHTTP2 = true
	// An answer may be as small as it likes and still unpack to anything.
	transport.DisableCompression = true
	transport.HTTP2 = &http.HTTP2Config{
		SendPingTimeout: o.PingInterval, PingTimeout: o.PingInterval / 2,
		MaxReceiveBufferPerStream: receiveBuffer, MaxReceiveBufferPerConnection: 2 * receiveBuffer,
	}
	return transport, nil
}

// bounded bounds what a member may take of ours: the time until an answer begins, for
// a watch also that in which an event arrives, and their size by the call's allowance.
type bounded struct {
	next    http.RoundTripper
	timeout time.Duration
}

// transportError is a failure to get an answer. Its cause is not in its text or
// chain: client-go would recognize some and try again by itself, for as long as
// it takes.
type transportError struct{ cause error }

func (e *transportError) Error() string { return "no answer" }

func (b *bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	began := time.Now()
	late := time.AfterFunc(b.timeout, func() { cancel(noAnswerError{b.timeout}) })
	resp, err := b.next.RoundTrip(req.WithContext(ctx))
	late.Stop()
	metrics.ObserveRequest(req, resp, time.Since(began))
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		cancel(nil)
		return nil, &transportError{cause: err}
	}
	// client-go would wait and try again by itself.
	resp.Header.Del("Retry-After")
	resp.Body = &answer{ReadCloser: resp.Body, allowance: limits.AllowanceOf(req.Context()), timeout: b.timeout, cancel: cancel}
	return resp, nil
}

// noAnswerError says that a member did not answer in time.
type noAnswerError struct{ within time.Duration }

func (e noAnswerError) Error() string { return fmt.Sprintf("no answer within %s", e.within) }

// answer is the body of an answer. What is read of it takes of the allowance of its
// call; of that of a watch each event anew.
type answer struct {
	io.ReadCloser
	allowance *limits.Allowance
	meter     limits.Meter
	cancel    context.CancelCauseFunc
	// timeout is for an event that has begun.
	timeout time.Duration

	mu     sync.Mutex
	closed bool
	// late runs while an event has begun and not ended.
	late *time.Timer
}

func (a *answer) Read(p []byte) (int, error) {
	n, err := a.ReadCloser.Read(p)
	if exceeded := a.account(p[:n]); exceeded != nil {
		return 0, exceeded
	}
	return n, err
}

// account notes what was read.
func (a *answer) account(text []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(text) > 0 && !a.closed {
		n, size, ended := a.meter.Add(text)
		text = text[n:]
		if err := a.allowance.Use(size); err != nil {
			return err
		}
		if a.allowance.IsWatch() {
			a.await(ended)
		}
	}
	return nil
}

// await has an event that has begun arrive in time. The caller holds the lock.
func (a *answer) await(ended bool) {
	switch {
	case ended:
		a.settle()
	case a.late == nil && a.meter.Begun():
		a.late = time.AfterFunc(a.timeout, func() {
			a.allowance.Fail(noAnswerError{a.timeout})
			a.cancel(nil)
		})
	}
}

// settle ends the waiting for an event, whose memory is another's then. The caller holds
// the lock.
func (a *answer) settle() {
	a.allowance.Release()
	if a.late != nil {
		a.late.Stop()
		a.late = nil
	}
}

func (a *answer) Close() error {
	defer a.cancel(nil)
	a.mu.Lock()
	a.closed = true
	if a.allowance.IsWatch() {
		a.settle()
	}
	a.mu.Unlock()
	return a.ReadCloser.Close()
}
