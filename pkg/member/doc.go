// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package member reads and writes the Velero objects of one member cluster, and watches those
// of Migrates.
//
// A member is a cluster of somebody else. It may be gone, hang, be cut off or be hostile, and so
// may the kubeconfig that leads to it; none of that may delay another member or the API. The
// internal packages each bound one part of it:
//
//   - kubeconfig: what a kubeconfig may contain
//   - transport: which addresses may be connected to, and how long an answer may take
//   - limits: how much memory answers and kept objects may take
//   - client: calls, with deadlines, slots and a circuit breaker
//   - cache: the watched objects of Migrates
//   - diagnosis, results, review, survey: why Velero makes no progress, what became of its items,
//     what the requester of a Migrate may do in the member, and what a Migrate would move and meet
//   - resources, serverstatus: what the member serves, and whether its Velero runs, for these
//   - metrics: the metrics of all of them
//
// A Pool has a Member for each Velero of each cluster of all fleets. Everything
// that writes in a member writes objects of Velero, named and labelled for the Migrate.
//
// The address of a member and the errors of its connections appear in the status of a Migrate:
// whoever writes a kubeconfig can probe what this server reaches. A NetworkPolicy can keep
// private networks from it.
//
// It is used by package driver, by its own interfaces, and by the command, and imports nothing
// of ours but migration, recovery, velero, yamlalias and the API.
package member
