// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package options has the flags of migrate-apiserver: defaults, sections, validation
// whose errors name the flag, and the server configuration that they result in.
//
// It imports packages admission, apiserver and the API types. Package app uses it.
package options
