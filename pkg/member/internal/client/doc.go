// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package client makes calls to one Velero of a member.
//
// A Client connects by the member's kubeconfig, which it reads from the host. It reads it
// again once a minute, after the member refused its credentials or did not answer, and on
// Invalidate; when it has changed, a new Connection replaces the old one.
//
// Every call has a deadline, only so many are made at a time, and a circuit breaker refuses
// calls for a while that grows from a second to a minute after the member did not answer. An
// error status of the API is an answer; anything else that prevents one opens the circuit, and
// so does an answer that exceeds a limit.
//
// The circuit breaker is our own: gobreaker's time to stay open is fixed, and it neither
// reports when that ends nor can be closed early; failsafe-go can't take back the permit of an
// attempt whose outcome is unknown; and neither keeps the error or wakes those who wait. What
// they would replace is the forty lines of admit and record.
//
// It is used by package member and its other internal packages, and imports nothing of ours but
// kubeconfig, limits, metrics, transport, migration, recovery and the API.
package client
