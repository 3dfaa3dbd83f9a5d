// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package migrate says what may be done to a Migrate, apart from where it is
// stored: what is cleared, kept and refused when a user writes one, what when the
// driver records one, and which fields it is selected by.
//
// A user writes metadata, and the spec once; the driver writes the status and
// nothing else. Neither can write the other's.
//
// It imports the API types, their validation, and package migration for the conditions of
// a new Migrate.
package migrate
