// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package modelvelero

import (
	"maps"
	"slices"
	"sync"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
)

// Bucket is an object storage that the Veleros of several clusters may share. It is safe
// for concurrent use.
type Bucket struct {
	mutex   sync.Mutex
	backups map[string]stored
}

// stored has the objects of a Backup as they were when it was stored.
type stored struct {
	backup  *velerov1.Backup
	volumes []*velerov1.PodVolumeBackup
}

// NewBucket returns an empty Bucket.
func NewBucket() *Bucket { return &Bucket{backups: map[string]stored{}} }

// Names returns the names of the stored Backups, sorted.
func (b *Bucket) Names() []string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return slices.Sorted(maps.Keys(b.backups))
}

// Has reports whether a Backup of that name is stored, completed or not.
func (b *Bucket) Has(name string) bool {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	_, ok := b.backups[name]
	return ok
}

// HasCompleted reports whether a completed Backup of that name is stored.
func (b *Bucket) HasCompleted(name string) bool {
	found, ok := b.get(name)
	return ok && found.backup.Status.Phase == velerov1.BackupPhaseCompleted
}

// Delete removes a Backup.
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
