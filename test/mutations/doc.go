// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package mutations shows that the simulation of package driver finds bugs: it breaks
// the product on purpose, each time in one way in which people break controllers, and
// wants the simulation to fail.
//
// The product is not touched: go build's -overlay has a child `go test` see another
// file in the place of the one that is broken. One mutation alone:
//
//	go test ./test/mutations -run 'TestMutations/the_pin' -v
package mutations
