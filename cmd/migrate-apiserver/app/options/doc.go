// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package options turns flags into the server's configuration: defaults, flags in
// sections, validation that names the flag, and the configuration itself.
package options
