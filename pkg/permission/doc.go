// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package permission decides whether a user may have a Migrate act in its clusters.
//
// A migration acts in the members with credentials that its creator need not have. So a
// Migrate takes the verb use on every cluster that it names, and on the Fleet where it
// names none. There is one answer to this question, for three callers:
//
//   - Denied is for the admission plugin, which refuses a new Migrate. It checks the
//     user of the request, whom the server records as the requester.
//   - Check is for the driver, before anything is begun in a cluster: since the creation
//     the Fleet and the permissions can have changed.
//   - CheckLive is for a live read of the status. Neither the driver nor a live read
//     checks the reader: what a Migrate may do depends on its requester alone, and the
//     host's authorization of the request decides who may read it.
//
// The delegated authorizer of the API server sends SubjectAccessReviews to the host and caches
// the answers for seconds; live reads make a bounded number of them at a time. With
// Options.ReviewMembers, the driver also checks in each cluster whether the requester could do
// there directly what the Migrate does. A live read does not: it grants access once the driver
// has recorded that the cluster could be used.
//
// It imports nothing of ours but the API types and packages migration and recovery. It uses
// members by an interface.
package permission
