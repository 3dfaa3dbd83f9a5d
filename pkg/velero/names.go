// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

const (
	// MigrateUIDLabel is a label of every Velero object that this server creates; its value
	// is the UID of the Migrate. Objects are found by it, never by name alone.
	MigrateUIDLabel = "backup.kurator.dev/migrate-uid"
	// MigrateAnnotation is an annotation of every Velero object that this server creates; its
	// value is the namespace/name of the Migrate, for people who find the object.
	MigrateAnnotation = "backup.kurator.dev/migrate"
	// RequesterAnnotation is an annotation of every Velero object that this server creates;
	// its value is the name of the user who created the Migrate.
	RequesterAnnotation = "backup.kurator.dev/requester"
	// HandedOverAnnotation is an annotation of a Backup that this server created in a target;
	// its value is the number of PodVolumeBackups that belong to it. A Backup that Velero
	// synced from the storage does not have it.
	HandedOverAnnotation = "backup.kurator.dev/handed-over-pod-volume-backups"
)

// maxNameLength is the greatest length of a name of a Backup or Restore. An object store on a file
// system allows 255 bytes in one element of a key, and Velero adds up to some forty characters
// to the name of a Backup.
const maxNameLength = 199

// suffixLength is how many digits of the UID are in a name: 32 random bits, which only have to
// distinguish Migrates of the same namespace and name.
const suffixLength = 8

// ObjectName returns the name of m's Backup or Restore in cluster in its current attempt.
func ObjectName(cluster string, m *v1alpha1.Migrate) string {
	return ObjectNameOf(cluster, m, m.Status.Attempt())
}

// ObjectNameOf returns the name of m's Backup or Restore in cluster in an attempt:
// <cluster>-migrate-<namespace>-<name>-<suffix>. The suffix is derived from m's UID, and has
// the number of the attempt from the second one on; the part before it is cut if the name would be
// longer than maxNameLength.
func ObjectNameOf(cluster string, m *v1alpha1.Migrate, attempt int32) string {
	suffix := "-" + uidSuffix(m.UID)
	if attempt > 1 {
		suffix += fmt.Sprintf("-%d", attempt)
	}
	prefix := strings.Join([]string{cluster, "migrate", m.Namespace, m.Name}, "-")
	if room := maxNameLength - len(suffix); len(prefix) > room {
		prefix = strings.TrimRight(prefix[:room], "-.")
	}
	return prefix + suffix
}

// BelongsTo reports whether labels name the Migrate with the given UID as the one for which
// their object was created.
func BelongsTo(labels map[string]string, uid types.UID) bool {
	return uid != "" && labels[MigrateUIDLabel] == string(uid)
}

func uidSuffix(uid types.UID) string {
	s := strings.ReplaceAll(string(uid), "-", "")
	return s[:min(suffixLength, len(s))]
}

// MigrateUID returns the UID of the Migrate that an object of Velero was created for, by its
// label; empty if it has none.
func MigrateUID(object metav1.Object) types.UID {
	return types.UID(object.GetLabels()[MigrateUIDLabel])
}
