// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"encoding/json"
	"fmt"
	"slices"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// BackupNeedsFields reports whether the Backup of m has fields of its spec that Velero did not have from the beginning.
func BackupNeedsFields(m *v1alpha1.Migrate) bool {
	policy := m.Spec.Policy
	if policy == nil {
		return false
	}
	f := policy.ResourceFilter
	return policy.Volumes != nil && policy.Volumes.Data != "" || f != nil && len(f.OrLabelSelectors)+
		len(f.IncludedClusterScopedResources)+len(f.ExcludedClusterScopedResources)+len(f.IncludedNamespaceScopedResources)+len(f.ExcludedNamespaceScopedResources) > 0
}

// RestoreNeedsFields reports whether the Restores of m have fields of their spec that Velero did not have from the beginning.
func RestoreNeedsFields(m *v1alpha1.Migrate) bool {
	policy := m.Spec.Policy
	return policy != nil && (policy.ExistingResourcePolicy != "" || policy.MigrateStatus != nil ||
		MovesNoVolumeData(m) || policy.Volumes != nil && len(policy.Volumes.StorageClassMapping) > 0)
}

// NewSample returns the JSON of a Backup like that of m or, not for the source, of a Restore, by which a cluster shows the fields
// that it knows.
func NewSample(m *v1alpha1.Migrate, source bool) ([]byte, error) {
	name := "migrate-fields-" + uidSuffix(m.UID)
	if source {
		backup := NewBackup(m, "", "")
		backup.APIVersion, backup.Kind, backup.Name = velerov1.SchemeGroupVersion.String(), "Backup", name
		return json.Marshal(backup)
	}
	restore := NewRestore(m, &v1alpha1.RestoreDetails{}, &v1alpha1.BackupDetails{BackupNameInCluster: name})
	restore.APIVersion, restore.Kind, restore.Name = velerov1.SchemeGroupVersion.String(), "Restore", name
	return json.Marshal(restore)
}

// DroppedFields returns the fields of the spec of an object, as JSON, that are not in what a cluster would store of it, sorted.
func DroppedFields(sent, stored []byte) ([]string, error) {
	var before, after struct {
		Spec map[string]any `json:"spec"`
	}
	if err := json.Unmarshal(sent, &before); err != nil {
		return nil, fmt.Errorf("the object: %w", err)
	}
	if err := json.Unmarshal(stored, &after); err != nil {
		return nil, fmt.Errorf("what the cluster would store: %w", err)
	}
	var dropped []string
	for field, value := range before.Spec {
		if _, kept := after.Spec[field]; !kept && !isUnset(value) {
			dropped = append(dropped, field)
		}
	}
	slices.Sort(dropped)
	return dropped, nil
}

// isUnset reports whether a value in JSON is one that Velero's types write for a field that is not set.
func isUnset(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case string:
		return v == "" || v == "0s"
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return false
}
