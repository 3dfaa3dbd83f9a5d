// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package view makes lines of text of what the API says: pure functions of an object, the time and what the terminal can show.
//
// Every text of an object passes Clean, because members and other users wrote parts of it. It imports the API types and the pure core.
package view
