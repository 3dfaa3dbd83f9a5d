// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package membertest models the API server of a member and the host that keeps its
// kubeconfig, for the tests of package member and of those below it. It imports nothing
// of theirs, so that each of them can use it.
package membertest
