// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package mutations tests that the simulation of package driver finds bugs: it injects typical
// bugs of controllers into the code, one at a time, and expects the simulation to fail.
//
// All take ten minutes; `make test` runs every tenth one, `make mutations` all of them.
//
// It changes no file of the repository: a child `go test` gets the changed file by -overlay. To
// run a single mutation:
//
//	go test ./test/mutations -run 'TestMutations/clusters_are_not_pinned' -v
package mutations
