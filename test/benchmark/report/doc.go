// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package report keeps the figures of a benchmark, which several sides measure in alternating rounds, and writes them as Markdown
// and JSON: medians with their spread, and the ratios of the sides.
package report
