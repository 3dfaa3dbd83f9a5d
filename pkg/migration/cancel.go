// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// cancelGrace is the time after a cancellation in which a write that was confirmed before may still arrive in a member:
// more than the timeouts of its confirmation and of the call, and room for clocks that differ.
const cancelGrace = time.Minute

func isCanceled(m *v1alpha1.Migrate) bool { return m.Status.Cancellation != nil }

// canceling returns the state of a cluster without an object of a canceled migration.
func canceling(m *v1alpha1.Migrate) state {
	return state{v1alpha1.ReasonCanceling, fmt.Sprintf("Canceled by %s; waiting until it is certain that nothing was created just before.", m.Status.Cancellation.Username)}
}

// awaitsCertainty reports whether a write that was confirmed before the cancellation may still arrive.
func awaitsCertainty(m *v1alpha1.Migrate, now time.Time) bool {
	return now.Before(m.Status.Cancellation.Time.Add(cancelGrace))
}

// canceled returns the end of a cluster in which nothing of m is known; false while that is not certain. written is
// whether an object may have been created there. A cluster that can't be read, or may not be, until the progress
// deadline ends all the same; one that was not tried yet does not.
func canceled(m *v1alpha1.Migrate, cs *v1alpha1.ClusterStatus, object string, written bool, seen Observation, now time.Time) (state, bool) {
	by, cluster := m.Status.Cancellation.Username, ClusterOf(*cs)
	nothing := state{v1alpha1.ReasonCanceled, fmt.Sprintf("Canceled by %s before a %s was created in %s.", by, object, cluster.Name)}
	if !written {
		return nothing, true
	}
	member, read := seen.Members[cluster]
	why, usable := seen.Plan.Of(cluster).usable()
	since := m.Status.Cancellation.Time.Time
	switch {
	case usable && !read, isUndecided(why):
		return canceling(m), false
	case usable && member.Err == nil && awaitsCertainty(m, now):
		return canceling(m), false
	case usable && member.Err == nil:
		return nothing, true
	case member.Err != nil:
		why = unreachable(cluster.Name, member)
		if member.Since.After(since) {
			since = member.Since
		}
	}
	if now.Before(since.Add(max(cancelGrace, ProgressDeadline(m)))) {
		s := canceling(m)
		s.message += " " + why.message
		return s, false
	}
	message := fmt.Sprintf("Canceled by %s. It could not be checked whether a %s was created in %s just before", by, object, cluster.Name)
	if member.Err != nil {
		message += ": " + strings.TrimRight(member.Err.Error(), ".")
	}
	return state{v1alpha1.ReasonCanceled, message + "."}, true
}

// isUndecided reports whether it is not known yet, by the state of a cluster, whether it may be used.
func isUndecided(s state) bool {
	return slices.Contains([]string{v1alpha1.ReasonConnecting, v1alpha1.ReasonHostUnreachable, v1alpha1.ReasonAccessReviewFailed}, s.reason)
}

// setCanceled sets the state of a cluster in which nothing of a canceled m is known, and ends it when that is certain.
func setCanceled(cs *v1alpha1.ClusterStatus, s state, ended bool) {
	if ended {
		setState(cs, v1alpha1.MigratePhaseCanceled, s)
		return
	}
	setPending(cs, s)
}

// wasComplete reports whether the Backup is recorded as complete, without which no Restore is created.
func wasComplete(m *v1alpha1.Migrate) bool {
	source := m.Status.SourceClusterStatus
	return source != nil && source.Phase == v1alpha1.MigratePhaseCompleted
}
