// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package results

import (
	"context"
	"errors"
	"slices"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/member/internal/client"
	"kurator.dev/migrate-apiserver/pkg/member/internal/resources"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// earlier is what is in a target by the Restores of earlier attempts. An object that was replaced since, such as a claim that a
// StatefulSet made anew and that is empty, does not have their label.
type earlier struct {
	// makers are the values of the label, by claim and pod.
	makers map[velero.Item]string
	// arrived are the volumes into which the Restore with a value has written data.
	arrived map[string]velero.ArrivedVolumes
}

// readEarlier reads what is there by earlier attempts, and adds its items to restored.
func (r *reader) readEarlier(ctx context.Context, restored *velero.Restored) (found earlier, err error) {
	if len(r.request.Earlier) == 0 {
		return found, nil
	}
	kinds := restored.Existing()
	if r.request.BackedUpVolumes != nil {
		kinds = append(kinds, velero.VolumeKinds...)
	}
	served, err := resources.Of(ctx, r.Client)
	if err != nil {
		return found, err
	}
	found = earlier{map[velero.Item]string{}, map[string]velero.ArrivedVolumes{}}
	for _, resource := range served {
		kind := resource.ItemKind()
		if !slices.Contains(kinds, kind) {
			continue
		}
		if err := r.eachEarlier(ctx, resource, func(o *metav1.PartialObjectMetadata) error {
			item := velero.Item{Kind: kind, Namespace: o.Namespace, Name: o.Name}
			if slices.Contains(velero.VolumeKinds, kind) {
				found.makers[item] = o.Labels[velerov1.RestoreNameLabel]
			}
			return restored.AddEarlier(item)
		}); err != nil {
			return found, err
		}
	}
	return found, nil
}

// eachEarlier calls f for each object of a resource that Restores of earlier attempts have made, as far as they may be read.
func (r *reader) eachEarlier(ctx context.Context, resource velero.Resource, f func(*metav1.PartialObjectMetadata) error) error {
	var names []string
	for _, of := range r.request.Earlier {
		names = append(names, of.Restore)
	}
	all := client.Collection{Resource: resource.GroupVersionResource(), MetadataOnly: true}
	err := client.Each(ctx, r.Client, all, metav1.ListOptions{Limit: pageSize, LabelSelector: velero.RestoredBy(names...)}, maxPages, f)
	if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) || errors.As(err, new(client.TooManyError)) || errors.Is(err, client.ErrInvalidName) {
		return nil // the rest of them counts as of somebody else
	}
	return err
}

// addArrived adds the volumes into which the earlier Restores have written data, if claims or pods of them are there.
func (r *reader) addArrived(ctx context.Context, found *earlier, volumes []velero.Volume) error {
	made := map[string]bool{}
	for _, value := range found.makers {
		made[value] = true
	}
	for _, of := range r.request.Earlier {
		value := velero.LabelValue(of.Restore)
		if !made[value] {
			continue
		}
		arrived, err := r.arrivedVolumes(ctx, volumes, of)
		if err != nil && !errors.Is(err, migration.ErrNotInStorage) {
			return err
		}
		found.arrived[value] = arrived
	}
	return nil
}

// has reports whether the data of a volume is there by an earlier attempt.
func (e *earlier) has(v velero.Volume, mapping map[string]string) bool {
	value, ok := e.makers[v.ItemIn(mapping)]
	arrived := e.arrived[value]
	is, _ := arrived.Has(v, mapping)
	return ok && is
}
