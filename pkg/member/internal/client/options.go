// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"cmp"
	"net/http"
	"time"

	"kurator.dev/migrate-apiserver/pkg/member/internal/transport"
)

// Options bound the calls to members. A zero field has its default.
type Options struct {
	// CallTimeout bounds a call, with the wait for a slot, and the start of a watch.
	// Default: 10 s.
	CallTimeout time.Duration
	// MaxCalls is the number of calls that are made to a member at the same time. Default: 8.
	MaxCalls int
	// RetryMin and RetryMax bound the time during which no call is made to a member that did
	// not answer. Default: 1 s to 1 min.
	RetryMin, RetryMax time.Duration
	// RecheckInterval is the time after which a kubeconfig is read again. Default: 1 min.
	RecheckInterval time.Duration
	// PingInterval is the time of silence after which a connection is tested. It is closed if
	// the test is not answered within half of it. Default: 10 s.
	PingInterval time.Duration
	// MaxResults is the number of Backups and Restores whose results are read at the same time
	// for the driver. Default: 4.
	MaxResults int
	// AnswerTimeout is the time within which Velero must process a ServerStatusRequest.
	// Default: 3 s.
	AnswerTimeout time.Duration
	// LinkTimeout is the time within which Velero must process a DownloadRequest. It processes
	// one after the other, and starts a plugin for each. Default: 30 s.
	LinkTimeout time.Duration
	// IdleTimeout is the time after which an unused connection is closed. Default: 10 min.
	IdleTimeout time.Duration

	// AllowInsecureTLS accepts kubeconfigs with insecure-skip-tls-verify.
	AllowInsecureTLS bool
	// Addresses are those that members, and the storage that a member names, may have. The
	// default of Addresses.Proxy is the proxy of the environment.
	Addresses transport.Addresses
}

// WithDefaults returns the Options with defaults in place of zero fields.
func (o Options) WithDefaults() Options {
	o.CallTimeout = cmp.Or(o.CallTimeout, 10*time.Second)
	o.MaxCalls = cmp.Or(o.MaxCalls, 8)
	o.RetryMin = cmp.Or(o.RetryMin, time.Second)
	o.RetryMax = cmp.Or(o.RetryMax, time.Minute)
	o.RecheckInterval = cmp.Or(o.RecheckInterval, time.Minute)
	o.PingInterval = cmp.Or(o.PingInterval, 10*time.Second)
	o.MaxResults = cmp.Or(o.MaxResults, 4)
	o.LinkTimeout = cmp.Or(o.LinkTimeout, 30*time.Second)
	o.AnswerTimeout = cmp.Or(o.AnswerTimeout, 3*time.Second)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, 10*time.Minute)
	if o.Addresses.Proxy == nil {
		o.Addresses.Proxy = http.ProxyFromEnvironment
	}
	return o
}
