// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package modelvelero

import (
	"maps"
	"slices"
	"sync"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
)

// Bucket is an object storage that the Veleros of several clusters may share. It
// may be used by several goroutines.
type Bucket struct {
	mutex   sync.Mutex
	backups map[string]stored
}

// stored is what is in the storage of one Backup: its objects as they were.
type stored struct {
	backup  *velerov1.Backup
	volumes []*velerov1.PodVolumeBackup
}

// NewBucket makes an empty one.
func NewBucket() *Bucket { return &Bucket{backups: map[string]stored{}} }

// Names are those of the Backups in it, sorted.
func (b *Bucket) Names() []string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return slices.Sorted(maps.Keys(b.backups))
}

// Has says whether a Backup of that name is in it, finished or not.
func (b *Bucket) Has(name string) bool {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	_, ok := b.backups[name]
	return ok
}

// HasCompleted says whether a Backup of that name is in it that can be restored from.
func (b *Bucket) HasCompleted(name string) bool {
	found, ok := b.get(name)
	return ok && found.backup.Status.Phase == velerov1.BackupPhaseCompleted
}

// Delete removes a Backup, as an administrator of the storage may do.
func (b *Bucket) Delete(name string) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	delete(b.backups, name)
}

func (b *Bucket) put(backup *velerov1.Backup, volumes []*velerov1.PodVolumeBackup) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.backups[backup.Name] = stored{backup, volumes}
}

func (b *Bucket) get(name string) (stored, bool) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	s, ok := b.backups[name]
	return s, ok
}
