// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// Prerequisites are what the policy of a Migrate needs in a cluster besides Velero's server.
type Prerequisites struct {
	// NodeAgent is true if Velero's node-agent must run.
	NodeAgent bool
	// SnapshotClass is true if there must be a VolumeSnapshotClass.
	SnapshotClass bool
	// StorageClasses are the names of StorageClasses that must exist. ClaimClasses is true if those
	// of the source's claims must exist too; see WithClaimClasses.
	StorageClasses []string
	ClaimClasses   bool
	// UsedClaims is the filter of claims whose data is taken only if a running pod uses them; nil if
	// the data of all claims is.
	UsedClaims *v1alpha1.ResourceFilter
}

// Missing are the prerequisites that a cluster lacks.
type Missing struct {
	// NodeAgent is why node-agent does not run; empty if it does.
	NodeAgent string
	// SnapshotClass is true if there is no VolumeSnapshotClass.
	SnapshotClass bool
	// StorageClasses are those that don't exist.
	StorageClasses []string
	// Unused are the first bound claims that no running pod uses, as NAMESPACE/NAME, and UnusedTotal is
	// their number.
	Unused      []string
	UnusedTotal int64
}

// prerequisites returns what m needs in its source or a target.
func prerequisites(m *v1alpha1.Migrate, isSource bool) (p Prerequisites) {
	if m.Spec.Policy == nil || m.Spec.Policy.Volumes == nil {
		return p
	}
	volumes := m.Spec.Policy.Volumes
	p.NodeAgent = volumes.Data == v1alpha1.VolumeDataFileSystemBackup || volumes.Data == v1alpha1.VolumeDataSnapshotDataMovement
	if isSource {
		p.SnapshotClass = volumes.Data == v1alpha1.VolumeDataSnapshotDataMovement
		if volumes.Data == v1alpha1.VolumeDataFileSystemBackup {
			p.UsedClaims = cmp.Or(m.Spec.Policy.ResourceFilter, &v1alpha1.ResourceFilter{})
		}
	} else {
		p.StorageClasses = slices.Compact(slices.Sorted(maps.Values(volumes.StorageClassMapping)))
		p.ClaimClasses = volumes.Data != "" || len(volumes.StorageClassMapping) > 0
	}
	return p
}

// WithClaimClasses returns p with the StorageClasses that the claims of the source get in a target, by the
// mapping of m.
func (p Prerequisites) WithClaimClasses(m *v1alpha1.Migrate, classes []string) Prerequisites {
	if m.Spec.Policy == nil || m.Spec.Policy.Volumes == nil {
		return p
	}
	p.StorageClasses = slices.Clone(p.StorageClasses)
	for _, class := range classes {
		p.StorageClasses = append(p.StorageClasses, cmp.Or(m.Spec.Policy.Volumes.StorageClassMapping[class], class))
	}
	slices.Sort(p.StorageClasses)
	p.StorageClasses = slices.Compact(p.StorageClasses)
	return p
}

// NeedsPrerequisites reports whether something must be in the cluster before m starts there.
func (c ClusterPlan) NeedsPrerequisites() bool {
	p := c.Prerequisites
	return !c.started && !c.ended && (p.NodeAgent || p.SnapshotClass || p.ClaimClasses)
}

// unusedClaims warns of the claims of the source whose data the Backup will not take; empty if there are
// none.
func unusedClaims(missing *Missing) string {
	if missing == nil || missing.UnusedTotal == 0 {
		return ""
	}
	return fmt.Sprintf(" It will not have the data of %s, which no running pod uses: %s. To move it, start a pod that uses it, and recreate the Migrate.",
		count(missing.UnusedTotal, "claim"), strings.Join(firstOfAll(missing.Unused, missing.UnusedTotal), ", "))
}

// hasPrerequisites reports whether a cluster has what m needs there; if not, the state says what to do.
func hasPrerequisites(c ClusterPlan, missing *Missing) (state, bool) {
	name := c.Cluster.Name
	switch {
	case !c.NeedsPrerequisites():
		return state{}, true
	case missing == nil:
		return state{v1alpha1.ReasonConnecting, fmt.Sprintf("Checking what spec.policy.volumes needs in %s.", name)}, false
	case missing.NodeAgent != "":
		return state{v1alpha1.ReasonNodeAgentNotReady, fmt.Sprintf(
			"spec.policy.volumes.data needs Velero's node-agent in %s, which %s. Install it with: velero install --use-node-agent", name, missing.NodeAgent)}, false
	case missing.SnapshotClass:
		return state{v1alpha1.ReasonSnapshotClassNotFound, fmt.Sprintf(
			"spec.policy.volumes.data needs CSI snapshots, and %s has no VolumeSnapshotClass. Create one for its CSI driver, with the label velero.io/csi-volumesnapshot-class=true.", name)}, false
	case len(missing.StorageClasses) > 0:
		return state{v1alpha1.ReasonStorageClassNotFound, fmt.Sprintf(
			"Claims need StorageClasses that do not exist in %s: %s. Create them, or recreate the Migrate with another spec.policy.volumes.storageClassMapping.", name, strings.Join(missing.StorageClasses, ", "))}, false
	}
	return state{}, true
}
