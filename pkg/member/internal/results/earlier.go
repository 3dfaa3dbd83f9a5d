// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package results

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/member/internal/client"
	"kurator.dev/migrate-apiserver/pkg/member/internal/resources"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

const (
	// clockSkew is by how much the clocks of a member's API server and its Velero may differ.
	clockSkew = 2 * time.Second
	// maxName is the length of the longest name of Kubernetes, and nameSize the memory for an object that is remembered.
	maxName, nameSize = 253, 1 << 10
)

// earlier is what is in a target by the Restores of earlier attempts.
type earlier struct {
	// restores are in the order of the attempts.
	restores []*earlierRestore
	// makers are the Restores by which claims and pods are there.
	makers map[velero.Item]*earlierRestore
}

// earlierRestore is a Restore of an earlier attempt.
type earlierRestore struct {
	migration.RestoreFiles
	// gone is true if it was deleted, and with it what it has written into volumes.
	gone bool
	// created are the items that it has created, from when it began until it ended. An object with its label that is another
	// one, older or younger was not made by it: labels can be copied, also to a claim that is empty, and Velero gives its label
	// also to what it can't change. It is nil if that is not known.
	created      *velero.Restored
	began, ended time.Time
	items        *velero.Earlier
	// arrived are the volumes into which it has written data.
	arrived velero.ArrivedVolumes
}

// readEarlier reads what is there by earlier attempts, and adds it to restored.
func (r *reader) readEarlier(ctx context.Context, restored *velero.Restored) (found earlier, err error) {
	found.makers = map[velero.Item]*earlierRestore{}
	isKnown := false
	for _, of := range r.request.Earlier {
		restore, err := r.readEarlierRestore(ctx, restored, of)
		if err != nil {
			return found, fmt.Errorf("the results of the earlier Restore %s: %w", of.Restore, err)
		}
		found.restores = append(found.restores, restore)
		isKnown = isKnown || restore.created != nil
	}
	if !isKnown {
		return found, nil
	}
	kinds := restored.Existing()
	if r.request.BackedUpVolumes != nil {
		kinds = append(kinds, velero.VolumeKinds...)
	}
	served, err := resources.Of(ctx, r.Client)
	if len(served) == 0 && err != nil { // of a kind that is not discovered, all counts as of somebody else
		return found, err
	}
	for _, resource := range served {
		if !slices.Contains(kinds, resource.ItemKind()) {
			continue
		}
		if err := r.eachLabelled(ctx, resource, func(o *metav1.PartialObjectMetadata) error { return r.addEarlier(&found, resource, o) }); err != nil {
			return found, err
		}
	}
	return found, nil
}

// readEarlierRestore reads a Restore of an earlier attempt, and adds it to restored if it is known what it did.
func (r *reader) readEarlierRestore(ctx context.Context, restored *velero.Restored, of migration.RestoreFiles) (*earlierRestore, error) {
	found := &earlierRestore{RestoreFiles: of}
	restore, err := client.Do(ctx, r.Client, fmt.Sprintf("get restore %q", of.Restore), func(ctx context.Context, conn *client.Connection) (*velerov1.Restore, error) {
		return conn.Restores.Get(ctx, of.Restore, metav1.GetOptions{})
	})
	if apierrors.IsNotFound(err) {
		found.gone = true
		return found, nil
	} else if err != nil {
		return nil, err
	}
	s := restore.Status
	if s.Phase != velerov1.RestorePhaseCompleted && s.Phase != velerov1.RestorePhasePartiallyFailed || s.StartTimestamp == nil || s.CompletionTimestamp == nil {
		return found, nil
	}
	var results velero.Results
	if s.Phase == velerov1.RestorePhasePartiallyFailed || s.Errors+s.Warnings > 0 {
		err = r.download(ctx, of.Results, func(file io.Reader) (err error) {
			results, err = velero.ReadResults(file, r.use)
			return err
		})
	}
	var created *velero.Restored
	if err == nil {
		err = r.download(ctx, of.Items, func(file io.Reader) (err error) {
			created, err = velero.ReadRestored(file, r.use)
			return err
		})
	}
	if errors.Is(err, migration.ErrNotInStorage) {
		return found, nil
	}
	if err == nil {
		err = r.use(results.Size())
	}
	found.created, found.began, found.ended, found.items = created, s.StartTimestamp.Time, s.CompletionTimestamp.Time, restored.AddEarlier(results)
	return found, err
}

// eachLabelled calls f for each object of a resource that has the label of a Restore of the Migrate, as far as they may be read. A
// later Restore gives its label also to objects that it can't change.
func (r *reader) eachLabelled(ctx context.Context, resource velero.Resource, f func(*metav1.PartialObjectMetadata) error) error {
	names := []string{r.request.Restore}
	for _, restore := range r.request.Earlier {
		names = append(names, restore.Restore)
	}
	all := client.Collection{Resource: resource.GroupVersionResource(), MetadataOnly: true}
	err := client.Each(ctx, r.Client, all, metav1.ListOptions{Limit: pageSize, LabelSelector: velero.RestoredBy(names...)}, maxPages, f)
	if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) || errors.As(err, new(client.TooManyError)) || errors.Is(err, client.ErrInvalidName) {
		return nil // the rest of them counts as of somebody else
	}
	return err
}

// addEarlier adds an object, if it was made by one of the Restores.
func (r *reader) addEarlier(found *earlier, resource velero.Resource, o *metav1.PartialObjectMetadata) error {
	if len(o.Name) > maxName || len(o.Namespace) > maxName {
		return nil
	}
	item := velero.Item{Kind: resource.ItemKind(), Namespace: o.Namespace, Name: o.Name}
	i := slices.IndexFunc(found.restores, func(e *earlierRestore) bool { return e.made(item, o.CreationTimestamp.Time) })
	if i < 0 {
		return nil
	}
	if slices.Contains(velero.VolumeKinds, item.Kind) {
		if err := r.use(nameSize); err != nil {
			return err
		}
		found.makers[item] = found.restores[i]
	}
	return found.restores[i].items.Add(item)
}

// made reports whether the Restore has made an object, which was created at a time.
func (e *earlierRestore) made(item velero.Item, at time.Time) bool {
	return e.created != nil && e.created.Created(item) && !at.Before(e.began.Add(-clockSkew)) && !at.After(e.ended.Add(clockSkew))
}

// readArrived reads the volumes into which the earlier Restores have written data.
func (r *reader) readArrived(ctx context.Context, found earlier, volumes []velero.Volume) error {
	for _, restore := range found.restores {
		arrived, err := r.arrivedVolumes(ctx, volumes, restore.RestoreFiles, restore.created != nil)
		if err != nil && !errors.Is(err, migration.ErrNotInStorage) {
			return err
		}
		restore.arrived = arrived
	}
	return nil
}

// has reports whether the data of a volume is there by an earlier attempt: the last one that wrote it, into the claim that is there. An
// emptyDir ends with its pod, so that its data has arrived once it was written.
func (e earlier) has(v velero.Volume, mapping map[string]string) bool {
	maker := 0
	if v.Claim != (velero.Claim{}) || v.PodVolume == (velero.PodVolume{}) {
		maker = slices.Index(e.restores, e.makers[v.ItemIn(mapping)])
	}
	for i := len(e.restores) - 1; maker >= 0 && i >= maker; i-- {
		restore := e.restores[i]
		if is, _ := restore.arrived.Has(v, mapping); is || restore.gone || restore.arrived.HasBegun(v, mapping) {
			return is
		}
	}
	return false
}
