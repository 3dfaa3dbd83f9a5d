// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"fmt"
	"strings"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/velero"
	"kurator.dev/migrate-apiserver/test/modelvelero"
)

// The invariants of the design, by number, and where each is checked:
//
//	1 no Restore before its Backup finished well   checkRestore
//	2 one Backup, one Restore of each UID          checkCreated
//	3 an end stays, and nothing is written after   checkKept, checkCreated
//	4 what is not ours is not touched              checkCreated, checkTruth; a Member
//	                                               has no way to change or delete
//	5 one resourceVersion, one content             checkForward, for what is recorded
//	                                               of members; for the API itself
//	                                               test/integration, verbs_test.go
//	6 the API answers with all members down        pkg/registry/backup/migrate/storage;
//	                                               there is no API here
//	7 an unknown phase is never success, and       checkTruth, checkConditions
//	  nothing moved is never silent success
//	8 status sent by a user is never stored        pkg/registry/backup/migrate; there
//	                                               are no users here
//	9 the same end after any fault                 checkEnd, finish
//
// Of the decisions: D6 (others) in checkOthers, D8 (the pin) in checkKept.

// checkRecord checks a record against the one before it and against the world.
func (s *simulation) checkRecord(before, after *v1alpha1.Migrate) {
	s.checkKept(&before.Status, &after.Status)
	s.checkTruth(after)
	s.checkForward(before, after)
	s.checkConditions(&after.Status)
}

// checkLive checks a live status against what is recorded and against the world.
func (s *simulation) checkLive(recorded *v1alpha1.Migrate, live *v1alpha1.MigrateStatus) {
	if migration.IsTerminal(recorded.Status.Phase) {
		if !equality.Semantic.DeepEqual(&recorded.Status, live) {
			s.failf("invariant 3: after the end %s is read, and %s is recorded", describe(live), describe(&recorded.Status))
		}
		return
	}
	s.checkKept(&recorded.Status, live)
	s.checkNoNewEnd(&recorded.Status, live)
	m := recorded.DeepCopy()
	m.Status = *live
	s.checkTruth(m)
	s.checkConditions(live)
}

// checkNoNewEnd: no live read returns an end, of the Migrate or of a cluster, that is not
// recorded.
func (s *simulation) checkNoNewEnd(recorded, live *v1alpha1.MigrateStatus) {
	ends := func(status *v1alpha1.MigrateStatus) map[string]bool {
		ends := map[string]bool{"the whole": migration.IsTerminal(status.Phase)}
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
			s.failf("invariant 3: %s is read as ended, and that is not recorded: %s", what, describe(live))
		}
	}
}

// checkKept: no recorded end changes, of the Migrate or of a cluster, and the clusters
// stay once the Backup has its name.
func (s *simulation) checkKept(before, after *v1alpha1.MigrateStatus) {
	if migration.IsTerminal(before.Phase) {
		s.failf("invariant 3: %s is recorded over %s", after.Phase, before.Phase)
	}
	if before.SourceClusterStatus == nil || before.SourceClusterStatus.BackupNameInCluster == "" {
		return
	}
	was, is := before.SourceClusterStatus, after.SourceClusterStatus
	if is == nil || is.ClusterName != was.ClusterName || len(after.TargetClusterStatus) != len(before.TargetClusterStatus) {
		s.failf("D8: the clusters are resolved again after the pin: %s, then %s", describe(before), describe(after))
		return
	}
	if migration.IsTerminal(was.Phase) && (is.Phase != was.Phase || !equality.Semantic.DeepEqual(is.BackupStatusInCluster, was.BackupStatusInCluster)) {
		s.failf("invariant 3: %s in %s is recorded over %s", is.Phase, is.ClusterName, was.Phase)
	}
	for i, was := range before.TargetClusterStatus {
		is := after.TargetClusterStatus[i]
		if is.ClusterName != was.ClusterName {
			s.failf("D8: target %s is recorded over %s after the pin", is.ClusterName, was.ClusterName)
		}
		if migration.IsTerminal(was.Phase) && (is.Phase != was.Phase || !equality.Semantic.DeepEqual(is.RestoreStatusInCluster, was.RestoreStatusInCluster)) {
			s.failf("invariant 3: %s in %s is recorded over %s", is.Phase, is.ClusterName, was.Phase)
		}
	}
}

// checkTruth: what is recorded of an object was once so, of one that was made for
// this Migrate, and its phase means what the API says that it means.
func (s *simulation) checkTruth(m *v1alpha1.Migrate) {
	source := m.Status.SourceClusterStatus
	if source == nil {
		return
	}
	if status := source.BackupStatusInCluster; status != nil {
		states := s.statesOf(source.ClusterStatus, "Backup", source.BackupNameInCluster, m.UID)
		if _, last := statesWith(states, func(o modelvelero.Object) bool {
			return equality.Semantic.DeepEqual(&o.(*velerov1.Backup).Status, status)
		}); last < 0 {
			s.failf("invariant 4: the Backup that is recorded of %s was never so there: %+v", source.ClusterName, status)
		}
		gone := source.Reason == v1alpha1.ReasonBackupDeleted && wasGone(states)
		if want := backupMeans[status.Phase]; source.Phase != orElse(want, v1alpha1.MigratePhaseBackupInProgress) && (!gone || source.Phase != v1alpha1.MigratePhaseFailed) {
			s.failf("invariant 7: Backup phase %q in %s is recorded as %s (%s)", status.Phase, source.ClusterName, source.Phase, source.Reason)
		}
	} else if source.Phase != v1alpha1.MigratePhasePending {
		s.failf("invariant 7: the source is %s without a Backup", source.Phase)
	}
	for i := range m.Status.TargetClusterStatus {
		s.checkTarget(m, &m.Status.TargetClusterStatus[i])
	}
	if want := meansAltogether(&m.Status); m.Status.Phase != want {
		s.failf("invariant 7: the whole is %s, want %s: %s", m.Status.Phase, want, describe(&m.Status))
	}
}

func (s *simulation) checkTarget(m *v1alpha1.Migrate, target *v1alpha1.RestoreDetails) {
	source := m.Status.SourceClusterStatus
	if status := target.RestoreStatusInCluster; status != nil {
		states := s.statesOf(target.ClusterStatus, "Restore", target.RestoreNameInCluster, m.UID)
		if _, last := statesWith(states, func(o modelvelero.Object) bool {
			return equality.Semantic.DeepEqual(&o.(*velerov1.Restore).Status, status)
		}); last < 0 {
			s.failf("invariant 4: the Restore that is recorded of %s was never so there: %+v", target.ClusterName, status)
		}
		gone := target.Reason == v1alpha1.ReasonRestoreDeleted && wasGone(states) && target.Phase == v1alpha1.MigratePhaseFailed
		if want := restoreMeans[status.Phase]; target.Phase != orElse(want, v1alpha1.MigratePhaseRestoreInProgress) && !gone {
			s.failf("invariant 7: Restore phase %q in %s is recorded as %s (%s)", status.Phase, target.ClusterName, target.Phase, target.Reason)
		}
		return
	}
	ok := target.Phase == v1alpha1.MigratePhasePending
	switch backup := source.BackupStatusInCluster; target.Reason {
	case v1alpha1.ReasonNothingToRestore:
		ok = source.Phase == v1alpha1.MigratePhaseCompleted && backup.Progress.TotalItems == 0 && target.Phase == v1alpha1.MigratePhaseCompleted
	case v1alpha1.ReasonBackupFailed:
		ok = migration.IsTerminal(source.Phase) && source.Phase != v1alpha1.MigratePhaseCompleted && target.Phase == v1alpha1.MigratePhaseFailed
	case v1alpha1.ReasonBackupExpired:
		ok = !backup.Expiration.After(s.clock.Now()) && target.Phase == v1alpha1.MigratePhaseFailed
	}
	if !ok {
		s.failf("invariant 7: %s is %s (%s) without a Restore", target.ClusterName, target.Phase, target.Reason)
	}
}

// checkForward: with one driver at a time, what is recorded of an object never goes
// back to an earlier state of it. (If another client removes a label and puts it back
// on, a watch may have less than an earlier read.)
func (s *simulation) checkForward(before, after *v1alpha1.Migrate) {
	if s.two {
		return
	}
	was, is := before.Status.SourceClusterStatus, after.Status.SourceClusterStatus
	if was != nil && is != nil && was.BackupStatusInCluster != nil && is.BackupStatusInCluster != nil && !s.isTouched(is.ClusterStatus, "Backup", is.BackupNameInCluster) {
		states := s.statesOf(is.ClusterStatus, "Backup", is.BackupNameInCluster, after.UID)
		with := func(status *velerov1.BackupStatus) func(modelvelero.Object) bool {
			return func(o modelvelero.Object) bool {
				return equality.Semantic.DeepEqual(&o.(*velerov1.Backup).Status, status)
			}
		}
		first, _ := statesWith(states, with(was.BackupStatusInCluster))
		if _, last := statesWith(states, with(is.BackupStatusInCluster)); last < first {
			s.failf("invariant 5: the Backup goes back from %s to %s", was.BackupStatusInCluster.Phase, is.BackupStatusInCluster.Phase)
		}
	}
	for i := range after.Status.TargetClusterStatus {
		if i >= len(before.Status.TargetClusterStatus) {
			return
		}
		was, is := before.Status.TargetClusterStatus[i], after.Status.TargetClusterStatus[i]
		if was.RestoreStatusInCluster == nil || is.RestoreStatusInCluster == nil || was.ClusterName != is.ClusterName ||
			s.isTouched(is.ClusterStatus, "Restore", is.RestoreNameInCluster) {
			continue
		}
		states := s.statesOf(is.ClusterStatus, "Restore", is.RestoreNameInCluster, after.UID)
		with := func(status *velerov1.RestoreStatus) func(modelvelero.Object) bool {
			return func(o modelvelero.Object) bool {
				return equality.Semantic.DeepEqual(&o.(*velerov1.Restore).Status, status)
			}
		}
		first, _ := statesWith(states, with(was.RestoreStatusInCluster))
		if _, last := statesWith(states, with(is.RestoreStatusInCluster)); last < first {
			s.failf("invariant 5: the Restore in %s goes back from %s to %s", is.ClusterName, was.RestoreStatusInCluster.Phase, is.RestoreStatusInCluster.Phase)
		}
	}
}

// count is how many are true.
func count(all ...bool) (n int) {
	for _, one := range all {
		if one {
			n++
		}
	}
	return n
}

func (s *simulation) checkConditions(status *v1alpha1.MigrateStatus) {
	isTrue := func(condition string) bool { return meta.IsStatusConditionTrue(status.Conditions, condition) }
	if isTrue("Finished") != migration.IsTerminal(status.Phase) {
		s.failf("condition Finished is %v in phase %s", isTrue("Finished"), status.Phase)
	}
	if n := count(isTrue("Ready"), isTrue("Reconciling"), isTrue("Stalled")); n != 1 {
		s.failf("%d of Ready, Reconciling and Stalled are True in phase %s", n, status.Phase)
	}
	if isTrue("Ready") != (status.Phase == v1alpha1.MigratePhaseCompleted) {
		s.failf("invariant 7: condition Ready is %v in phase %s", isTrue("Ready"), status.Phase)
	}
	source := status.SourceClusterStatus
	if status.Phase == v1alpha1.MigratePhaseCompleted && source.BackupStatusInCluster.Progress.TotalItems == 0 &&
		!meta.IsStatusConditionFalse(status.Conditions, "ItemsFound") {
		s.failf("invariant 7: nothing moved, and ItemsFound is not False")
	}
}

// checkCreated checks an object that a driver has made, by a call that was decided
// on, and that read the Migrate right before, when the Migrate had so many versions.
func (s *simulation) checkCreated(c migration.Cluster, object modelvelero.Object, decided, confirmed int) {
	key := modelvelero.KeyOf(object)
	member := s.members[c]
	uid := types.UID(object.GetLabels()[velero.MigrateUIDLabel])
	if key.Kind == "PodVolumeBackup" {
		for _, owner := range object.GetOwnerReferences() {
			uid = s.madeFor(c, owner.Name)
		}
	}
	if uid == "" {
		s.failf("invariant 4: %s %s in %s has no UID of a Migrate", key.Kind, key.Name, c.Name)
	}
	if m := s.checkWanted(c, key.Kind, uid, confirmed); m != nil && m.DeletionTimestamp != nil {
		s.failf("invariant 3: a %s is created in %s for a Migrate that is being deleted", key.Kind, c.Name)
	}
	if m := s.stored; m != nil && m.UID == uid && migration.IsTerminal(m.Status.Phase) && !s.two {
		s.failf("invariant 3: %s is created in %s after the end", key.Kind, c.Name)
	}
	made := 0
	for other, history := range member.history {
		if other.Kind == key.Kind && key.Kind != "PodVolumeBackup" && history[0] != nil && velero.BelongsTo(history[0].GetLabels(), uid) && !s.touched[objectID{c, other}] {
			made++
		}
	}
	if made > 1 || s.isRecorded(s.versions[decided-1], c, key.Kind) {
		s.failf("invariant 2: a second %s in %s", key.Kind, c.Name)
	}
	s.checkRecorded(s.versions[decided-1], c, key)
	if restore, ok := object.(*velerov1.Restore); ok {
		s.checkRestore(c, restore, uid)
	}
}

// checkRecorded: what is acted upon is recorded: the Backup's name before the Backup is
// made, its good end before anything is made in a target.
func (s *simulation) checkRecorded(m *v1alpha1.Migrate, c migration.Cluster, key modelvelero.Key) {
	var source *v1alpha1.BackupDetails
	if m != nil {
		source = m.Status.SourceClusterStatus
	}
	switch {
	case source == nil,
		c == m1 && source.BackupNameInCluster != key.Name,
		c != m1 && source.Phase != v1alpha1.MigratePhaseCompleted:
		s.failf("invariant 9: %s is created in %s before that is recorded on which it is done", key.Kind, c.Name)
	}
}

// isRecorded reports whether a Backup made in the source, or a Restore, was there by the
// record: one that is gone since is not made again.
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

// checkWanted: right before each write the Migrate is read, and is neither gone nor has
// it ended; it returns what was read.
func (s *simulation) checkWanted(c migration.Cluster, what string, uid types.UID, confirmed int) *v1alpha1.Migrate {
	if confirmed == 0 {
		s.failf("invariant 3: a %s is created in %s, and its Migrate was not read right before", what, c.Name)
		return nil
	}
	m := s.versions[confirmed-1]
	if m == nil || m.UID != uid || migration.IsTerminal(m.Status.Phase) {
		s.failf("invariant 3: a %s is created in %s, and its Migrate was gone or had ended right before", what, c.Name)
	}
	return m
}

// madeFor is the UID of the Migrate that a Backup was ever made for.
func (s *simulation) madeFor(c migration.Cluster, backup string) types.UID {
	for _, state := range s.members[c].history[modelvelero.Key{Kind: "Backup", Name: backup}] {
		if state != nil && state.GetLabels()[velero.MigrateUIDLabel] != "" {
			return types.UID(state.GetLabels()[velero.MigrateUIDLabel])
		}
	}
	return ""
}

// checkRestore: a Restore is only made of a Backup of the same Migrate that has
// finished well, and with all that belongs to it.
func (s *simulation) checkRestore(c migration.Cluster, restore *velerov1.Restore, uid types.UID) {
	key := modelvelero.Key{Kind: "Backup", Name: restore.Spec.BackupName}
	completed := false
	for _, state := range s.members[m1].history[key] {
		if b, ok := state.(*velerov1.Backup); ok && b.Status.Phase == velerov1.BackupPhaseCompleted {
			completed = true
		}
	}
	if !completed {
		s.failf("invariant 1: a Restore in %s, and Backup %s has never finished well", c.Name, key.Name)
	}
	if s.madeFor(c, key.Name) != uid {
		s.failf("invariant 4: a Restore in %s of a Backup that was not made for its Migrate", c.Name)
	}
	if s.touched[objectID{c, key}] || s.members[c].syncBroken || s.members[m1].syncBroken {
		return
	}
	backup, _ := s.members[c].now(key).(*velerov1.Backup)
	if backup == nil || backup.Status.Phase != velerov1.BackupPhaseCompleted {
		s.failf("invariant 1: a Restore in %s without a finished Backup there", c.Name)
		return
	}
	// Velero's sync and a handoff name them differently, and may both make one known.
	there := sets.New[string]()
	for _, object := range s.members[c].memory.Objects() {
		if pvb, ok := object.(*velerov1.PodVolumeBackup); ok && velero.IsOwnedBy(pvb, backup) {
			there.Insert(pvb.Spec.Pod.Name)
		}
	}
	if len(there) != volumes && !s.volumesLost {
		s.failf("invariant 1: a Restore in %s with %d of %d PodVolumeBackups", c.Name, len(there), volumes)
	}
}

// checkOthers: a target that is disturbed for ever holds up no other one.
func (s *simulation) checkOthers(disturbed migration.Cluster) {
	s.finish(func() bool {
		if s.stored == nil || migration.IsTerminal(s.stored.Status.Phase) {
			return true
		}
		parts := s.stored.Status.TargetClusterStatus
		for _, part := range parts {
			if part.ClusterName != disturbed.Name && !migration.IsTerminal(part.Phase) {
				return false
			}
		}
		return len(parts) > 0
	})
	if strings.HasPrefix(s.failure, "invariant 9") {
		s.failure = fmt.Sprintf("D6: the others wait for %s: %s", disturbed.Name, s.failure)
	}
}

// checkEnd: the end is that of the objects in the members, unless another client has
// changed them; and that which the Veleros were meant to come to, where nothing
// excuses another.
func (s *simulation) checkEnd(w ways) {
	if s.failure != "" {
		return
	}
	for _, d := range s.drivers {
		if len(d.views) > 0 || len(d.loop.states) > 0 {
			s.failf("driver %d holds %d watches and %d states after the end", d.number, len(d.views), len(d.loop.states))
		}
	}
	m := s.stored
	if m == nil {
		return
	}
	s.checkTruth(m)
	source := m.Status.SourceClusterStatus
	if b, ok := s.untouched(source.ClusterStatus, "Backup", source.BackupNameInCluster).(*velerov1.Backup); ok && !s.excused && !s.waited && backupMeans[b.Status.Phase] != source.Phase {
		s.failf("invariant 9: the Backup has ended %s, and the source %s", b.Status.Phase, source.Phase)
	}
	for _, target := range m.Status.TargetClusterStatus {
		name := velero.ObjectName(target.ClusterName, m)
		r, ok := s.untouched(target.ClusterStatus, "Restore", name).(*velerov1.Restore)
		if ok && restoreMeans[r.Status.Phase] != target.Phase {
			s.failf("invariant 9: the Restore in %s has ended %s, and the target %s", target.ClusterName, r.Status.Phase, target.Phase)
		}
	}
	if want := w.end(m); m.Status.Phase != want && !s.excused && len(s.touched) == 0 {
		s.failf("invariant 9: has ended %s, want %s", m.Status.Phase, want)
	}
}

// untouched returns an object if no other client has changed it.
func (s *simulation) untouched(part v1alpha1.ClusterStatus, kind, name string) modelvelero.Object {
	if s.isTouched(part, kind, name) {
		return nil
	}
	return s.members[migration.ClusterOf(part)].now(modelvelero.Key{Kind: kind, Name: name})
}

func (s *simulation) isTouched(part v1alpha1.ClusterStatus, kind, name string) bool {
	return s.touched[objectID{migration.ClusterOf(part), modelvelero.Key{Kind: kind, Name: name}}]
}

// end is how a migration must end whose Veleros go these ways.
func (w ways) end(m *v1alpha1.Migrate) v1alpha1.MigratePhase {
	switch w.backup[len(w.backup)-1] {
	case velerov1.BackupPhaseFailedValidation:
		return v1alpha1.MigratePhaseFailedValidation
	case velerov1.BackupPhaseFailed, velerov1.BackupPhasePartiallyFailed:
		return v1alpha1.MigratePhaseFailed
	}
	if w.items == 0 {
		return v1alpha1.MigratePhaseCompleted
	}
	well, partly := 0, 0
	for _, target := range m.Status.TargetClusterStatus {
		way := w.restores[migration.ClusterOf(target.ClusterStatus)]
		switch way[len(way)-1] {
		case velerov1.RestorePhaseCompleted:
			well++
		case velerov1.RestorePhasePartiallyFailed:
			partly++
		}
	}
	switch {
	case well == len(m.Status.TargetClusterStatus):
		return v1alpha1.MigratePhaseCompleted
	case well+partly > 0:
		return v1alpha1.MigratePhasePartiallyFailed
	}
	return v1alpha1.MigratePhaseFailed
}

// backupMeans and restoreMeans are what an end of Velero's means; any other phase
// means that it is in progress.
var (
	backupMeans = map[velerov1.BackupPhase]v1alpha1.MigratePhase{
		"Completed": "Completed", "PartiallyFailed": "PartiallyFailed", "Failed": "Failed",
		"FailedValidation": "FailedValidation", "Deleting": "Failed",
	}
	restoreMeans = map[velerov1.RestorePhase]v1alpha1.MigratePhase{
		"Completed": "Completed", "PartiallyFailed": "PartiallyFailed", "Failed": "Failed", "FailedValidation": "FailedValidation",
	}
)

// meansAltogether is the table of the API document.
func meansAltogether(status *v1alpha1.MigrateStatus) v1alpha1.MigratePhase {
	count := map[v1alpha1.MigratePhase]int{}
	for _, target := range status.TargetClusterStatus {
		count[target.Phase]++
	}
	ended := count["Completed"] + count["PartiallyFailed"] + count["Failed"] + count["FailedValidation"]
	switch source := status.SourceClusterStatus; {
	case source.Phase == "Pending":
		return "Pending"
	case source.Phase == "BackupInProgress", source.Phase == "FailedValidation":
		return source.Phase
	case source.Phase != "Completed":
		return "Failed"
	case ended < len(status.TargetClusterStatus):
		return "RestoreInProgress"
	case count["Completed"] == ended:
		return "Completed"
	case count["Completed"]+count["PartiallyFailed"] > 0:
		return "PartiallyFailed"
	default:
		return "Failed"
	}
}

// statesOf are all states of the objects of a name, if one was made for the Migrate.
func (s *simulation) statesOf(part v1alpha1.ClusterStatus, kind, name string, uid types.UID) []modelvelero.Object {
	states := s.members[migration.ClusterOf(part)].history[modelvelero.Key{Kind: kind, Name: name}]
	for i, state := range states {
		if state != nil && velero.BelongsTo(state.GetLabels(), uid) {
			return states[i:]
		}
	}
	return nil
}

// statesWith are the first and the last of the states that are so; -1 if none is.
func statesWith(states []modelvelero.Object, so func(modelvelero.Object) bool) (first, last int) {
	first, last = -1, -1
	for i, state := range states {
		if state != nil && so(state) {
			if last = i; first < 0 {
				first = i
			}
		}
	}
	return first, last
}

func wasGone(states []modelvelero.Object) bool {
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

// describe is a status in a line.
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
