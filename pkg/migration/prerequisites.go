// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/sets"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// Prerequisites are what the policy of a Migrate needs in a cluster besides Velero's server.
type Prerequisites struct {
	// NodeAgent is true if Velero's node-agent must run.
	NodeAgent bool
	// SnapshotClass is true if there must be a VolumeSnapshotClass.
	SnapshotClass bool
	// Claims, in the source, is the filter of the claims that are migrated; nil if the targets need
	// nothing for them. UsedOnly is true if only those have data that a running pod uses.
	Claims   *v1alpha1.ResourceFilter
	UsedOnly bool
	// StorageClasses, in a target, is true if those of the claims must exist, as mapped by Mapping.
	StorageClasses bool
	Mapping        map[string]string
	// Fields is the Migrate if its Backup, in the source, or its Restore in a target has fields that an old Velero does not
	// know; nil if it has none. Source is true in the source.
	Fields *v1alpha1.Migrate
	Source bool
}

// Checked is what a check of the prerequisites has found in a cluster.
type Checked struct {
	// NodeAgent is why node-agent does not run; empty if it does.
	NodeAgent string
	// NoSnapshotClass is true if there is no VolumeSnapshotClass.
	NoSnapshotClass bool
	// ClaimClasses are the StorageClasses of the claims.
	ClaimClasses []string
	// Unused are the first bound claims that no running pod uses, as NAMESPACE/NAME, and UnusedTotal is
	// their number.
	Unused      []string
	UnusedTotal int64
	// StorageClasses are those that exist; nil if they are unknown.
	StorageClasses sets.Set[string]
	// DroppedFields are the fields of the Backup or Restore that the definitions of Velero in the cluster don't have,
	// so that its API server would drop them in silence, sorted.
	DroppedFields []string
}

// prerequisites returns what m needs in its source or a target.
func prerequisites(m *v1alpha1.Migrate, isSource bool) (p Prerequisites) {
	if isSource && velero.BackupNeedsFields(m) || !isSource && velero.RestoreNeedsFields(m) {
		p.Fields, p.Source = m, isSource
	}
	if m.Spec.Policy == nil || m.Spec.Policy.Volumes == nil {
		return p
	}
	volumes := m.Spec.Policy.Volumes
	p.NodeAgent = volumes.Data == v1alpha1.VolumeDataFileSystemBackup || volumes.Data == v1alpha1.VolumeDataSnapshotDataMovement
	hasClaims := volumes.Data != "" || len(volumes.StorageClassMapping) > 0
	switch {
	case !isSource:
		p.StorageClasses, p.Mapping = hasClaims, volumes.StorageClassMapping
	case hasClaims:
		p.Claims = cmp.Or(m.Spec.Policy.ResourceFilter, &v1alpha1.ResourceFilter{})
		p.UsedOnly = volumes.Data == v1alpha1.VolumeDataFileSystemBackup
		p.SnapshotClass = volumes.Data == v1alpha1.VolumeDataSnapshotDataMovement
	}
	return p
}

// NeedsPrerequisites reports whether the prerequisites of the cluster must be checked before m starts there.
func (c ClusterPlan) NeedsPrerequisites() bool {
	p := c.Prerequisites
	return !c.started && !c.ended && (p.NodeAgent || p.Claims != nil || p.StorageClasses || p.Fields != nil)
}

// hasPrerequisites reports whether a cluster has what m needs there; if not, the state says what to do.
func hasPrerequisites(c ClusterPlan, seen Observation) (state, bool) {
	name, checked := c.Cluster.Name, seen.Members[c.Cluster].Checked
	switch {
	case !c.NeedsPrerequisites():
		return state{}, true
	case checked == nil:
		return state{v1alpha1.ReasonConnecting, fmt.Sprintf("Checking what spec.policy needs in %s.", name)}, false
	case len(checked.DroppedFields) > 0:
		kind := "Restores"
		if c.Source {
			kind = "Backups"
		}
		return state{v1alpha1.ReasonVeleroTooOld, fmt.Sprintf(
			"Velero in %s does not know these fields of %s, and would ignore them: %s. Update it with its CustomResourceDefinitions, or recreate the Migrate without what needs them.",
			name, kind, strings.Join(checked.DroppedFields, ", "))}, false
	case checked.NodeAgent != "":
		return state{v1alpha1.ReasonNodeAgentNotReady, fmt.Sprintf(
			"spec.policy.volumes.data needs Velero's node-agent in %s, which %s. Install it with: velero install --use-node-agent", name, checked.NodeAgent)}, false
	case checked.NoSnapshotClass:
		return state{v1alpha1.ReasonSnapshotClassNotFound, fmt.Sprintf(
			"spec.policy.volumes.data needs CSI snapshots, and %s has no VolumeSnapshotClass. Create one for its CSI driver, with the label velero.io/csi-volumesnapshot-class=true.", name)}, false
	}
	if missing := missingClasses(c.Prerequisites, checked, seen.Members[seen.Plan.Source().Cluster].Checked); len(missing) > 0 {
		return state{v1alpha1.ReasonStorageClassNotFound, fmt.Sprintf(
			"Claims need StorageClasses that do not exist in %s: %s. Create them, or recreate the Migrate with another spec.policy.volumes.storageClassMapping.", name, strings.Join(missing, ", "))}, false
	}
	return state{}, true
}

// missingClasses returns the StorageClasses that a target lacks: of the mapping, and those that the claims of
// the source get by it. source is nil if it was not checked, as after the start of the Backup.
func missingClasses(p Prerequisites, target, source *Checked) []string {
	if !p.StorageClasses || target.StorageClasses == nil {
		return nil
	}
	needed := sets.New(slices.Collect(maps.Values(p.Mapping))...)
	if source != nil {
		for _, class := range source.ClaimClasses {
			needed.Insert(cmp.Or(p.Mapping[class], class))
		}
	}
	return sets.List(needed.Difference(target.StorageClasses))
}

// unusedClaims warns of the claims of the source whose data the Backup will not take; empty if there are
// none.
func unusedClaims(checked *Checked) string {
	if checked == nil || checked.UnusedTotal == 0 {
		return ""
	}
	return fmt.Sprintf(" It will not have the data of %s, which no running pod of the Backup uses: %s. To move it, start a pod that uses it, and recreate the Migrate.",
		count(checked.UnusedTotal, "claim"), strings.Join(firstOfAll(checked.Unused, checked.UnusedTotal), ", "))
}
