// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package install tests the ways to install the server that docs/installation.md describes.
package install
