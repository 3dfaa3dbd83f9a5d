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

// Objects identifies the Velero objects of a Migrate in one cluster: they carry its UID
// as their label and have the names that it gave them. Whoever can write into Velero's
// namespace of a member can put the label on another object, such as the Backup of
// another tenant in the same storage, so the label alone makes none its own.
type Objects struct {
	// UID is that of the Migrate.
	UID types.UID
	// Backup is the name of its Backup, which is the same in source and targets.
	Backup string
	// Restore is the name of its Restore in a target; empty for the source.
	Restore string
}

// Pick notes in seen which of a cluster's Backups and Restores are the Migrate's, and
// which others carry its label. Those of other Migrates are passed over.
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

// owns says whether an object is the Migrate's. One that only carries its label is noted.
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

// unexpected is what is said of objects in a cluster that carry m's label and are not
// its own.
func unexpected(cluster string, member Member) string {
	all := member.Unexpected
	others := ""
	if len(all) > 1 {
		others = fmt.Sprintf(" and %s", count(len(all)-1, "other"))
	}
	return fmt.Sprintf("%s%s in %s has the label %s of this Migrate, which did not create it, and is ignored.",
		all[0], others, cluster, velero.MigrateUIDLabel)
}

// nothingUnexpected says whether a cluster, in which nothing is begun yet, has no object
// that carries m's label.
func nothingUnexpected(cluster string, member Member) (state, bool) {
	if len(member.Unexpected) == 0 {
		return state{}, true
	}
	return state{v1alpha1.ReasonUnexpectedObject, unexpected(cluster, member) + " Nothing is started in the cluster until the label is removed or the object deleted."}, false
}

// mentionUnexpected adds to the message of a part that has begun which objects are
// ignored.
func mentionUnexpected(part *v1alpha1.ClusterPart, member Member) {
	if len(member.Unexpected) > 0 && part.Phase != v1alpha1.MigratePhasePending && !strings.Contains(part.Message, unexpected(part.ClusterName, member)) {
		part.Message = Shorten(part.Message+" "+unexpected(part.ClusterName, member), maxMessageLength)
	}
}
