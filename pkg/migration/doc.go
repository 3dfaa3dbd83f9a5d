// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package migration is the pure core: what a Migrate's status is, and what is
// to be done next, given what was recorded and what is observed now.
//
// It does no I/O and has no clock. Status and Next are called by the driver,
// which records and acts, and LiveStatus by the subresource migrates/status, which
// answers a reader; it is Status without the ends that are not recorded yet, so the
// two can't disagree, and an end that a reader was told is never another one later.
//
// Each sync, and each live read, resolves the clusters once: Resolve makes a Plan of the
// Migrate and what package fleet says of the host (Inventory). Plan.Unbegun lists the
// clusters whose use must be checked; what package permission answers is added by
// Plan.WithAccess. Everything else takes the plan: which Veleros are observed, which objects
// are looked for there, what a member reviews, the status and the next actions. Package
// member fills in what the members say, and the two make the Observation.
//
// Three rules keep a status true when what is observed is old or missing:
//
//   - A terminal phase, of the whole or of one cluster's part, is final: what
//     was recorded stays, whatever is observed later.
//   - Clusters are pinned. Until the source and targets are recorded for good, each sync
//     resolves them anew, and nothing is written to any member.
//   - An object that was recorded and is not observed is gone only if the
//     observation says so outright; a member that can't be asked says nothing.
//
// It imports nothing of ours but the API types and package velero.
package migration
