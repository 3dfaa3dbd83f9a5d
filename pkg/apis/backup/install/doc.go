// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package install puts the API group, all its versions with their order of
// preference, into a scheme. It imports nothing of ours but the API types.
package install
