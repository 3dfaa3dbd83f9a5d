// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package fuzzer fills Migrates with random content for round-trip tests. It
// imports nothing of ours but the API types.
package fuzzer
