// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

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
	// maxHeader is the largest header of an answer, in bytes.
	maxHeader = 64 << 10
	// receiveBuffer is how much of an answer HTTP/2 receives ahead of its reader, in bytes.
	receiveBuffer = 512 << 10
	// dialTimeout bounds the TCP connect, and the TLS handshake.
	dialTimeout = 5 * time.Second
)

// New returns a transport to the server of a client configuration. It belongs to the caller
// alone, who can close its connections: client-go keeps its own transports in a cache forever.
// A connection that is silent for pingInterval is tested, by an HTTP/2 ping or TCP keepalive.
func New(config *rest.Config, addresses Addresses, pingInterval time.Duration) (*http.Transport, error) {
	tlsConfig, err := rest.TLSConfigFor(config)
	if err != nil {
		return nil, fmt.Errorf("%w: its TLS settings are invalid", migration.ErrKubeconfigNotAccepted)
	}
	server, err := url.Parse(config.Host)
	if err != nil {
		return nil, fmt.Errorf("%w: its server is not a URL", migration.ErrKubeconfigNotAccepted)
	}
	transport, err := addresses.TransportTo(server, net.KeepAliveConfig{
		Enable: true, Idle: pingInterval, Interval: pingInterval / 2, Count: 3,
	})
	if err != nil {
		return nil, err
	}
	transport.TLSClientConfig = tlsConfig
	transport.IdleConnTimeout = 90 * time.Second
	transport.ForceAttemptHTTP2 = true
	transport.HTTP2 = &http.HTTP2Config{
		SendPingTimeout: pingInterval, PingTimeout: pingInterval / 2,
		MaxReceiveBufferPerStream: receiveBuffer, MaxReceiveBufferPerConnection: 2 * receiveBuffer,
	}
	return transport, nil
}

// Bound returns a RoundTripper that bounds the answers which come through next: an answer,
// and each event of a watch that has begun, must arrive within timeout, and must not exceed
// the limits.Allowance of the request's context. It counts requests in the metrics. Its
// errors are of type Error.
func Bound(next http.RoundTripper, timeout time.Duration) http.RoundTripper {
	return &bounded{next: next, timeout: timeout}
}

type bounded struct {
	next    http.RoundTripper
	timeout time.Duration
}

// dateKey is the key of a function that is called with the time of an answer.
type dateKey struct{}

// ReportClock returns a context whose requests call report with how far the clock of the server that answers is ahead of ours,
// which HTTP tells by the second.
func ReportClock(ctx context.Context, report func(ahead time.Duration)) context.Context {
	return context.WithValue(ctx, dateKey{}, report)
}

func reportClock(ctx context.Context, resp *http.Response, began time.Time) {
	report, ok := ctx.Value(dateKey{}).(func(time.Duration))
	if !ok {
		return
	}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		report(date.Sub(began.Add(time.Since(began) / 2)).Truncate(time.Second))
	}
}

// Error reports that a request got no answer. The text and the error chain leave Cause out,
// because client-go recognizes some causes and retries by itself, without a bound on time.
type Error struct{ Cause error }

func (e *Error) Error() string { return "no answer" }

func (b *bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	began := time.Now()
	late := time.AfterFunc(b.timeout, func() { cancel(TimeoutError{b.timeout}) })
	resp, err := b.next.RoundTrip(req.WithContext(ctx))
	late.Stop()
	metrics.ObserveRequest(req, resp, time.Since(began))
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		cancel(nil)
		return nil, &Error{Cause: err}
	}
	reportClock(req.Context(), resp, began)
	// client-go would wait and retry by itself.
	resp.Header.Del("Retry-After")
	resp.Body = &body{ReadCloser: resp.Body, allowance: limits.AllowanceOf(req.Context()), timeout: b.timeout, cancel: cancel}
	return resp, nil
}

// TimeoutError reports that no answer came within a time.
type TimeoutError struct{ Within time.Duration }

func (e TimeoutError) Error() string { return fmt.Sprintf("no answer within %s", e.Within) }

// WithTimeout returns a context that ends after d, with a TimeoutError as its cause.
func WithTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, TimeoutError{d})
}

// body is the body of a response. Reading it uses the allowance of its call; each event of
// a watch uses it anew.
type body struct {
	io.ReadCloser
	allowance *limits.Allowance
	meter     limits.Meter
	cancel    context.CancelCauseFunc
	// timeout is for an event that has begun.
	timeout time.Duration

	mu     sync.Mutex
	closed bool
	// late runs from the beginning of an event to its end.
	late *time.Timer
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if exceeded := b.account(p[:n]); exceeded != nil {
		return 0, exceeded
	}
	return n, err
}

// account adds what was read to the allowance.
func (b *body) account(text []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(text) > 0 && !b.closed {
		n, size, ended := b.meter.Add(text)
		text = text[n:]
		if err := b.allowance.Use(size); err != nil {
			return err
		}
		if b.allowance.IsWatch() {
			b.timeEvent(ended)
		}
	}
	return nil
}

// timeEvent starts the timer of an event that has begun, and ends it with the event. The
// caller holds the lock.
func (b *body) timeEvent(ended bool) {
	switch {
	case ended:
		b.endEvent()
	case b.late == nil && b.meter.Begun():
		b.late = time.AfterFunc(b.timeout, func() {
			b.allowance.Fail(TimeoutError{b.timeout})
			b.cancel(nil)
		})
	}
}

// endEvent stops the timer of the event and releases its memory, which now counts where the
// event is kept. The caller holds the lock.
func (b *body) endEvent() {
	b.allowance.Release()
	if b.late != nil {
		b.late.Stop()
		b.late = nil
	}
}

func (b *body) Close() error {
	defer b.cancel(nil)
	b.mu.Lock()
	b.closed = true
	if b.allowance.IsWatch() {
		b.endEvent()
	}
	b.mu.Unlock()
	return b.ReadCloser.Close()
}
