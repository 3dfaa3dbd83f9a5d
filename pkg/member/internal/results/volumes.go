// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package results

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	velerov2alpha1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v2alpha1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"

	"kurator.dev/migrate-apiserver/pkg/member/internal/client"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

const (
	// pageSize is the number of objects in a page, and maxPages how many pages are read.
	pageSize, maxPages = 500, 20
	// maxMessage is how many bytes of the message of an object are kept.
	maxMessage = 512
	// maxClaims is how many claims are read to determine whether they are bound.
	maxClaims = 100
)

// boundClaims returns those of the claims in the source that are bound, or may be.
func (r *reader) boundClaims(ctx context.Context, claims []velero.Claim) []velero.Claim {
	read := 0
	return slices.DeleteFunc(claims, func(claim velero.Claim) bool {
		if read++; read > maxClaims {
			return false
		}
		isBound, err := r.isBound(ctx, claim)
		return err == nil && !isBound
	})
}

// isBound reports whether a claim is bound. A claim that was deleted meanwhile isn't.
func (r *reader) isBound(ctx context.Context, claim velero.Claim) (bool, error) {
	claims := client.Collection{Resource: corev1.SchemeGroupVersion.WithResource("persistentvolumeclaims")}.In(claim.Namespace)
	var found struct {
		Status struct {
			Phase corev1.PersistentVolumeClaimPhase `json:"phase"`
		} `json:"status"`
	}
	err := client.GetInto(ctx, r.Client, claims, claim.Name, &found)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return found.Status.Phase == corev1.ClaimBound, err
}

// arrivedVolumes returns the volumes into which a Restore has written data, as far as volumes need it. Only one that has files
// can have made claims from snapshots.
func (r *reader) arrivedVolumes(ctx context.Context, volumes []velero.Volume, of migration.RestoreFiles, hasFiles bool) (arrived velero.ArrivedVolumes, err error) {
	arrived.PodVolumes, arrived.Claims = sets.New[velero.PodVolume](), sets.New[velero.Claim]()
	arrived.PodVolumesNotMoved, arrived.ClaimsNotMoved = map[velero.PodVolume]velero.NotMoved{}, map[velero.Claim]velero.NotMoved{}
	var podVolumes, moved, snapshots bool
	for _, v := range volumes {
		switch {
		case !v.Taken:
		case v.PodVolume != velero.PodVolume{}:
			podVolumes = true
		case v.DataMoved:
			moved = true
		default:
			snapshots = true
		}
	}
	if podVolumes {
		err = r.eachRestored(ctx, of.Restore, velerov1.SchemeGroupVersion.WithResource("podvolumerestores"), func(o *restoredData) {
			volume := velero.PodVolume{Namespace: o.Spec.Pod.Namespace, Pod: o.Spec.Pod.Name, Volume: o.Spec.Volume}
			if o.isMoved() {
				arrived.PodVolumes.Insert(volume)
			} else {
				arrived.PodVolumesNotMoved[volume] = o.notMoved("PodVolumeRestore")
			}
		})
	}
	if moved {
		err = errors.Join(err, r.eachRestored(ctx, of.Restore, velerov2alpha1.SchemeGroupVersion.WithResource("datadownloads"), func(o *restoredData) {
			claim := velero.Claim{Namespace: o.Spec.TargetVolume.Namespace, Name: o.Spec.TargetVolume.PVC}
			if o.isMoved() {
				arrived.Claims.Insert(claim)
			} else {
				arrived.ClaimsNotMoved[claim] = o.notMoved("DataDownload")
			}
		}))
	}
	if snapshots && hasFiles {
		var claims []velero.Claim
		var persistentVolumes []string
		err = errors.Join(err, r.download(ctx, of.Volumes, func(file io.Reader) (err error) {
			claims, persistentVolumes, err = velero.ReadSnapshotVolumes(file)
			return err
		}))
		arrived.PersistentVolumes = sets.New(persistentVolumes...)
		for _, claim := range claims[:min(len(claims), maxClaims)] {
			if isBound, bindErr := r.isBound(ctx, claim); bindErr == nil && isBound {
				arrived.Claims.Insert(claim)
			}
		}
	}
	return arrived, err
}

// restoredData has the fields of a PodVolumeRestore or DataDownload that matter here.
type restoredData struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Pod struct {
			Namespace string `json:"namespace"`
			Name      string `json:"name"`
		} `json:"pod"`
		Volume       string `json:"volume"`
		TargetVolume struct {
			Namespace string `json:"namespace"`
			PVC       string `json:"pvc"`
		} `json:"targetVolume"`
	} `json:"spec"`
	Status struct {
		Phase          string       `json:"phase"`
		Message        string       `json:"message"`
		StartTimestamp *metav1.Time `json:"startTimestamp"`
	} `json:"status"`
}

// isMoved reports whether the object has written the data.
func (o *restoredData) isMoved() bool { return o.Status.Phase == "Completed" }

// notMoved describes why an object of a kind has not written the data.
func (o *restoredData) notMoved(kind string) velero.NotMoved {
	why := fmt.Sprintf("%s %s is %s", kind, o.Name, cmp.Or(o.Status.Phase, "New"))
	if o.Status.Message != "" {
		why += ": " + strings.ToValidUTF8(o.Status.Message[:min(len(o.Status.Message), maxMessage)], "")
	}
	return velero.NotMoved{Why: why, Begun: o.Status.StartTimestamp != nil}
}

// isTooLong reports whether a name is none of Kubernetes.
func (o *restoredData) isTooLong() bool {
	names := []string{o.Name, o.Spec.Pod.Namespace, o.Spec.Pod.Name, o.Spec.Volume, o.Spec.TargetVolume.Namespace, o.Spec.TargetVolume.PVC, o.Status.Phase}
	return slices.ContainsFunc(names, func(name string) bool { return len(name) > maxName })
}

// eachRestored calls f for each object of a Restore. Velero writes its volume info before
// the data has arrived; these objects have the end.
func (r *reader) eachRestored(ctx context.Context, restore string, resource schema.GroupVersionResource, f func(*restoredData)) error {
	objects := client.Collection{Resource: resource, InVelero: true}
	opts := metav1.ListOptions{Limit: pageSize, LabelSelector: velero.RestoredBy(restore)}
	err := client.Each(ctx, r.Client, objects, opts, maxPages, func(o *restoredData) error {
		if o.isTooLong() {
			return nil
		}
		f(o)
		return r.use(nameSize)
	})
	var tooMany client.TooManyError
	if errors.As(err, &tooMany) {
		return fmt.Errorf("the Restore has more than %d %s", tooMany.Most, resource.Resource)
	}
	return err
}
