// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package workloads determines whether the workloads that a Restore has created in a member are
// ready, as kstatus defines it, and why one isn't: which of its pods is not ready, and for what
// reason.
//
// It is used by package member, and imports nothing of ours but client, migration, pods, velero and the API
// types.
package workloads
