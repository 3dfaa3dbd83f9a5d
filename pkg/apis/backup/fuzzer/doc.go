// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package fuzzer generates random Migrates for round-trip tests. It
// imports nothing of ours but the API types.
package fuzzer
