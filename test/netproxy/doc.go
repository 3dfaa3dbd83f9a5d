// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package netproxy is a bad network for tests: a TCP proxy that forwards what it
// gets, until it is told to delay it, to swallow it, to reset every connection or
// to refuse new ones.
//
// It knows nothing of what it carries, so TLS goes through to the backend, whose
// certificate must be valid for 127.0.0.1. With several backends it gives each
// connection to the next one that accepts it, and so is also the load balancer
// before several replicas.
//
// Everything takes effect at once and for connections that are open, too. It
// imports nothing of ours.
package netproxy
