// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package recovery turns panics into errors.
//
// A Migrate, a kubeconfig and the answers of a member are input. If input makes our code panic,
// it must not end the process repeatedly, and with it the API of all tenants.
// runtime.HandleCrash of apimachinery logs a panic and then panics again; here it becomes an
// error of the operation, which is retried with a backoff like any other error.
//
// Packages driver, fleet, member and permission use it, so it is internal to none of
// them. It imports nothing of ours.
package recovery
