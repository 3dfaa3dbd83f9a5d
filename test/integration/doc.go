// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package integration tests the API as users reach it: with the real kubectl through the
// host's aggregator. The server under test has its embedded etcd and the RBAC of
// artifacts/deploy. There are no members; package e2e tests migrations.
//
// The tests need the programs of `make tools build` in _output/bin, and are skipped with
// -short. To run a single test:
//
//	go test ./test/integration -run TestWatch -v
//
// Tests share the host and the server. A test gets a namespace named like itself. Those that
// restart the server with other flags restore it at the end, and must not be parallel.
package integration
