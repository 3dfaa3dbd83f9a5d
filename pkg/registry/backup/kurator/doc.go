// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package kurator stores and serves Kurator's own kinds of the group, Backup and Restore, and hides Migrates from
// Kurator's controllers.
//
// An APIService takes over a whole group version, so on a host with Kurator these kinds are no longer served by their
// CustomResourceDefinitions. Kurator's fleet-manager, which drives Fleets and Applications in the same process, ends
// if it can't watch them. Both kinds behave as those of the definitions do: the status is a subresource that can be
// written, and nothing else is known about them.
//
// It imports the API types, their validation, and the packages that all storages of the group share.
package kurator
