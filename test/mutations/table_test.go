// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package mutations

// mutation is a deliberate bug: in a file, old is replaced by new.
type mutation struct {
	name, file, old, new string
}

var mutations = []mutation{
	{
		"a canceled Migrate can be written for", "pkg/migration/suspend.go",
		"&& !isSuspended(m) && !isCanceled(m)",
		"&& !isSuspended(m)",
	},
	{
		"a suspended Migrate can be written for", "pkg/migration/suspend.go",
		"&& !isSuspended(m) && !isCanceled(m)",
		"&& !isCanceled(m)",
	},
	{
		"a cancellation is certain at once", "pkg/migration/cancel.go",
		"case usable && member.Err == nil && awaitsCertainty(m, now):",
		"case usable && member.Err == nil && awaitsCertainty(m, now) && !written:",
	},
	{
		"a Backup does not wait for its turn", "pkg/migration/readiness.go",
		"if s, ok := hasTurn(source.ClusterStatus, member); !ok {",
		"if s, ok := hasTurn(source.ClusterStatus, member); !ok && member.Turn == nil {",
	},
	{
		"Backups of others don't count", "pkg/migration/queue.go",
		"!queued && !isLater {",
		"!queued && !isLater && b.MigrateUID != \"\" {",
	},
	{
		"acting before recording", "pkg/driver/loop.go",
		"return nil, fmt.Errorf(\"recording the status: %w\", err)",
		"return update, nil",
	},
	{
		"a missing object counts as deleted", "pkg/driver/observe.go",
		"if !migration.IsObjectMissing(m, v.Cluster, seen) {\n\t\ts.confirmations.forget(v.Cluster)",
		"if true {\n\t\ts.confirmations.forget(v.Cluster)",
	},
	{
		"an unknown phase counts as success", "pkg/velero/phases.go",
		"return v1alpha1.MigratePhaseRestoreInProgress",
		"return v1alpha1.MigratePhaseCompleted",
	},
	{
		"acting on a stale cache", "pkg/driver/loop.go",
		"if fresh.UID != m.UID || fresh.ResourceVersion != m.ResourceVersion {",
		"if fresh.UID != m.UID {",
	},
	{
		"a failed sync is not retried", "pkg/driver/loop.go",
		"logger.Error(err, \"Syncing the Migrate failed, retrying\")\n\t\tl.queue.AddRateLimited(key)",
		"logger.Error(err, \"Syncing the Migrate failed, retrying\")",
	},
	{
		"a call does not queue its Migrate", "pkg/driver/act.go",
		"s.endWrite(cluster, err)\n\tl.queue.Add(s.key)",
		"s.endWrite(cluster, err)",
	},
	{
		"a recreated Migrate counts as the same", "pkg/driver/act.go",
		"case fresh.UID != m.UID, fresh.Status.Attempt() != m.Status.Attempt(), migration.IsTerminal(fresh.Status.Phase):",
		"case fresh.Status.Attempt() != m.Status.Attempt(), migration.IsTerminal(fresh.Status.Phase):",
	},
	{
		"an object is adopted by name", "pkg/driver/act.go",
		"if err == nil && !velero.BelongsTo(existing.GetLabels(), uid) {",
		"if false {",
	},
	{
		"restoring before the Backup is finished", "pkg/velero/phases.go",
		"case velerov1.BackupPhaseCompleted:",
		"case velerov1.BackupPhaseCompleted, velerov1.BackupPhaseFinalizing:",
	},
	{
		"restoring after an incomplete handoff", "pkg/driver/act.go",
		"if err != nil || velero.IsHandoffComplete(backup, existing) {\n\t\t\treturn backup, err",
		"if err != nil || len(existing) >= 0 {\n\t\t\treturn backup, err",
	},
	{
		"restoring after an incomplete sync", "pkg/migration/readiness.go",
		"if velero.IsHandedOver(backup) || isSyncComplete(member) {",
		"if true {",
	},
	{
		"handing over without a proof of one storage", "pkg/migration/readiness.go",
		"case location.proof() == nil:",
		"case location.proof() == nil && location.source == nil:",
	},
	{
		"handing over before the source has synced", "pkg/migration/readiness.go",
		"case velero.IsSynced(from.Backup) && !isSyncComplete(from):",
		"case false:",
	},
	{
		"writing after the terminal phase", "pkg/driver/act.go",
		"case fresh.UID != m.UID, fresh.Status.Attempt() != m.Status.Attempt(), migration.IsTerminal(fresh.Status.Phase):",
		"case fresh.UID != m.UID, fresh.Status.Attempt() != m.Status.Attempt():",
	},
	{
		"a Migrate that is being deleted continues", "pkg/migration/suspend.go",
		"m.DeletionTimestamp == nil && !isSuspended(m)",
		"!isSuspended(m)",
	},
	{
		"a write does not confirm its Migrate", "pkg/driver/act.go",
		"return confirmingMember{l.member(m, c), func(ctx context.Context) error { return l.confirmWritable(ctx, m) }}",
		"return l.member(m, c)",
	},
	{
		"the Velero namespace is not pinned", "pkg/migration/plan.go",
		"cmp.Or(cs.VeleroNamespace, host.Clusters[c.Cluster].VeleroNamespace)",
		"cmp.Or(host.Clusters[c.Cluster].VeleroNamespace, cs.VeleroNamespace)",
	},
	{
		"clusters are not pinned", "pkg/migration/resolve.go",
		"if IsTerminal(m.Status.Phase) || IsPinned(&m.Status) {",
		"if IsTerminal(m.Status.Phase) {",
	},
	{
		"a target is not pinned before its Restore", "pkg/migration/progress.go",
		"if before != after || startsRestore(a, b) {",
		"if before != after {",
	},
	{
		"one target delays the others", "pkg/migration/next.go",
		"if _, ready := targetReadiness(m, target, source, seen); !ready {\n\t\t\tcontinue",
		"if _, ready := targetReadiness(m, target, source, seen); !ready {\n\t\t\treturn actions",
	},
	{
		"the terminal phase of a cluster is not kept", "pkg/migration/status.go",
		"if IsTerminal(cs.Phase) {\n\t\treturn\n\t}\n\twas, before := *cs, progressOf(*cs, source.BackupStatusInCluster",
		"was, before := *cs, progressOf(*cs, source.BackupStatusInCluster",
	},
	{
		"a live read returns a terminal phase that is not recorded", "pkg/driver/observe.go",
		"status = migration.LiveStatus(",
		"status = migration.Status(",
	},
	{
		"a failed attempt to read the results is final", "pkg/driver/observe.go",
		"answer.Failed() && at.Sub(ended.since) < migration.ProgressDeadline(m) {",
		"answer.Failed() && at.Sub(ended.since) < 0 {",
	},
	{
		"an item that was kept counts as success", "pkg/migration/results.go",
		"if found[is.outcome] > 0 && !is.allowed {",
		"if found[is.outcome] > 0 && is.allowed {",
	},
	{
		"unknown results count as success", "pkg/migration/results.go",
		"return v1alpha1.MigratePhasePartiallyFailed, v1alpha1.ReasonResultsUnavailable",
		"return v1alpha1.MigratePhaseCompleted, v1alpha1.ReasonResultsUnavailable",
	},
	{
		"workloads are not waited for", "pkg/migration/workloads.go",
		"if w.Counts.Ready == w.Counts.Total {",
		"if w.Counts.Ready <= w.Counts.Total {",
	},
	{
		"restoring without the resource modifiers", "pkg/driver/act.go",
		"if modifiers := action.Modifiers; modifiers != nil {",
		"if modifiers := action.Modifiers; modifiers != nil && false {",
	},
	{
		"backing up without the resource policies", "pkg/driver/act.go",
		"if action.Policies != nil {",
		"if action.Policies != nil && false {",
	},
	{
		"restoring without the StorageClasses", "pkg/migration/prerequisites.go",
		"if !p.StorageClasses || target.StorageClasses == nil {",
		"if true {",
	},
	{
		"an end stays observed after it is recorded", "pkg/driver/observe.go",
		"if migration.HasEnded(m, v.Cluster) {",
		"if false {",
	},
	{
		"a call of an earlier attempt writes", "pkg/driver/act.go",
		"fresh.Status.Attempt() != m.Status.Attempt(), ",
		"",
	},
	{
		"names lack the attempt", "pkg/velero/names.go",
		"return ObjectNameOf(cluster, m, m.Status.Attempt())",
		"return ObjectNameOf(cluster, m, 1)",
	},
	{
		"a retry restores to all targets", "pkg/migration/retry.go",
		"target := &status.TargetClusterStatus[i]; target.Phase != v1alpha1.MigratePhaseCompleted {",
		"target := &status.TargetClusterStatus[i]; true {",
	},
	{
		"what was read for an earlier attempt is used", "pkg/driver/state.go",
		" && s.attempt == m.Status.Attempt()",
		"",
	},
	{
		"a retry does not wait for earlier attempts", "pkg/migration/objects.go",
		"case !ended:",
		"case false:",
	},
}
