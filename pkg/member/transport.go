// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"k8s.io/client-go/rest"

	"kurator.dev/migrate-apiserver/pkg/migration"
)

const (
	// dialTimeout bounds the time to get a TCP connection, and to shake hands.
	dialTimeout = 5 * time.Second
	// maxAnswer bounds what is read of an answer that is not a watch.
	maxAnswer = 64 << 20
)

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
	transport.HTTP2 = &http.HTTP2Config{SendPingTimeout: o.PingInterval, PingTimeout: o.PingInterval / 2}
	return transport, nil
}

// bounded bounds what a member may take of ours: the time until an answer
// begins, which for a watch is all that can be bounded, and its size.
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
	measure(req, resp, time.Since(began))
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		cancel(nil)
		return nil, &transportError{cause: err}
	}
	// client-go would wait and try again by itself.
	resp.Header.Del("Retry-After")
	resp.Body = &answer{ReadCloser: resp.Body, left: maxAnswer, unbounded: isWatch(req), cancel: func() { cancel(nil) }}
	return resp, nil
}

func isWatch(req *http.Request) bool {
	return req.URL.Query().Get("watch") != ""
}

// noAnswerError says that a member did not answer in time.
type noAnswerError struct{ within time.Duration }

func (e noAnswerError) Error() string { return fmt.Sprintf("no answer within %s", e.within) }

// answer is the body of an answer.
type answer struct {
	io.ReadCloser
	left      int64
	unbounded bool
	cancel    func()
}

func (a *answer) Read(p []byte) (int, error) {
	if a.unbounded {
		return a.ReadCloser.Read(p)
	}
	if a.left <= 0 {
		return 0, errors.New("the answer is too large")
	}
	n, err := a.ReadCloser.Read(p[:min(int64(len(p)), a.left)])
	a.left -= int64(n)
	return n, err
}

func (a *answer) Close() error {
	defer a.cancel()
	return a.ReadCloser.Close()
}
