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
}

// Pick sets the Backup, the Restore and the unexpected objects of seen from all Backups and
// Restores of its cluster. It skips objects that don't have the label of the Migrate.
func (o Objects) Pick(seen *Member, backups []*velerov1.Backup, restores []*velerov1.Restore) {
	seen.Backup, seen.Restore, seen.Unexpected = nil, nil, nil
	for _, b := range backups {
		if o.owns(b, o.Backup, "Backup", seen) {
			seen.Backup = b
		}
	}
	for _, r := range restores {
		if o.owns(r, o.Restore, "Restore", seen) {
			seen.Restore = r
		}
	}
	slices.Sort(seen.Unexpected)
}

// owns reports whether object belongs to the Migrate. It adds an object that has its label but
// not the name to seen.Unexpected.
func (o Objects) owns(object metav1.Object, name, kind string, seen *Member) bool {
	switch {
	case !velero.BelongsTo(object.GetLabels(), o.UID):
		return false
	case object.GetName() != name:
		seen.Unexpected = append(seen.Unexpected, kind+" "+object.GetName())
		return false
	}
	return true
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

// noUnexpectedObjects reports whether a cluster in which nothing is started has no unexpected
// objects; if it has, the state says which.
func noUnexpectedObjects(cluster string, member Member) (state, bool) {
	if len(member.Unexpected) == 0 {
		return state{}, true
	}
	return state{v1alpha1.ReasonUnexpectedObject, unexpectedMessage(cluster, member) + " Nothing is started in the cluster until the label is removed or the object deleted."}, false
}

// appendUnexpected appends the message about unexpected objects to that of a cluster that has
// started.
func appendUnexpected(cs *v1alpha1.ClusterStatus, member Member) {
	if len(member.Unexpected) > 0 && cs.Phase != v1alpha1.MigratePhasePending && !strings.Contains(cs.Message, unexpectedMessage(cs.ClusterName, member)) {
		cs.Message = Shorten(cs.Message+" "+unexpectedMessage(cs.ClusterName, member), maxMessageLength)
	}
}
