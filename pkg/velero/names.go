// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"strings"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

const (
	// MigrateUIDLabel is on every Velero object that we create; its value is the
	// UID of the Migrate. Objects are found by it, never by name alone.
	MigrateUIDLabel = "backup.kurator.dev/migrate-uid"
	// MigrateAnnotation is on every Velero object that we create; its value is
	// namespace/name of the Migrate, for a person who finds the object.
	MigrateAnnotation = "backup.kurator.dev/migrate"
	// RequesterAnnotation is on every Velero object that we create; its value is the
	// name of the user who created the Migrate.
	RequesterAnnotation = "backup.kurator.dev/requester"
	// HandedOverAnnotation is on a Backup that we made known in a target; its value
	// is how many PodVolumeBackups belong to it. A Backup that Velero found by
	// itself does not have it.
	HandedOverAnnotation = "backup.kurator.dev/handed-over-pod-volume-backups"
)

// suffixLength is how much of the UID goes into a name: 32 random bits, among
// Migrates of one namespace and name.
const suffixLength = 8

// ObjectName is the name of the Velero object that is made for m in the cluster
// with the given name: <cluster>-migrate-<namespace>-<name>-<suffix>, where the
// suffix is bound to m's UID. What comes before the suffix is cut where the
// whole would be longer than a name may be.
func ObjectName(cluster string, m *v1alpha1.Migrate) string {
	suffix := "-" + uidSuffix(m.UID)
	prefix := strings.Join([]string{cluster, "migrate", m.Namespace, m.Name}, "-")
	if room := validation.DNS1123SubdomainMaxLength - len(suffix); len(prefix) > room {
		prefix = strings.TrimRight(prefix[:room], "-.")
	}
	return prefix + suffix
}

// BelongsTo says whether a Velero object with these labels was made for the
// Migrate with the given UID.
func BelongsTo(labels map[string]string, uid types.UID) bool {
	return uid != "" && labels[MigrateUIDLabel] == string(uid)
}

func uidSuffix(uid types.UID) string {
	s := strings.ReplaceAll(string(uid), "-", "")
	return s[:min(suffixLength, len(s))]
}
