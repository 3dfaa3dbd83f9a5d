// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package clusteruse is an admission plugin: a Migrate can be created only by a user
// who may use every cluster that it names, and the Fleet where it names none.
//
// A migration acts in the members with credentials that its creator need not have, so the
// permission to create Migrates must not grant access to all clusters of the namespace. Package
// permission checks the authenticated user by the host's authorizer. References can't change, so
// updates are not checked; the driver checks again when the migration starts, because permissions
// may have been revoked and the Fleet may have changed.
//
// The plugin also adds the requester and the clusters of a Migrate to the audit log.
package clusteruse
