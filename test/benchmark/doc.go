// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package benchmark measures the server on real clusters. It asserts nothing: `make bench` prints the figures.
package benchmark
