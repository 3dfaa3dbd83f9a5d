// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package admission adds to the admission chain what is particular to Migrates.
package admission
