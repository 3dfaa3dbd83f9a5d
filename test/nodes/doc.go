// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package nodes has the tests of migrations whose result is only visible in running
// applications: the members have a real node each, pods run, and Velero's node-agent moves
// the data of their volumes. A test passes if the application serves the same data in the
// target as in the source.
package nodes
