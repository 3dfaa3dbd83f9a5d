// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package netproxy injects network faults into tests. It is a TCP proxy that forwards
// all data, or delays it, drops it, resets every connection or refuses new ones.
//
// It doesn't parse the data, so TLS is end to end: the backend's certificate must be
// valid for 127.0.0.1. With several backends it connects each client to the next one
// that accepts, and so also serves as the load balancer of several replicas.
//
// A change of mode takes effect at once and also for open connections. The package
// imports no other package of ours.
package netproxy
