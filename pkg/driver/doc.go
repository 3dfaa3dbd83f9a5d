// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package driver drives migrations: it resolves a Migrate's clusters to a plan, checks the
// requester's access to them, observes the members, lets package migration compute the status and
// the next actions, records the status, and performs the actions.
//
// A sync is triggered by watches: of the Migrates, of the host's fleets and clusters, and of our
// Velero objects in every member that a live Migrate needs. The holder of the Lease runs the loop.
// Two loops at the same time do no harm: each object's name contains the Migrate's UID, and each
// status update has a resourceVersion as its precondition.
//
// The order within a sync makes a crash harmless at any point: the status is recorded first, and
// actions follow from the recorded status only. If a cache lacks a recorded object, a GET confirms
// the deletion before it counts.
//
// What goes as it should in a target, of which there may be many, and what a source does before Velero works on its Backup is recorded
// at most once a second (migration.Compare). Everything else is recorded at once, and all that an action relies on.
//
// Background reads (inquiry.go) check whether an object is really gone, determine why Velero makes
// no progress with it, and read its errors before its end is recorded. A watch can't do these.
//
// Whether two clusters use one storage, where their locations alone don't show it, is read once for all Migrates (sharing.go): the
// completed Backups of both, which package migration compares. The result is a cache; what a migration went by is recorded.
//
// Before a Backup is created, its Migrate takes its turn in the queue of its Velero (queue.go), which only
// the loop knows. It loses its turn when its Backup can't be created. After a crash all join again; a Backup
// that runs counts, whether its Migrate has joined or not.
//
// A live read never reports a terminal phase that is not recorded, not even of one cluster, because
// only the record makes it final: the loop reads the errors first, and the phase may differ then.
//
// A preview (preview.go) plans a Migrate that is not stored, or is suspended: it reads the clusters as a live read does,
// lets package migration compute the status of a Migrate that is created now, and adds what surveys of the members find.
//
// Right before each write of an action, a GET confirms that the Migrate is stored, has not ended and
// is neither being deleted, nor suspended, nor canceled (confirmingMember), and that its attempt is still the same. A retry
// is the one way from an end to another attempt, whose state in the loop (migrateState) is new. Background reads, which create ServerStatusRequests and
// DownloadRequests, confirm only that it is stored and has not ended. No action is started for a Migrate that is being
// deleted but has a finalizer; it is observed until its end is recorded.
//
// When a leader loses its Lease, or can't renew it for RenewDeadline, the contexts of all syncs and
// calls end at once, which is before LeaseDuration is over and another replica may lead. The Lease is
// released after all of them have returned. If one has not returned after stopTimeout, Run returns
// an error: then the Lease expires, and the process must end.
//
// /livez checks the loop (liveness.go): it fails if a sync does not return, if the queue is not
// served, or if a leader neither renews nor stops. It ignores faults of members, the host and the
// storage.
//
// Calls to members run in the background, at most one write and one read of each kind at a time for
// each Migrate and cluster, so that a member that hangs delays no other.
//
// No content of a Migrate or a member may end the process: a panic in a sync, background call or
// live read is logged with its stack, counted in migrate_panics_total, and fails that Migrate only.
// A sync is retried after at most lastSyncRetry, a write after at most lastRetry, and a live read
// returns a 500.
//
// The package imports packages member, migration, permission, recovery and velero, the API types and
// their listers, and nothing of the API server. It uses the host through interface Host, and the storage through interface Migrates.
package driver
