// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"

	"k8s.io/utils/ptr"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/velero"
	"kurator.dev/migrate-apiserver/test/modelvelero"
)

// The invariants of the design, by number, and where each is checked:
//
//	1 no Restore before its Backup is Completed    checkRestore
//	2 one Backup, one Restore per UID, cluster     checkCreated
//	  and attempt
//	3 a terminal phase of an attempt is final,     checkImmutable, checkRetry,
//	  nothing is written after it, and only a      checkCreated
//	  retry follows
//	4 foreign objects are neither used nor changed checkCreated, checkObserved; Member
//	                                               has no method for it
//	5 one resourceVersion, one content             checkMonotonic, for the recorded
//	                                               state of members; for the API,
//	                                               test/integration, verbs_test.go
//	6 the API responds with all members down       pkg/registry/backup/migrate/storage;
//	                                               the simulation has no API
//	7 an unknown phase is never success, and an    checkObserved, checkConditions
//	  empty migration, an item that was kept,
//	  unknown results, and workloads that were
//	  waited for are never silent success
//	8 status sent by a user is never stored        pkg/registry/backup/migrate; the
//	                                               simulation has no users
//	9 the same end after any fault                 checkEnd, finish
//
// The decisions: D6 (independent targets) in checkIndependence, D8 (pinned clusters) in
// checkImmutable.

// checkRecord checks a recorded Migrate against the version before it, and against the members.
func (s *simulation) checkRecord(before, after *v1alpha1.Migrate) {
	s.checkImmutable(&before.Status, &after.Status)
	s.checkObserved(after)
	s.checkMonotonic(before, after)
	s.checkConditions(&after.Status)
}

// checkLive checks a live status against the recorded status and against the members.
func (s *simulation) checkLive(recorded *v1alpha1.Migrate, live *v1alpha1.MigrateStatus) {
	if migration.IsTerminal(recorded.Status.Phase) {
		if !equality.Semantic.DeepEqual(&recorded.Status, live) {
			s.failf("invariant 3: the live status after the end is %s, the recorded status %s", describe(live), describe(&recorded.Status))
		}
		return
	}
	s.checkImmutable(&recorded.Status, live)
	s.checkNoNewEnd(&recorded.Status, live)
	m := recorded.DeepCopy()
	m.Status = *live
	s.checkObserved(m)
	s.checkConditions(live)
}

// checkNoNewEnd checks that a live status has no terminal phase, of the Migrate or of a cluster, that
// is not recorded.
func (s *simulation) checkNoNewEnd(recorded, live *v1alpha1.MigrateStatus) {
	ends := func(status *v1alpha1.MigrateStatus) map[string]bool {
		ends := map[string]bool{"the Migrate": migration.IsTerminal(status.Phase)}
		if source := status.SourceClusterStatus; source != nil {
			ends[source.ClusterName] = migration.IsTerminal(source.Phase)
		}
		for _, target := range status.TargetClusterStatus {
			ends[target.ClusterName] = migration.IsTerminal(target.Phase)
		}
		return ends
	}
	before := ends(recorded)
	for what, ended := range ends(live) {
		if ended && !before[what] {
			s.failf("invariant 3: the live status has an end of %s that is not recorded: %s", what, describe(live))
		}
	}
}

// checkImmutable checks that no recorded terminal phase changes, of the Migrate or of a cluster, and
// that the clusters don't change after the name of the Backup is recorded.
func (s *simulation) checkImmutable(before, after *v1alpha1.MigrateStatus) {
	if migration.IsTerminal(before.Phase) {
		s.failf("invariant 3: phase %s replaces %s", after.Phase, before.Phase)
	}
	if before.SourceClusterStatus == nil || before.SourceClusterStatus.BackupNameInCluster == "" {
		return
	}
	was, is := before.SourceClusterStatus, after.SourceClusterStatus
	if is == nil || is.ClusterName != was.ClusterName || len(after.TargetClusterStatus) != len(before.TargetClusterStatus) {
		s.failf("D8: the clusters change after they were pinned: %s, then %s", describe(before), describe(after))
		return
	}
	if migration.IsTerminal(was.Phase) && (is.Phase != was.Phase || !equality.Semantic.DeepEqual(is.BackupStatusInCluster, was.BackupStatusInCluster)) {
		s.failf("invariant 3: phase %s of %s replaces %s", is.Phase, is.ClusterName, was.Phase)
	}
	for i, was := range before.TargetClusterStatus {
		is := after.TargetClusterStatus[i]
		if is.ClusterName != was.ClusterName {
			s.failf("D8: target %s replaces %s after the pin", is.ClusterName, was.ClusterName)
		}
		if migration.IsTerminal(was.Phase) && (is.Phase != was.Phase || !equality.Semantic.DeepEqual(is.RestoreStatusInCluster, was.RestoreStatusInCluster)) {
			s.failf("invariant 3: phase %s of %s replaces %s", is.Phase, is.ClusterName, was.Phase)
		}
	}
}

// checkRetry checks that a retry begins the next attempt, and changes no target that is Completed.
func (s *simulation) checkRetry(before, after *v1alpha1.MigrateStatus) {
	if after.Attempt() != before.Attempt()+1 || !migration.IsTerminal(before.Phase) || migration.IsTerminal(after.Phase) {
		s.failf("invariant 3: attempt %d, %s, follows attempt %d, %s", after.Attempt(), after.Phase, before.Attempt(), before.Phase)
	}
	for i, was := range before.TargetClusterStatus {
		if was.Phase != v1alpha1.MigratePhaseCompleted {
			continue
		}
		if is := after.TargetClusterStatus[i]; is.ClusterName != was.ClusterName || is.Phase != was.Phase || is.RestoreNameInCluster != was.RestoreNameInCluster {
			s.failf("invariant 3: a retry changes %s, which is Completed", was.ClusterName)
		}
	}
}

// checkObserved checks that each recorded status of an object is one that an object of this Migrate
// had at some time, and that the phases follow from these statuses as the API documents.
func (s *simulation) checkObserved(m *v1alpha1.Migrate) {
	source := m.Status.SourceClusterStatus
	if source == nil {
		return
	}
	if status := source.BackupStatusInCluster; status != nil {
		states := s.statesOf(source.ClusterStatus, "Backup", source.BackupNameInCluster, m.UID)
		if _, last := matchingStates(states, func(o modelvelero.Object) bool {
			return equality.Semantic.DeepEqual(&o.(*velerov1.Backup).Status, status)
		}); last < 0 {
			s.failf("invariant 4: the Backup in %s never had the recorded status: %+v", source.ClusterName, status)
		}
		deleted := source.Reason == v1alpha1.ReasonBackupDeleted && wasDeleted(states)
		// An end is recorded with its results only.
		reading := source.Phase == v1alpha1.MigratePhaseBackupInProgress && (status.Phase == velerov1.BackupPhaseCompleted || status.Phase == velerov1.BackupPhasePartiallyFailed)
		if want := phaseOfBackup[status.Phase]; source.Phase != orElse(want, v1alpha1.MigratePhaseBackupInProgress) && !reading && (!deleted || source.Phase != v1alpha1.MigratePhaseFailed) {
			s.failf("invariant 7: Backup phase %q in %s is recorded as %s (%s)", status.Phase, source.ClusterName, source.Phase, source.Reason)
		}
	} else if source.Phase != v1alpha1.MigratePhasePending && !s.isCanceled(m, source.ClusterStatus, "Backup") {
		s.failf("invariant 7: the source is %s without a Backup", source.Phase)
	}
	for i := range m.Status.TargetClusterStatus {
		s.checkTarget(m, &m.Status.TargetClusterStatus[i])
	}
	if want := overallPhase(&m.Status); m.Status.Phase != want {
		s.failf("invariant 7: the phase is %s, want %s: %s", m.Status.Phase, want, describe(&m.Status))
	}
}

// checkTarget is checkObserved for one target.
func (s *simulation) checkTarget(m *v1alpha1.Migrate, target *v1alpha1.RestoreDetails) {
	source := m.Status.SourceClusterStatus
	if status := target.RestoreStatusInCluster; status != nil {
		states := s.statesOf(target.ClusterStatus, "Restore", target.RestoreNameInCluster, m.UID)
		if _, last := matchingStates(states, func(o modelvelero.Object) bool {
			return equality.Semantic.DeepEqual(&o.(*velerov1.Restore).Status, status)
		}); last < 0 {
			s.failf("invariant 4: the Restore in %s never had the recorded status: %+v", target.ClusterName, status)
		}
		deleted := target.Reason == v1alpha1.ReasonRestoreDeleted && wasDeleted(states) && target.Phase == v1alpha1.MigratePhaseFailed
		reading := target.Phase == v1alpha1.MigratePhaseRestoreInProgress && (status.Phase == velerov1.RestorePhaseCompleted || status.Phase == velerov1.RestorePhasePartiallyFailed)
		if want := s.phaseOfTarget(status.Phase, target); target.Phase != orElse(want, v1alpha1.MigratePhaseRestoreInProgress) && !deleted && !reading {
			s.failf("invariant 7: Restore phase %q in %s is recorded as %s (%s)", status.Phase, target.ClusterName, target.Phase, target.Reason)
		}
		return
	}
	ok := target.Phase == v1alpha1.MigratePhasePending
	switch backup := source.BackupStatusInCluster; target.Reason {
	case v1alpha1.ReasonNothingToRestore:
		ok = source.Phase == v1alpha1.MigratePhaseCompleted && backup.Progress.TotalItems == 0 &&
			(target.Phase == v1alpha1.MigratePhaseCompleted || target.Phase == v1alpha1.MigratePhaseFailed && hasRestored(m))
	case v1alpha1.ReasonBackupFailed:
		ok = migration.IsTerminal(source.Phase) && source.Phase != v1alpha1.MigratePhaseCompleted && target.Phase == v1alpha1.MigratePhaseFailed
	case v1alpha1.ReasonBackupExpired:
		ok = !backup.Expiration.After(s.clock.Now()) && target.Phase == v1alpha1.MigratePhaseFailed
	case v1alpha1.ReasonCanceled:
		ok = s.isCanceled(m, target.ClusterStatus, "Restore")
	}
	if !ok {
		s.failf("invariant 7: %s is %s (%s) without a Restore", target.ClusterName, target.Phase, target.Reason)
	}
}

// isCanceled reports whether a cluster is Canceled by a cancellation, and there is no object of a kind of m in it that may
// do anything.
func (s *simulation) isCanceled(m *v1alpha1.Migrate, cs v1alpha1.ClusterStatus, kind string) bool {
	if m.Status.Cancellation == nil || cs.Phase != v1alpha1.MigratePhaseCanceled || cs.Reason != v1alpha1.ReasonCanceled {
		return false
	}
	id := objectID{migration.ClusterOf(cs), modelvelero.Key{Kind: kind, Name: velero.ObjectName(cs.ClusterName, m)}}
	object := s.members[id.cluster].current(id.key)
	unchecked := strings.Contains(cs.Message, "could not be checked") // the cluster could not be used until the deadline
	if r, isRestore := object.(*velerov1.Restore); object == nil || s.modified[id] || unchecked || isRestore && velero.IsRejectedEarly(r) {
		return true
	}
	s.failf("%s is Canceled, and has %s %s", cs.ClusterName, kind, id.key.Name)
	return true
}

// phaseOfTarget returns the phase of a target for a terminal phase of its Restore: an item that was kept
// is no success, and neither are results that could not be read.
func (s *simulation) phaseOfTarget(phase velerov1.RestorePhase, target *v1alpha1.RestoreDetails) v1alpha1.MigratePhase {
	c := migration.ClusterOf(target.ClusterStatus)
	unavailable := s.members[c].lost || target.Reason == v1alpha1.ReasonResultsUnavailable && s.resultsFailed[c]
	// If the member was unreachable until the time was over, its workloads are not known.
	unready := s.waits && (s.members[c].unready || target.Reason == v1alpha1.ReasonWorkloadsNotReady && target.Workloads == nil)
	if phase == velerov1.RestorePhaseCompleted && (s.members[c].kept > 0 || unavailable || unready) {
		return v1alpha1.MigratePhasePartiallyFailed
	}
	return phaseOfRestore[phase]
}

// checkMonotonic checks that the recorded status of an object never goes back to an earlier one, while
// there is one driver at a time. It skips objects that another client modified: if that removes the
// label and adds it again, a watch may be behind an earlier live read.
func (s *simulation) checkMonotonic(before, after *v1alpha1.Migrate) {
	if s.concurrent {
		return
	}
	was, is := before.Status.SourceClusterStatus, after.Status.SourceClusterStatus
	if was != nil && is != nil && was.BackupStatusInCluster != nil && is.BackupStatusInCluster != nil && !s.isModified(is.ClusterStatus, "Backup", is.BackupNameInCluster) {
		states := s.statesOf(is.ClusterStatus, "Backup", is.BackupNameInCluster, after.UID)
		with := func(status *velerov1.BackupStatus) func(modelvelero.Object) bool {
			return func(o modelvelero.Object) bool {
				return equality.Semantic.DeepEqual(&o.(*velerov1.Backup).Status, status)
			}
		}
		first, _ := matchingStates(states, with(was.BackupStatusInCluster))
		if _, last := matchingStates(states, with(is.BackupStatusInCluster)); last < first {
			s.failf("invariant 5: the recorded Backup goes back from %s to %s", was.BackupStatusInCluster.Phase, is.BackupStatusInCluster.Phase)
		}
	}
	for i := range after.Status.TargetClusterStatus {
		if i >= len(before.Status.TargetClusterStatus) {
			return
		}
		was, is := before.Status.TargetClusterStatus[i], after.Status.TargetClusterStatus[i]
		if was.RestoreStatusInCluster == nil || is.RestoreStatusInCluster == nil || was.ClusterName != is.ClusterName ||
			s.isModified(is.ClusterStatus, "Restore", is.RestoreNameInCluster) {
			continue
		}
		states := s.statesOf(is.ClusterStatus, "Restore", is.RestoreNameInCluster, after.UID)
		with := func(status *velerov1.RestoreStatus) func(modelvelero.Object) bool {
			return func(o modelvelero.Object) bool {
				return equality.Semantic.DeepEqual(&o.(*velerov1.Restore).Status, status)
			}
		}
		first, _ := matchingStates(states, with(was.RestoreStatusInCluster))
		if _, last := matchingStates(states, with(is.RestoreStatusInCluster)); last < first {
			s.failf("invariant 5: the recorded Restore in %s goes back from %s to %s", is.ClusterName, was.RestoreStatusInCluster.Phase, is.RestoreStatusInCluster.Phase)
		}
	}
}

// count returns how many of the values are true.
func count(values ...bool) (n int) {
	for _, value := range values {
		if value {
			n++
		}
	}
	return n
}

// checkConditions checks the conditions against the phases.
func (s *simulation) checkConditions(status *v1alpha1.MigrateStatus) {
	isTrue := func(condition string) bool { return meta.IsStatusConditionTrue(status.Conditions, condition) }
	if isTrue("Finished") != migration.IsTerminal(status.Phase) {
		s.failf("condition Finished is %v in phase %s", isTrue("Finished"), status.Phase)
	}
	isPlanned := isTrue("Suspended") && status.Phase == v1alpha1.MigratePhasePending
	if n := count(isTrue("Ready"), isTrue("Reconciling"), isTrue("Stalled")); n > 1 || n == 0 && !isPlanned {
		s.failf("%d of Ready, Reconciling and Stalled are True in phase %s", n, status.Phase)
	}
	if isTrue("Ready") != (status.Phase == v1alpha1.MigratePhaseCompleted) {
		s.failf("invariant 7: condition Ready is %v in phase %s", isTrue("Ready"), status.Phase)
	}
	for _, target := range status.TargetClusterStatus {
		if target.Phase == v1alpha1.MigratePhaseCompleted && target.RestoreStatusInCluster != nil && (target.Items == nil || target.Items.Kept > 0) {
			s.failf("invariant 7: %s is Completed with the items %+v", target.ClusterName, target.Items)
		}
		if w := target.Workloads; s.waits && target.Phase == v1alpha1.MigratePhaseCompleted && target.RestoreStatusInCluster != nil && (w == nil || w.Ready < w.Total) {
			s.failf("invariant 7: %s is Completed with the workloads %+v", target.ClusterName, w)
		}
	}
	source := status.SourceClusterStatus
	if status.Phase == v1alpha1.MigratePhaseCompleted && source.BackupStatusInCluster.Progress.TotalItems == 0 &&
		!meta.IsStatusConditionFalse(status.Conditions, "ItemsFound") {
		s.failf("invariant 7: the migration is empty, and ItemsFound is not False")
	}
}

// hasRestored reports whether an earlier attempt has restored something: a Backup without items is a failure then.
func hasRestored(m *v1alpha1.Migrate) bool {
	return slices.ContainsFunc(m.Status.Attempts, func(a v1alpha1.MigrateAttempt) bool {
		return slices.ContainsFunc(a.Targets, func(t v1alpha1.AttemptTarget) bool { return t.RestoreName != "" })
	})
}

// checkCreated checks an object that a driver created. decided and confirmed are the numbers of
// versions of the Migrate when the call was decided, and when it read the Migrate right before the
// write; confirmed is 0 if it did not.
func (s *simulation) checkCreated(c migration.Cluster, object modelvelero.Object, decided, confirmed int) {
	key := modelvelero.KeyOf(object)
	member := s.members[c]
	uid := types.UID(object.GetLabels()[velero.MigrateUIDLabel])
	if key.Kind == "PodVolumeBackup" {
		for _, owner := range object.GetOwnerReferences() {
			uid = s.migrateUIDOf(c, owner.Name)
		}
	}
	if uid == "" {
		s.failf("invariant 4: %s %s in %s has no label with the UID of a Migrate", key.Kind, key.Name, c.Name)
	}
	if m := s.checkConfirmed(c, key.Kind, uid, confirmed); m != nil && m.Status.Attempt() != s.versions[decided-1].Status.Attempt() {
		s.failf("invariant 3: a %s of an earlier attempt is created in %s", key.Kind, c.Name)
	} else if m != nil && m.DeletionTimestamp != nil {
		s.failf("invariant 3: a %s is created in %s for a Migrate that is being deleted", key.Kind, c.Name)
	} else if m != nil && (ptr.Deref(m.Spec.Suspend, false) || m.Status.Cancellation != nil) {
		s.failf("a %s is created in %s for a suspended or canceled Migrate", key.Kind, c.Name)
	}
	if m := s.stored; m != nil && m.UID == uid && migration.IsTerminal(m.Status.Phase) && !s.concurrent {
		s.failf("invariant 3: %s is created in %s after the end", key.Kind, c.Name)
	}
	name := key.Name
	switch m := s.versions[decided-1]; {
	case key.Kind == "Restore", key.Kind == "Backup" && c == m1:
		name = velero.ObjectName(c.Name, m)
	case key.Kind == "Backup" && m.Status.SourceClusterStatus != nil:
		name = m.Status.SourceClusterStatus.BackupNameInCluster
	}
	if name != key.Name || s.isRecorded(s.versions[decided-1], c, key.Kind) {
		s.failf("invariant 2: a second %s in %s", key.Kind, c.Name)
	}
	s.checkRecorded(s.versions[decided-1], c, key)
	switch object := object.(type) {
	case *velerov1.Backup:
		if c == m1 && s.maps && member.checks == 0 {
			s.failf("invariant 1: a Backup in %s before its claims were read", c.Name)
		}
		if policies := object.Spec.ResourcePolicy; c == m1 && policies != nil && !member.configMaps[policies.Name] {
			s.failf("invariant 1: a Backup in %s without its ConfigMap %s", c.Name, policies.Name)
		}
		if c != m1 && s.script.private && !member.hasSynced() {
			s.failf("D5: a Backup is handed over to %s without a proof that it shares the storage", c.Name)
		}
	case *velerov1.Restore:
		if s.maps && !member.hasClass() {
			s.failf("invariant 1: a Restore in %s, which lacks the StorageClass of the claims", c.Name)
		}
		s.checkRestore(c, object, uid)
	}
	s.checkEarlier(c, key, uid)
}

// checkEarlier checks that no object of an earlier attempt is unfinished when that of a later one is created.
func (s *simulation) checkEarlier(c migration.Cluster, created modelvelero.Key, uid types.UID) {
	for _, object := range s.members[c].memory.Objects() {
		key := modelvelero.KeyOf(object)
		if key.Kind != created.Kind || key == created || !velero.BelongsTo(object.GetLabels(), uid) || s.modified[objectID{c, key}] {
			continue
		}
		done := true
		switch o := object.(type) {
		case *velerov1.Backup:
			done = phaseOfBackup[o.Status.Phase] != ""
		case *velerov1.Restore:
			done = phaseOfRestore[o.Status.Phase] != ""
		}
		if !done {
			s.failf("invariant 2: %s %s is created in %s, and %s has not ended", key.Kind, created.Name, c.Name, key.Name)
		}
	}
}

// checkTurn checks that a Migrate gets its turn only after the Backups of others that the driver knows
// have ended, unless these were created long after it.
func (d *simulatedDriver) checkTurn(before, after *v1alpha1.Migrate) {
	hasTurn := func(m *v1alpha1.Migrate) bool {
		return migration.IsPinned(&m.Status) && m.Status.SourceClusterStatus.VeleroNamespace != ""
	}
	if hasTurn(before) || !hasTurn(after) {
		return
	}
	if after.Status.SourceClusterStatus.BackupStatusInCluster != nil {
		return // its Backup exists, and is only recorded
	}
	for name := range d.othersRunning() {
		b := d.s.members[m1].current(modelvelero.Key{Kind: "Backup", Name: name})
		if d.blocking[name] && b != nil && b.GetCreationTimestamp().Time.Before(migration.StartTime(after).Add(migration.ProgressDeadline(after))) {
			d.s.failf("the queue: the Backup gets its turn while Velero runs %s", name)
		}
	}
}

// checkRecorded checks that an object was created after its preconditions were recorded: the Backup
// after its name, and an object in a target after the Backup's phase Completed.
func (s *simulation) checkRecorded(m *v1alpha1.Migrate, c migration.Cluster, key modelvelero.Key) {
	var source *v1alpha1.BackupDetails
	if m != nil {
		source = m.Status.SourceClusterStatus
	}
	switch {
	case source == nil,
		c == m1 && source.BackupNameInCluster != key.Name,
		c != m1 && source.Phase != v1alpha1.MigratePhaseCompleted:
		s.failf("invariant 9: %s is created in %s before its precondition is recorded", key.Kind, c.Name)
	}
	for _, target := range m.Status.TargetClusterStatus {
		if target.ClusterName == c.Name && (target.VeleroNamespace == "" || target.StorageProof == nil) {
			s.failf("invariant 9: %s is created in %s before its Velero and the proof of its storage are recorded", key.Kind, c.Name)
		}
	}
}

// isRecorded reports whether m records a status of the Backup in the source, or of the Restore in a
// target. Then the object must not be created again, even if it was deleted.
func (s *simulation) isRecorded(m *v1alpha1.Migrate, c migration.Cluster, kind string) bool {
	if m == nil || m.Status.SourceClusterStatus == nil {
		return false
	}
	if kind == "Backup" && c == m1 {
		return m.Status.SourceClusterStatus.BackupStatusInCluster != nil
	}
	for _, target := range m.Status.TargetClusterStatus {
		if kind == "Restore" && target.ClusterName == c.Name {
			return target.RestoreStatusInCluster != nil
		}
	}
	return false
}

// checkConfirmed checks that the driver read the Migrate right before a write, and that it existed and
// had not ended. uid is that of the Migrate, if the object belongs to one. It returns the Migrate as read.
func (s *simulation) checkConfirmed(c migration.Cluster, what string, uid types.UID, confirmed int) *v1alpha1.Migrate {
	if confirmed == 0 {
		s.failf("invariant 3: a %s is created in %s without a GET of its Migrate right before", what, c.Name)
		return nil
	}
	m := s.versions[confirmed-1]
	if m == nil || uid != "" && m.UID != uid || migration.IsTerminal(m.Status.Phase) {
		s.failf("invariant 3: a %s is created in %s, but its Migrate was deleted or had ended", what, c.Name)
	}
	return m
}

// migrateUIDOf returns the UID of the Migrate that a Backup of that name was first labelled with.
func (s *simulation) migrateUIDOf(c migration.Cluster, backup string) types.UID {
	for _, state := range s.members[c].history[modelvelero.Key{Kind: "Backup", Name: backup}] {
		if state != nil && state.GetLabels()[velero.MigrateUIDLabel] != "" {
			return types.UID(state.GetLabels()[velero.MigrateUIDLabel])
		}
	}
	return ""
}

// checkRestore checks that a Restore uses a Completed Backup of the same Migrate, and that all its
// PodVolumeBackups are in the target.
func (s *simulation) checkRestore(c migration.Cluster, restore *velerov1.Restore, uid types.UID) {
	key := modelvelero.Key{Kind: "Backup", Name: restore.Spec.BackupName}
	completed := false
	for _, state := range s.members[m1].history[key] {
		if b, ok := state.(*velerov1.Backup); ok && b.Status.Phase == velerov1.BackupPhaseCompleted {
			completed = true
		}
	}
	if !completed {
		s.failf("invariant 1: a Restore in %s, but Backup %s was never Completed", c.Name, key.Name)
	}
	if modifiers := restore.Spec.ResourceModifier; modifiers != nil && !s.members[c].configMaps[modifiers.Name] {
		s.failf("invariant 1: a Restore in %s without its ConfigMap %s", c.Name, modifiers.Name)
	}
	if s.migrateUIDOf(c, key.Name) != uid {
		s.failf("invariant 4: a Restore in %s of a Backup of another Migrate", c.Name)
	}
	if s.modified[objectID{c, key}] || s.members[c].syncInterrupted || s.members[m1].syncInterrupted {
		return
	}
	backup, _ := s.members[c].current(key).(*velerov1.Backup)
	if backup == nil || backup.Status.Phase != velerov1.BackupPhaseCompleted {
		s.failf("invariant 1: a Restore in %s without a Completed Backup there", c.Name)
		return
	}
	// Velero's sync and a handoff use different names, and may both create a PodVolumeBackup
	// for the same volume.
	pods := sets.New[string]()
	for _, object := range s.members[c].memory.Objects() {
		if pvb, ok := object.(*velerov1.PodVolumeBackup); ok && velero.IsOwnedBy(pvb, backup) {
			pods.Insert(pvb.Spec.Pod.Name)
		}
	}
	if len(pods) != volumes && !s.volumesLost {
		s.failf("invariant 1: a Restore in %s with %d of %d PodVolumeBackups", c.Name, len(pods), volumes)
	}
}

// checkIndependence checks that the other targets end while one is disturbed for ever.
func (s *simulation) checkIndependence(disturbed migration.Cluster) {
	s.finish(func() bool {
		if s.stored == nil || migration.IsTerminal(s.stored.Status.Phase) {
			return true
		}
		targets := s.stored.Status.TargetClusterStatus
		for _, target := range targets {
			if target.ClusterName != disturbed.Name && !migration.IsTerminal(target.Phase) {
				return false
			}
		}
		return len(targets) > 0
	})
	if strings.HasPrefix(s.failure, "invariant 9") {
		s.failure = fmt.Sprintf("D6: the other targets wait for %s: %s", disturbed.Name, s.failure)
	}
}

// checkEnd checks that the recorded phases match the objects in the members, unless another client
// modified them, and that the Migrate ended as the script demands, unless a disturbance allows another
// end. It also checks that the drivers closed their watches.
func (s *simulation) checkEnd(script veleroScript) {
	if s.failure != "" {
		return
	}
	for _, d := range s.drivers {
		if len(d.caches) > 0 || len(d.loop.states) > 0 {
			s.failf("driver %d has %d watches and %d states after the end", d.number, len(d.caches), len(d.loop.states))
		}
	}
	m := s.stored
	if m == nil {
		return
	}
	s.checkObserved(m)
	source := m.Status.SourceClusterStatus
	if source == nil && m.Status.Cancellation != nil {
		return
	}
	if b, ok := s.unmodified(source.ClusterStatus, "Backup", source.BackupNameInCluster).(*velerov1.Backup); ok && !s.otherEndAllowed && !s.waited && phaseOfBackup[b.Status.Phase] != source.Phase {
		s.failf("invariant 9: the Backup ended %s, and the source %s", b.Status.Phase, source.Phase)
	}
	for _, target := range m.Status.TargetClusterStatus {
		name := cmp.Or(target.RestoreNameInCluster, velero.ObjectName(target.ClusterName, m))
		r, ok := s.unmodified(target.ClusterStatus, "Restore", name).(*velerov1.Restore)
		if ok && s.phaseOfTarget(r.Status.Phase, &target) != target.Phase {
			s.failf("invariant 9: the Restore in %s ended %s, and the target %s", target.ClusterName, r.Status.Phase, target.Phase)
		}
	}
	isCanceled := m.Status.Cancellation != nil && m.Status.Phase == v1alpha1.MigratePhaseCanceled
	if want := script.end(s, m); m.Status.Phase != want && !isCanceled && !s.otherEndAllowed && len(s.modified) == 0 {
		s.failf("invariant 9: the Migrate ended %s, want %s", m.Status.Phase, want)
	}
}

// unmodified returns an object if no other client has modified it, nil otherwise.
func (s *simulation) unmodified(cs v1alpha1.ClusterStatus, kind, name string) modelvelero.Object {
	if s.isModified(cs, kind, name) {
		return nil
	}
	return s.members[migration.ClusterOf(cs)].current(modelvelero.Key{Kind: kind, Name: name})
}

// isModified reports whether another client has modified an object.
func (s *simulation) isModified(cs v1alpha1.ClusterStatus, kind, name string) bool {
	return s.modified[objectID{migration.ClusterOf(cs), modelvelero.Key{Kind: kind, Name: name}}]
}

// end returns the phase in which m must end.
func (p veleroScript) end(s *simulation, m *v1alpha1.Migrate) v1alpha1.MigratePhase {
	switch p.backup[len(p.backup)-1] {
	case velerov1.BackupPhaseFailedValidation:
		return v1alpha1.MigratePhaseFailedValidation
	case velerov1.BackupPhaseFailed, velerov1.BackupPhasePartiallyFailed:
		return v1alpha1.MigratePhaseFailed
	}
	if p.items == 0 {
		return v1alpha1.MigratePhaseCompleted
	}
	completed, partial := 0, 0
	for _, target := range m.Status.TargetClusterStatus {
		phases := p.restores[migration.ClusterOf(target.ClusterStatus)]
		switch s.phaseOfTarget(phases[len(phases)-1], &target) {
		case v1alpha1.MigratePhaseCompleted:
			completed++
		case v1alpha1.MigratePhasePartiallyFailed:
			partial++
		}
	}
	switch {
	case completed == len(m.Status.TargetClusterStatus):
		return v1alpha1.MigratePhaseCompleted
	case completed+partial > 0:
		return v1alpha1.MigratePhasePartiallyFailed
	}
	return v1alpha1.MigratePhaseFailed
}

// phaseOfBackup and phaseOfRestore map terminal phases of Velero to those of a cluster. Any other
// phase is in progress.
var (
	phaseOfBackup = map[velerov1.BackupPhase]v1alpha1.MigratePhase{
		"Completed": "Completed", "PartiallyFailed": "PartiallyFailed", "Failed": "Failed",
		"FailedValidation": "FailedValidation", "Deleting": "Failed",
	}
	phaseOfRestore = map[velerov1.RestorePhase]v1alpha1.MigratePhase{
		"Completed": "Completed", "PartiallyFailed": "PartiallyFailed", "Failed": "Failed", "FailedValidation": "FailedValidation",
	}
)

// overallPhase returns the phase of a Migrate by the table in the API documentation.
func overallPhase(status *v1alpha1.MigrateStatus) v1alpha1.MigratePhase {
	count := map[v1alpha1.MigratePhase]int{}
	for _, target := range status.TargetClusterStatus {
		count[target.Phase]++
	}
	ended := count["Completed"] + count["PartiallyFailed"] + count["Failed"] + count["FailedValidation"] + count["Canceled"]
	switch source := status.SourceClusterStatus; {
	case source.Phase == "Pending":
		return "Pending"
	case source.Phase == "BackupInProgress", source.Phase == "Canceled":
		return source.Phase
	case source.Phase != "Completed" && count["Completed"] > 0:
		return "PartiallyFailed" // by an earlier attempt
	case source.Phase == "FailedValidation":
		return source.Phase
	case source.Phase != "Completed":
		return "Failed"
	case ended < len(status.TargetClusterStatus):
		return "RestoreInProgress"
	case count["Canceled"] > 0:
		return "Canceled"
	case count["Completed"] == ended:
		return "Completed"
	case count["Completed"]+count["PartiallyFailed"] > 0:
		return "PartiallyFailed"
	default:
		return "Failed"
	}
}

// statesOf returns the history of the objects of that name, from the first that belongs to the Migrate.
// A nil state is a deletion.
func (s *simulation) statesOf(cs v1alpha1.ClusterStatus, kind, name string, uid types.UID) []modelvelero.Object {
	states := s.members[migration.ClusterOf(cs)].history[modelvelero.Key{Kind: kind, Name: name}]
	for i, state := range states {
		if state != nil && velero.BelongsTo(state.GetLabels(), uid) {
			return states[i:]
		}
	}
	return nil
}

// matchingStates returns the indexes of the first and the last state that matches; -1 if none does.
func matchingStates(states []modelvelero.Object, match func(modelvelero.Object) bool) (first, last int) {
	first, last = -1, -1
	for i, state := range states {
		if state != nil && match(state) {
			if last = i; first < 0 {
				first = i
			}
		}
	}
	return first, last
}

// wasDeleted reports whether the history contains a deletion.
func wasDeleted(states []modelvelero.Object) bool {
	for _, state := range states {
		if state == nil {
			return true
		}
	}
	return false
}

func orElse(p, other v1alpha1.MigratePhase) v1alpha1.MigratePhase {
	if p == "" {
		return other
	}
	return p
}

// describe returns a summary of a status in one line.
func describe(status *v1alpha1.MigrateStatus) string {
	if status.SourceClusterStatus == nil {
		return string(status.Phase)
	}
	line := fmt.Sprintf("%s: %s %s", status.Phase, status.SourceClusterStatus.ClusterName, status.SourceClusterStatus.Reason)
	for _, target := range status.TargetClusterStatus {
		line += fmt.Sprintf(", %s %s", target.ClusterName, target.Reason)
	}
	return line
}
