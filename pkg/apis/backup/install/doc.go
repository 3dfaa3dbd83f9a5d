// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package install adds all versions of the API group to a scheme, in their order of
// preference. It imports nothing of ours but the API types.
package install
