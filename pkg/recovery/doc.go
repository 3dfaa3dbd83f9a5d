// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package recovery contains panics.
//
// What a Migrate, a kubeconfig or a member says is input. If some of it makes our
// code panic, that Migrate must not end the process again and again, and with it the
// API of all tenants. runtime.HandleCrash of apimachinery logs a panic and then
// panics again; here it becomes an error of the one thing that panicked, which is
// tried again with a backoff like any other error.
//
// Packages driver, fleet, member and permission use it, so it is internal to none of
// them. It imports nothing of ours.
package recovery
