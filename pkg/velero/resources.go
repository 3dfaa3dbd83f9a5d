// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// neverRestored is what Velero leaves out of every Restore: nonRestorableResources of
// pkg/controller/restore_controller.go of v1.18.3.
var neverRestored = []schema.GroupResource{
	{Resource: "nodes"},
	{Resource: "events"},
	{Group: "events.k8s.io", Resource: "events"},
	{Group: "velero.io", Resource: "backups"},
	{Group: "velero.io", Resource: "restores"},
	{Group: "velero.io", Resource: "resticrepositories"},
	{Group: "velero.io", Resource: "backuprepositories"},
	{Group: "storage.k8s.io", Resource: "csinodes"},
	{Group: "storage.k8s.io", Resource: "volumeattachments"},
}

// IsTaken says whether Velero backs up a resource that can be done with what verbs
// say: filterByVerbs of pkg/discovery/helper.go of v1.18.3.
func IsTaken(verbs []string) bool {
	for _, needed := range []string{"list", "create", "get", "delete"} {
		if !slices.Contains(verbs, needed) {
			return false
		}
	}
	return true
}

// IsRestored says whether Velero restores objects of a resource at all.
func IsRestored(resource schema.GroupResource) bool { return !slices.Contains(neverRestored, resource) }
