// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// neverRestored are the resources that Velero skips in every Restore: nonRestorableResources of
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

// IsBackedUp reports whether Velero backs up a resource that supports verbs: filterByVerbs of
// pkg/discovery/helper.go of v1.18.3.
func IsBackedUp(verbs []string) bool {
	for _, needed := range []string{"list", "create", "get", "delete"} {
		if !slices.Contains(verbs, needed) {
			return false
		}
	}
	return true
}

// IsRestored reports whether Velero restores objects of resource.
func IsRestored(resource schema.GroupResource) bool { return !slices.Contains(neverRestored, resource) }
