// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"fmt"
	"slices"
	"strings"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// Objects identifies the Velero objects of a Migrate in one cluster: by the label with its UID
// and by their names. The label alone does not suffice: everyone who can write to Velero's
// namespace in a member can set it on another object, such as the Backup of another tenant in
// the same storage.
type Objects struct {
	// UID is the UID of the Migrate.
	UID types.UID
	// Backup is the name of its Backup, in the source and in the targets.
	Backup string
	// Restore is the name of its Restore in a target; empty for the source.
	Restore string
	// EarlierBackups and EarlierRestores are the names that these had in earlier attempts.
	EarlierBackups, EarlierRestores []string
}

// Pick sets the Backup, the Restore, and the earlier and unexpected objects of seen from all Backups
// and Restores of its cluster. It skips objects that don't have the label of the Migrate.
func (o Objects) Pick(seen *Member, backups []*velerov1.Backup, restores []*velerov1.Restore) {
	seen.Backup, seen.Restore, seen.Earlier, seen.Unexpected = nil, nil, nil, nil
	for _, b := range backups {
		if o.owns(b, o.Backup, o.EarlierBackups, "Backup", hasEnded(b), seen) {
			seen.Backup = b
		}
	}
	for _, r := range restores {
		if o.owns(r, o.Restore, o.EarlierRestores, "Restore", hasEnded(r), seen) {
			seen.Restore = r
		}
	}
	slices.Sort(seen.Earlier)
	slices.Sort(seen.Unexpected)
}

// owns reports whether object belongs to the current attempt of the Migrate. If it has its label, but
// not the name, it adds it to seen: to Earlier if it is of an earlier attempt and has not ended,
// and to Unexpected if it is of none.
func (o Objects) owns(object metav1.Object, name string, earlier []string, kind string, ended bool, seen *Member) bool {
	isEarlier := slices.Contains(earlier, object.GetName())
	switch {
	case !velero.BelongsTo(object.GetLabels(), o.UID):
	case object.GetName() == name:
		return true
	case !isEarlier:
		seen.Unexpected = append(seen.Unexpected, kind+" "+object.GetName())
	case !ended:
		seen.Earlier = append(seen.Earlier, kind+" "+object.GetName())
	}
	return false
}

// unexpectedMessage returns the message about the unexpected objects of a cluster; there must
// be at least one.
func unexpectedMessage(cluster string, member Member) string {
	all := member.Unexpected
	others := ""
	if len(all) > 1 {
		others = fmt.Sprintf(" and %s", count(len(all)-1, "other"))
	}
	return fmt.Sprintf("%s%s in %s has the label %s of this Migrate, which did not create it, and is ignored.",
		all[0], others, cluster, velero.MigrateUIDLabel)
}

// noOtherObjects reports whether a cluster in which nothing is started has no unexpected objects, and
// none of an earlier attempt that has not ended; if it has, the state says which.
func noOtherObjects(cluster string, member Member) (state, bool) {
	switch {
	case len(member.Unexpected) > 0:
		return state{v1alpha1.ReasonUnexpectedObject, unexpectedMessage(cluster, member) + " Nothing is started in the cluster until the label is removed or the object deleted."}, false
	case len(member.Earlier) > 0:
		return state{v1alpha1.ReasonEarlierAttemptRunning, fmt.Sprintf(
			"%s of an earlier attempt has not ended in %s; waiting for its end. If it hangs, restart Velero's server there.", strings.Join(firstOf(member.Earlier), ", "), cluster)}, false
	}
	return state{}, true
}

// appendUnexpected appends the message about unexpected objects to that of a cluster that has
// started.
func appendUnexpected(cs *v1alpha1.ClusterStatus, member Member) {
	if len(member.Unexpected) > 0 && cs.Phase != v1alpha1.MigratePhasePending && !strings.Contains(cs.Message, unexpectedMessage(cs.ClusterName, member)) {
		cs.Message = Shorten(cs.Message+" "+unexpectedMessage(cs.ClusterName, member), maxMessageLength)
	}
}
