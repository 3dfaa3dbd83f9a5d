// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package driver makes migrations happen: it resolves a Migrate's clusters to a plan,
// checks which of them its requester may use, observes the members, has package migration
// compute the status and the next actions, records the one and does the other.
//
// It is driven by watches: of the Migrates, of the host's fleets and clusters,
// and, in every member that a live Migrate needs, of our Velero objects. One
// replica at a time runs the loop, the holder of the Lease; two at once do no
// harm, since every object's name is bound to the Migrate's UID and every record
// has a resourceVersion as its precondition.
//
// The order within one turn is what makes a crash harmless at any point: what is
// observed is recorded first, and only what is recorded is acted upon. An object
// that the record knows and a cache does not is asked for outright before it is
// taken as gone.
//
// What a watch doesn't tell is asked for beside the loop (inquiry.go): whether an
// object is really gone, why Velero makes no progress with one, and, before an end
// is recorded, what its errors were.
//
// A live read never tells an end that is not recorded, be it of one cluster, since only
// the record makes it final: before that the loop reads the errors, and what it sees then
// may be another end.
//
// Each write of an action into a member confirms with a GET right before that the
// Migrate is stored, has not ended and is not being deleted (wantedMember). For one that
// is being deleted and waits for a finalizer nothing is begun, but what runs is observed
// until its end is recorded.
//
// A leader that loses its Lease, or can't renew it for RenewDeadline, has the contexts of
// all syncs and calls end at once, which is before the LeaseDuration is over and another
// may lead. The Lease is given up only after all of them have returned. What has not
// returned stopPatience after that is an error of Run: then the Lease runs out, and the
// process must end.
//
// Whether the loop goes on is checked by /livez (liveness.go): a sync that does not
// return, a queue that is not served, and a leader that neither renews nor stops. What
// only a member, the host or the storage can end fails none of these.
//
// Calls to a member run beside the loop, one at a time for each Migrate and
// cluster, so a member that hangs delays nobody else.
//
// What a Migrate, or a member, says must not end the process: a panic in a sync, in a
// call in the background or in a live read is logged with its stack, counted in
// migrate_panics_total, and is an error of that one Migrate: a sync is tried again
// after at most lastTurnRetry, a write after at most lastRetry, and the readers of a
// live status get a 500. All others go on.
//
// It imports packages member, migration, permission, recovery and velero, the API types and their
// client; nothing of the API server. The host it knows by an interface.
package driver
