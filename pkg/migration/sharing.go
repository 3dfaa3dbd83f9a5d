// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// SharingCheck is a check whether a target finds in its storage what the source stores, where the two
// BackupStorageLocations don't show it: by the Backups that Velero has synced.
type SharingCheck struct {
	Source, Target Velero
	// From is the location of the source, and Candidates are those of the target that may be the same storage.
	From       velerov1.BackupStorageLocation
	Candidates []velerov1.BackupStorageLocation
}

// StoredBackups is what is read from a Velero for a SharingCheck.
type StoredBackups struct {
	// Locations are its BackupStorageLocations with their managedFields.
	Locations []velerov1.BackupStorageLocation
	// Backups are its completed Backups in them.
	Backups []velero.FinishedBackup
}

// Sharing is the result of a SharingCheck.
type Sharing struct {
	// Err is why the check failed; the other fields are empty then.
	Err error
	// Location is the name of the target's location that is the storage of the source, and Backup that of the
	// Backup that proves it. They are empty if none is.
	Location, Backup string
	// Conflict is the name of a Backup that source and target have with different times; empty if there is none.
	Conflict string
}

// SharingCheckOf returns the check that is needed for a target to which nothing was restored yet; false if none is.
func SharingCheckOf(target Cluster, seen Observation) (SharingCheck, bool) {
	to, from := seen.Plan.Of(target), seen.Plan.Source()
	source, member := seen.Members[from.Cluster], seen.Members[target]
	if _, ok := to.usable(); !ok || to.Source || to.started || !to.needed || source.Err != nil || member.Err != nil || member.Backup != nil {
		return SharingCheck{}, false
	}
	location := sourceLocation(from, source)
	candidates := unprovenLocations(location, member.Locations)
	if len(candidates) == 0 {
		return SharingCheck{}, false
	}
	return SharingCheck{Source: from.Velero(), Target: to.Velero(), From: *location, Candidates: candidates}, true
}

// unprovenLocations returns the locations of a target that may be that of the source, if none provably is.
func unprovenLocations(source *velerov1.BackupStorageLocation, locations []velerov1.BackupStorageLocation) (unproven []velerov1.BackupStorageLocation) {
	if source == nil {
		return nil
	}
	for i := range locations {
		switch velero.CompareStorage(source, &locations[i]) {
		case velero.Same:
			return nil
		case velero.Unproven:
			unproven = append(unproven, locations[i])
		}
	}
	return unproven
}

// Key identifies the Veleros and locations of c: a proof is valid for the same key only.
func (c SharingCheck) Key() string {
	hash := sha256.New()
	for _, v := range []Velero{c.Source, c.Target} {
		fmt.Fprintf(hash, "%q %q %q\n", v.Cluster.Kind, v.Cluster.Name, v.Namespace)
	}
	_, _ = io.WriteString(hash, velero.LocationKey(&c.From))
	for i := range c.Candidates {
		_, _ = io.WriteString(hash, velero.LocationKey(&c.Candidates[i]))
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// Synced identifies the last syncs of the locations of c: without another one no proof appears.
func (c SharingCheck) Synced() string {
	all := lastSync(&c.From)
	for i := range c.Candidates {
		all += " " + lastSync(&c.Candidates[i])
	}
	return all
}

func lastSync(l *velerov1.BackupStorageLocation) string {
	if l.Status.LastSyncedTime == nil {
		return "never"
	}
	return l.Status.LastSyncedTime.UTC().Format(time.RFC3339)
}

// Result returns the result of c for what was read from the source and the target. Locations that have changed in the
// meantime, or were not synced since, prove nothing.
//
// Each of the two clusters can forge its part, but proves nothing for others. A forged proof makes this server hand the
// Backup over to a target that does not have its data: its Restore, of the Backup whose name is recorded,
// from the target's own storage, then fails instead of waiting for ever.
func (c SharingCheck) Result(source, target StoredBackups) (sharing Sharing) {
	if !isSynced(&c.From, source.Locations) {
		return sharing
	}
	stored := velero.StoredIn(c.From.Name, source.Backups)
	for i := range c.Candidates {
		to := &c.Candidates[i]
		if !isSynced(to, target.Locations) {
			continue
		}
		proof, conflict := velero.SharedBackup(stored, velero.StoredIn(to.Name, target.Backups))
		if proof != "" {
			return Sharing{Location: to.Name, Backup: proof}
		}
		if sharing.Conflict == "" {
			sharing.Conflict = conflict
		}
	}
	return sharing
}

// isSynced reports whether the current location of a name is the given one, and was synced since its last change.
func isSynced(location *velerov1.BackupStorageLocation, current []velerov1.BackupStorageLocation) bool {
	l := locationNamed(location.Name, current)
	return l != nil && velero.LocationKey(l) == velero.LocationKey(location) && velero.IsSyncedSinceChange(l)
}

// sharedLocation holds the two BackupStorageLocations through which source and target share a
// storage.
type sharedLocation struct {
	source, target *velerov1.BackupStorageLocation
	sameness       velero.Sameness
	// sharing is the result of the check, if the locations alone prove nothing.
	sharing Sharing
	// unchecked is true while a check is needed and has no result.
	unchecked bool
}

// shareLocation returns the location of a target through which it shares the storage of the source.
func shareLocation(target Cluster, seen Observation) sharedLocation {
	plan := seen.Plan.Source()
	member := seen.Members[target]
	shared := sharedLocation{source: sourceLocation(plan, seen.Members[plan.Cluster])}
	shared.target, shared.sameness = matchLocation(shared.source, member.Locations)
	if shared.sameness != velero.Unproven {
		return shared
	}
	unproven := unprovenLocations(shared.source, member.Locations)
	if member.Sharing == nil {
		_, shared.unchecked = SharingCheckOf(target, seen)
		return shared
	}
	shared.sharing = *member.Sharing
	if proven := locationNamed(shared.sharing.Location, unproven); proven != nil {
		shared.target = proven
	} else {
		shared.sharing.Location, shared.sharing.Backup = "", ""
	}
	return shared
}

// proof returns how it is proven that the two locations are the same storage; nil if it is not.
func (l sharedLocation) proof() *v1alpha1.StorageProof {
	switch {
	case l.sameness == velero.Same:
		return &v1alpha1.StorageProof{Type: v1alpha1.StorageProofLocations}
	case l.sharing.Backup != "":
		return &v1alpha1.StorageProof{Type: v1alpha1.StorageProofSyncedBackup, BackupName: Shorten(l.sharing.Backup, maxTokenLength)}
	}
	return nil
}

// describe returns a sentence about why it is proven that source and target share a storage, or is not; empty
// if the locations alone show it.
func (l sharedLocation) describe(source, target string) string {
	from, to := velero.DescribeLocation(l.source), velero.DescribeLocation(l.target)
	switch {
	case l.sameness == velero.Same:
		return ""
	case l.sharing.Backup != "":
		return fmt.Sprintf("%s in %s and %s in %s are the same storage: Velero in %s has synced Backup %s of %s.", from, source, to, target, target, l.sharing.Backup, source)
	}
	message := fmt.Sprintf("it can't be proven that %s in %s and %s in %s are the same storage", from, source, to, target)
	switch {
	case l.sharing.Err != nil:
		return fmt.Sprintf("%s. Looking for Backups that both have failed: %v", message, l.sharing.Err)
	case l.sharing.Conflict != "":
		return fmt.Sprintf("%s. Both have a Backup %s, with different times, so they may be two storages.", message, l.sharing.Conflict)
	}
	return message + "."
}

// observeStorageProof updates how it is known that a target, to which nothing was restored yet, shares the storage of
// the source.
func observeStorageProof(target *v1alpha1.RestoreDetails, source *v1alpha1.BackupDetails, seen Observation) {
	location, _, ok := receivingLocation(target.ClusterStatus, source, seen)
	if !ok || location.unchecked {
		return
	}
	backup := seen.Members[ClusterOf(target.ClusterStatus)].Backup
	switch proof := location.proof(); {
	case proof != nil || backup == nil:
		target.StorageProof = proof
	case target.StorageProof == nil && !velero.IsHandedOver(backup):
		target.StorageProof = &v1alpha1.StorageProof{Type: v1alpha1.StorageProofOwnBackup, BackupName: Shorten(backup.Name, maxTokenLength)}
	}
}

// locationNamed returns the location of a name; nil if there is none.
func locationNamed(name string, locations []velerov1.BackupStorageLocation) *velerov1.BackupStorageLocation {
	i := slices.IndexFunc(locations, func(l velerov1.BackupStorageLocation) bool { return l.Name == name })
	if i < 0 {
		return nil
	}
	return &locations[i]
}
