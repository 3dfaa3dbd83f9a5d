// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package migrate has the strategies of Migrates: which fields are cleared, kept and refused when
// a user writes one and when the driver records its status, and by which fields they are selected.
//
// A user writes the metadata, and the spec once; the driver writes the status only. Neither can
// write the fields of the other.
//
// It imports the API types, their validation, and package migration for the conditions of
// a new Migrate.
package migrate
