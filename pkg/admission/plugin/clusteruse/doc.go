// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package clusteruse is an admission plugin: a Migrate can be created only by a user
// who may use every cluster that it names, and the Fleet where it names none.
//
// A migration acts in the members with credentials that its creator need not have,
// so the right to create Migrates must not be the right to all clusters of the
// namespace. Package permission asks the host's authorizer, with all that
// authentication knows of the user. References can't be changed later, so an update
// needs nothing; that a permission is gone, or a Fleet has grown, is seen when the
// migration starts (package driver).
//
// It also notes in the audit log what each request that begins or ends a migration
// is about.
package clusteruse
