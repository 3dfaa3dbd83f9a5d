// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package clientmetrics exports client-go's own metrics of requests, by the cluster that a request is for instead of its address: an
// address means nothing to who reads a dashboard, and tenants choose those of their members.
//
// It imports nothing of ours. Command migrate-apiserver registers it, and package member's client says which cluster a request is for.
package clientmetrics
