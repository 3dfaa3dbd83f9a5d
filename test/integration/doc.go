// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package integration tests the API as its users have it: through the host's
// aggregator, with the real kubectl and the RBAC of artifacts/deploy, against our
// program on its embedded etcd. There are no members; what needs one is in
// package e2e.
//
// It needs what `make tools build` puts into _output/bin. With -short, nothing
// runs.
package integration
