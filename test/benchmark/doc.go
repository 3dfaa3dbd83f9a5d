// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Command benchmark measures the server on real clusters, side by side with what people would use instead: a CustomResourceDefinition of
// the same type in the same host. The sides take turns in each of several rounds. It asserts nothing; `make bench` writes RESULTS.md.
package main
