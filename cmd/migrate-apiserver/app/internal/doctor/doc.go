// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package doctor checks an installation from outside, with the permissions of the person who asks: the host, its APIService
// and certificates, what the server's ServiceAccount may do, the kinds of clusters, and the clusters themselves.
//
// How the clusters look is what the server sees of them, not the machine of that person: for each fleet a MigratePreview is
// created, which is not stored, of a migration that selects nothing. It writes nothing else.
//
// It imports the API types, who serves the group on the host, the inventory, and the pure core for the kinds.
package doctor
