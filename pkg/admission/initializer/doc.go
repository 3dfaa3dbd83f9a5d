// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package initializer gives plugins of the admission chain what the library does not
// give them by itself.
package initializer
