// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/sets"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// maxVolumes is the largest number of claims, and of volumes, of a Backup that are compared.
const maxVolumes = 10000

// Claim is the namespace and name of a PersistentVolumeClaim.
type Claim struct{ Namespace, Name string }

// PodVolume is a volume of a pod.
type PodVolume struct{ Namespace, Pod, Volume string }

// Volume is a volume of a Backup as its volume info describes it.
type Volume struct {
	// Claim is its claim; zero if the volume of a pod has none, such as an emptyDir.
	Claim Claim
	// PersistentVolume is its name; empty if the volume has none.
	PersistentVolume string
	// PodVolume is the volume of the pod whose files were backed up; zero if the data was moved in
	// another way.
	PodVolume PodVolume
	// DataMoved is true if a snapshot was moved into the storage.
	DataMoved bool
	// Taken is true if Velero has taken the data; Skipped is its reason if it hasn't.
	Taken   bool
	Skipped string
	// Bytes is the size of the data, if Velero reports it.
	Bytes int64
}

// ReadVolumes reads the volume info of a Backup (BackupVolumeInfos). A volume that Velero reports
// twice is returned once, with its data if one of the two has it.
func ReadVolumes(file io.Reader) ([]Volume, error) {
	var volumes []Volume
	index := map[any]int{}
	err := decode(file, "volume info", func(d *json.Decoder) error {
		return elements(d, func() error {
			if len(volumes) == maxVolumes {
				return fmt.Errorf("it has more than %d volumes", maxVolumes)
			}
			info, err := readVolumeInfo(d)
			if err != nil {
				return err
			}
			volume := info.volume()
			i, seen := index[volume.key()]
			switch {
			case !seen:
				index[volume.key()] = len(volumes)
				volumes = append(volumes, volume)
			case !volumes[i].Taken:
				volumes[i] = volume
			}
			return nil
		})
	})
	return volumes, err
}

// volumeInfo has the fields of BackupVolumeInfo and RestoreVolumeInfo that matter here:
// internal/volume/volumes_information.go of Velero v1.18.3.
type volumeInfo struct {
	pvcName, pvcNamespace, pvName, method, skippedReason, result string
	snapshotDataMoved, skipped                                   bool
	size                                                         int64
	volumeName, podName, podNamespace                            string
}

// readVolumeInfo reads a volume info value by value, because the decoder would keep an object of any
// size as a whole.
func readVolumeInfo(d *json.Decoder) (info volumeInfo, err error) {
	text := map[string]*string{
		"pvcName": &info.pvcName, "pvcNamespace": &info.pvcNamespace, "pvName": &info.pvName, "backupMethod": &info.method,
		"restoreMethod": &info.method, "skippedReason": &info.skippedReason, "result": &info.result,
		"volumeName": &info.volumeName, "podName": &info.podName, "podNamespace": &info.podNamespace,
	}
	flags := map[string]*bool{"snapshotDataMoved": &info.snapshotDataMoved, "skipped": &info.skipped}
	var read func(parent string) error
	read = func(parent string) error {
		return fields(d, func(name string) error {
			isOf := func(parents ...string) bool { return slices.Contains(parents, parent) }
			switch {
			case isOf("") && slices.Contains([]string{"csiSnapshotInfo", "snapshotDataMovementInfo", "pvbInfo"}, name):
				return read(name)
			case isOf("") && text[name] != nil, isOf("pvbInfo") && slices.Contains([]string{"volumeName", "podName", "podNamespace"}, name):
				return readValue(d, text[name], clip)
			case isOf("") && flags[name] != nil:
				return readValue(d, flags[name], func(b bool) bool { return b })
			case isOf("csiSnapshotInfo", "snapshotDataMovementInfo", "pvbInfo") && name == "size":
				var size float64
				err := readValue(d, &size, func(f float64) float64 { return f })
				info.size = max(info.size, int64(min(max(size, 0), math.MaxInt64/maxVolumes)))
				return err
			}
			return skip(d)
		})
	}
	err = read("")
	return info, err
}

// readValue reads a string, a number or a bool, or null.
func readValue[T any](d *json.Decoder, into *T, keep func(T) T) error {
	token, err := d.Token()
	if err != nil || token == nil {
		return err
	}
	value, ok := token.(T)
	if !ok {
		return errUnexpected
	}
	*into = keep(value)
	return nil
}

func (i *volumeInfo) volume() Volume {
	const succeeded, podVolumeBackup = "succeeded", "PodVolumeBackup"
	v := Volume{
		Claim: Claim{i.pvcNamespace, i.pvcName}, PersistentVolume: i.pvName, DataMoved: i.snapshotDataMoved,
		// Velero sets no result for CSI snapshots that it lists only if they are there.
		Taken:   !i.skipped && (i.result == succeeded || i.result == ""),
		Skipped: i.skippedReason,
	}
	if v.Taken {
		v.Bytes = i.size
	}
	if i.method == podVolumeBackup {
		v.PodVolume = PodVolume{i.podNamespace, i.podName, i.volumeName}
	}
	return v
}

// key identifies a volume.
func (v Volume) key() any {
	switch {
	case v.Claim != Claim{}:
		return v.Claim
	case v.PodVolume != PodVolume{}:
		return v.PodVolume
	}
	return v.PersistentVolume
}

// VolumeKinds are the kinds of the objects that have volumes.
var VolumeKinds = []string{kindClaim, kindPod}

// ItemIn returns the object that stands for the volume in a target with a namespaceMapping.
func (v Volume) ItemIn(mapping map[string]string) Item { return v.mapped(mapping).item() }

// item returns the object that stands for the volume.
func (v Volume) item() Item {
	switch {
	case v.Claim != Claim{}:
		return Item{kindClaim, v.Claim.Namespace, v.Claim.Name}
	case v.PodVolume != PodVolume{}:
		return Item{kindPod, v.PodVolume.Namespace, v.PodVolume.Pod}
	}
	return Item{kindVolume, "", v.PersistentVolume}
}

// WithoutInfo returns those of the claims of a Backup that are claims of none of volumes. Velero has
// no volume info of a claim that isn't bound, and of one whose PersistentVolume is not backed up.
func WithoutInfo(claims []Claim, volumes []Volume) []Claim {
	known := sets.New[Claim]()
	for _, v := range volumes {
		known.Insert(v.Claim)
	}
	return slices.DeleteFunc(slices.Clone(claims), known.Has)
}

// clip returns a copy of a text of Velero that is not needed as a whole.
func clip(s string) string {
	const limit = 1024
	return strings.Clone(s[:min(len(s), limit)])
}

// ArrivedVolumes are the volumes of a target into which a Restore has written the data.
type ArrivedVolumes struct {
	// PodVolumes are those of completed PodVolumeRestores.
	PodVolumes sets.Set[PodVolume]
	// Claims are those of completed DataDownloads, and bound ones of snapshots that were restored.
	Claims sets.Set[Claim]
	// PersistentVolumes are those that were made from snapshots of a storage provider.
	PersistentVolumes sets.Set[string]
	// PodVolumesNotMoved and ClaimsNotMoved are why a PodVolumeRestore or a DataDownload has not
	// written the data.
	PodVolumesNotMoved map[PodVolume]NotMoved
	ClaimsNotMoved     map[Claim]NotMoved
}

// NotMoved is why the data of a volume was not written. Begun is true if a part of it may have been.
type NotMoved struct {
	Why   string
	Begun bool
}

// ReadSnapshotVolumes reads the claims and PersistentVolumes that a Restore has restored from snapshots
// that were not moved, by its volume info (RestoreVolumeInfo). Velero writes it before moved data has
// arrived, and also for a claim that is not bound.
func ReadSnapshotVolumes(file io.Reader) (claims []Claim, persistentVolumes []string, err error) {
	err = decode(file, "volume info", func(d *json.Decoder) error {
		return elements(d, func() error {
			if len(claims)+len(persistentVolumes) >= 2*maxVolumes {
				return fmt.Errorf("it has more than %d volumes", maxVolumes)
			}
			info, err := readVolumeInfo(d)
			switch claim := (Claim{info.pvcNamespace, info.pvcName}); {
			case err != nil:
				return err
			case info.method == "NativeSnapshot" && info.pvName != "":
				persistentVolumes = append(persistentVolumes, info.pvName)
			case info.method == "CSISnapshot" && !info.snapshotDataMoved && claim != Claim{}:
				claims = append(claims, claim)
			}
			return nil
		})
	})
	return claims, persistentVolumes, err
}

// Has reports whether the data of a volume has arrived; if it has not, why, if that is known. mapping is
// the Restore's namespaceMapping.
func (a *ArrivedVolumes) Has(v Volume, mapping map[string]string) (arrived bool, why string) {
	v = v.mapped(mapping)
	arrived = a.PodVolumes.Has(v.PodVolume)
	if v.PodVolume == (PodVolume{}) {
		arrived = v.Claim != Claim{} && a.Claims.Has(v.Claim) || a.PersistentVolumes.Has(v.PersistentVolume)
	}
	return arrived, a.notMoved(v).Why
}

// HasBegun reports whether the data of a volume was not written, but a part of it may have been.
func (a *ArrivedVolumes) HasBegun(v Volume, mapping map[string]string) bool {
	return a.notMoved(v.mapped(mapping)).Begun
}

// notMoved returns why the data of a volume, with its names in the target, was not written.
func (a *ArrivedVolumes) notMoved(v Volume) NotMoved {
	if v.PodVolume != (PodVolume{}) {
		return a.PodVolumesNotMoved[v.PodVolume]
	}
	return a.ClaimsNotMoved[v.Claim]
}

// VolumeResult is what became of a volume.
type VolumeResult struct {
	// Volume has the names in this cluster.
	Volume
	// Moved is true if its data was moved. Message is why not.
	Moved   bool
	Message string
}

// CountVolumes counts the volumes of a Backup, which to receives, and those whose data has moved. moved reports
// whether it has and, if not, why, if that is known. Those without are returned as exceptions, in the target's
// namespaces by mapping. bound are claims of the Backup that have no volume info but may be bound.
func CountVolumes(
	volumes []Volume, bound []Claim, mapping map[string]string, moved func(Volume) (bool, string), to Visitor,
) (counts v1alpha1.VolumeCounts, exceptions Exceptions, err error) {
	add := func(v Volume, isMoved bool, message string) error {
		counts.Total++
		v = v.mapped(mapping)
		if isMoved {
			counts.Moved++
			counts.Bytes += v.Bytes
		} else {
			v.Bytes = 0
			exceptions.Add(ItemResult{v.item(), v1alpha1.ItemWithoutData, message})
		}
		if to.Volume == nil {
			return nil
		}
		return to.Volume(VolumeResult{v, isMoved, message})
	}
	for _, v := range volumes {
		isMoved, why := moved(v)
		message := ""
		if !isMoved {
			message = v.whyNotMoved(why)
		}
		if err := add(v, isMoved, message); err != nil {
			return counts, exceptions, err
		}
	}
	for _, claim := range bound {
		if err := add(Volume{Claim: claim}, false, "Velero did not back up its data, and reports nothing about its volume"); err != nil {
			return counts, exceptions, err
		}
	}
	return counts, exceptions, nil
}

// mapped returns the volume with its namespaces by a namespaceMapping.
func (v Volume) mapped(mapping map[string]string) Volume {
	v.Claim.Namespace = cmp.Or(mapping[v.Claim.Namespace], v.Claim.Namespace)
	v.PodVolume.Namespace = cmp.Or(mapping[v.PodVolume.Namespace], v.PodVolume.Namespace)
	return v
}

// Method returns how the data was moved, or was to be.
func (v Volume) Method() string {
	switch {
	case v.PodVolume != PodVolume{}:
		return string(v1alpha1.VolumeDataFileSystemBackup)
	case v.DataMoved:
		return string(v1alpha1.VolumeDataSnapshotDataMovement)
	case v.Taken:
		return "Snapshot"
	}
	return ""
}

// whyNotMoved describes why the data of a volume was not moved. why is what its Restore reports.
func (v Volume) whyNotMoved(why string) string {
	of := ""
	if v.Claim == (Claim{}) && v.PodVolume != (PodVolume{}) {
		of = " of volume " + v.PodVolume.Volume
	}
	switch {
	case v.Taken && why != "":
		return "its data" + of + " is in the Backup and was not written: " + why
	case v.Taken:
		return "its data" + of + " is in the Backup and was not written, usually because the claim or a pod that uses it existed"
	case v.Skipped != "":
		return "Velero did not back up its data" + of + ": " + strings.TrimSuffix(v.Skipped, ";")
	}
	return "Velero failed to back up its data" + of
}
