// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package migration computes the status and the next actions of a Migrate from its recorded
// status and an observation of the clusters. It does no I/O and reads no clock.
//
// The driver calls Status and Next, records the status and executes the actions. The
// subresource migrates/status calls LiveStatus, which is Status without the final phases that
// are not recorded yet: a final phase that was reported to a reader never changes later.
//
// Each sync and each live read resolves the clusters once: Resolve returns the Plan from the
// Migrate and from what package fleet reads from the host (Inventory). Plan.NotStarted lists
// the clusters to which access must be checked; Plan.WithAccess adds the results of package
// permission. Everything else uses the plan: which Veleros are observed, which objects are
// looked up there, what is reviewed in a member, the status and the next actions. The plan and what
// package member reads from the members form the Observation.
//
// Three rules keep a status correct when an observation is stale or incomplete:
//
//   - A terminal phase, of the Migrate or of one cluster, is final: the recorded status stays,
//     whatever is observed later. Only Retry leads on, to another attempt, and keeps the targets that are
//     Completed. The names of its objects have its number.
//   - Clusters are pinned. Until the source and targets are pinned, each sync resolves them
//     again and nothing is written to any member.
//   - A recorded object counts as deleted only if a successful read did not return it. An
//     unreachable member proves nothing.
//
// The package imports only the API packages and package velero of this module.
package migration
