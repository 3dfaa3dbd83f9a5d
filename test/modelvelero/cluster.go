// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package modelvelero

import (
	"crypto/sha256"
	"encoding/hex"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Object is one of Velero's objects: a pointer to a Backup, Restore,
// PodVolumeBackup, BackupStorageLocation or ServerStatusRequest.
type Object interface {
	metav1.Object
	runtime.Object
}

// Cluster has Velero's objects in one cluster, each kind sorted by name. The objects must
// not be changed.
type Cluster struct {
	Backups          []*velerov1.Backup
	Restores         []*velerov1.Restore
	PodVolumeBackups []*velerov1.PodVolumeBackup
	Locations        []*velerov1.BackupStorageLocation
	Requests         []*velerov1.ServerStatusRequest
}

// Backup returns the Backup of that name, or nil.
func (c *Cluster) Backup(name string) *velerov1.Backup { return named(c.Backups, name) }

// Restore returns the Restore of that name, or nil.
func (c *Cluster) Restore(name string) *velerov1.Restore { return named(c.Restores, name) }

// Location returns the BackupStorageLocation of that name, or nil.
func (c *Cluster) Location(name string) *velerov1.BackupStorageLocation {
	return named(c.Locations, name)
}

func named[T metav1.Object](objects []T, name string) T {
	for _, o := range objects {
		if o.GetName() == name {
			return o
		}
	}
	var none T
	return none
}

// defaultLocation returns the name of the location of Backups that name none.
func (c *Cluster) defaultLocation() string {
	for _, l := range c.Locations {
		if l.Spec.Default {
			return l.Name
		}
	}
	return "default"
}

func isAvailable(l *velerov1.BackupStorageLocation) bool {
	return l.Status.Phase == velerov1.BackupStorageLocationPhaseAvailable
}

// labelValue follows Velero's label.GetValidName.
func labelValue(name string) string {
	const longest, hash = 63, 6
	if len(name) <= longest {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return name[:longest-hash] + hex.EncodeToString(sum[:])[:hash]
}
