// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
)

// FinishedBackup has what identifies a completed Backup in every cluster that has it. Two Backups of one
// name may be two: clusters that are set up alike have Schedules of one name.
type FinishedBackup struct {
	Name string
	// Location is the value of Velero's label for its BackupStorageLocation; see LabelValue.
	Location string
	// Started and Completed are the times that Velero has stored with it, in seconds.
	Started, Completed int64
	// Items, Warnings and Expiration, in seconds, are stored with it, too.
	Items, Warnings, Expiration int64
	// Synced is true if Velero has found it in the storage, and false if Velero made it here.
	Synced bool
}

// AsFinishedBackup returns a Backup as a FinishedBackup; false if it is not completed, or if it says nothing
// about its storage: this server has handed it over, so that Velero did not find it there, or it has
// no label of Velero.
func AsFinishedBackup(b *velerov1.Backup) (FinishedBackup, bool) {
	status := &b.Status
	location := b.Labels[velerov1.StorageLocationLabel]
	if status.Phase != velerov1.BackupPhaseCompleted || status.StartTimestamp == nil || status.CompletionTimestamp == nil ||
		b.DeletionTimestamp != nil || IsHandedOver(b) || location == "" || location != LabelValue(b.Spec.StorageLocation) ||
		len(validation.IsDNS1123Subdomain(b.Name)) > 0 {
		return FinishedBackup{}, false
	}
	finished := FinishedBackup{
		Name: b.Name, Location: location, Synced: IsSynced(b),
		Started: status.StartTimestamp.Unix(), Completed: status.CompletionTimestamp.Unix(), Warnings: int64(status.Warnings),
	}
	if status.Expiration != nil {
		finished.Expiration = status.Expiration.Unix()
	}
	if status.Progress != nil {
		finished.Items = int64(status.Progress.ItemsBackedUp)
	}
	return finished, true
}

// StoredIn returns the Backups whose location has a name.
func StoredIn(location string, backups []FinishedBackup) []FinishedBackup {
	return slices.DeleteFunc(slices.Clone(backups), func(b FinishedBackup) bool { return b.Location != LabelValue(location) })
}

// SharedBackup returns the name of the newest Backup that proves that Velero in a target finds in a storage what the
// source stores in another, or the same: the source has made it, and the target's Velero has synced it. One that
// Velero in the target made itself proves nothing, nor one that the source has synced.
//
// A storage has one Backup of a name. If both have one of the same name with other times, SharedBackup returns
// the first of these as conflict, and no proof.
func SharedBackup(source, target []FinishedBackup) (proof, conflict string) {
	made := make(map[string]FinishedBackup, len(source))
	for _, b := range source {
		made[b.Name] = b
	}
	var newest FinishedBackup
	for _, found := range target {
		b, both := made[found.Name]
		switch {
		case !both:
		case b.Started != found.Started || b.Completed != found.Completed:
			if conflict == "" || b.Name < conflict {
				conflict = b.Name
			}
		case b.Synced || !found.Synced || b.Items != found.Items || b.Warnings != found.Warnings || b.Expiration != found.Expiration:
		case cmp.Or(cmp.Compare(b.Completed, newest.Completed), cmp.Compare(b.Name, newest.Name)) > 0:
			newest = b
		}
	}
	if conflict != "" {
		return "", conflict
	}
	return newest.Name, ""
}

// LocationKey returns a hash of what determines the storage of a location: a location that is created again, or
// that leads to another storage, has another one. The content of its Secrets is not part of it.
func LocationKey(l *velerov1.BackupStorageLocation) string {
	identity, err := json.Marshal(struct {
		UID     types.UID
		Name    string
		Storage velerov1.BackupStorageLocationSpec
	}{l.UID, l.Name, velerov1.BackupStorageLocationSpec{
		Provider: provider(l), Config: l.Spec.Config, Credential: l.Spec.Credential, StorageType: l.Spec.StorageType,
	}})
	if err != nil {
		panic(err) // it was decoded from JSON
	}
	sum := sha256.Sum256(identity)
	return hex.EncodeToString(sum[:])
}

// longestSync is the time that a sync of Velero, which reads the location at its start, takes at most.
const longestSync = 30 * time.Second

// IsSyncedSinceChange reports whether Velero has synced a location since its spec last led to another
// storage. Until then the cluster still has the Backups of the storage before. The time of the change is
// that in managedFields; without any, that of its creation.
func IsSyncedSinceChange(l *velerov1.BackupStorageLocation) bool {
	changed := l.CreationTimestamp.Time
	for _, entry := range l.ManagedFields {
		if entry.Time != nil && entry.Time.After(changed) && setsStorage(entry.FieldsV1) {
			changed = entry.Time.Time
		}
	}
	return l.Status.LastSyncedTime != nil && l.Status.LastSyncedTime.After(changed.Add(longestSync))
}

// storageFields are the fields of a location's spec that determine its storage. Velero itself changes
// others, such as default.
var storageFields = []string{"f:provider", "f:config", "f:credential", "f:objectStorage"}

// setsStorage reports whether the fields of a manager determine the storage of a location. Fields that can't be
// read may.
func setsStorage(fields *metav1.FieldsV1) bool {
	if fields == nil {
		return false
	}
	var managed struct {
		Spec map[string]json.RawMessage `json:"f:spec"`
	}
	if err := json.Unmarshal(fields.GetRawBytes(), &managed); err != nil {
		return true
	}
	return slices.ContainsFunc(storageFields, func(name string) bool { return managed.Spec[name] != nil })
}
