// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package pods determines why a pod does not run.
//
// It is used by packages diagnosis and workloads, and imports nothing of ours.
package pods
