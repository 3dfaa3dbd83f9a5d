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

// earlierRestore is a Restore of an earlier attempt whose results are known.
type earlierRestore struct {
	migration.RestoreFiles
	// began and ended are when it did. An object with its label that is older or younger was not made by it: labels
	// can be copied, also to a claim that is empty.
	began, ended time.Time
	items        *velero.Earlier
	// arrived are the volumes into which it has written data.
	arrived velero.ArrivedVolumes
}

// readEarlier reads what is there by earlier attempts, and adds it to restored.
func (r *reader) readEarlier(ctx context.Context, restored *velero.Restored) (found earlier, err error) {
	found.makers = map[velero.Item]*earlierRestore{}
	for _, of := range r.request.Earlier {
		restore, err := r.readEarlierRestore(ctx, restored, of)
		if err != nil {
			return found, fmt.Errorf("the results of the earlier Restore %s: %w", of.Restore, err)
		}
		if restore != nil {
			found.restores = append(found.restores, restore)
		}
	}
	if len(found.restores) == 0 {
		return found, nil
	}
	kinds := restored.Existing(r.request.Status != nil)
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

// readEarlierRestore reads a Restore of an earlier attempt; nil if it is gone, or its results are, so that it is not known what it
// did. It adds it to restored.
func (r *reader) readEarlierRestore(ctx context.Context, restored *velero.Restored, of migration.RestoreFiles) (*earlierRestore, error) {
	restore, err := client.Do(ctx, r.Client, fmt.Sprintf("get restore %q", of.Restore), func(ctx context.Context, conn *client.Connection) (*velerov1.Restore, error) {
		return conn.Restores.Get(ctx, of.Restore, metav1.GetOptions{})
	})
	if apierrors.IsNotFound(err) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	s := restore.Status
	if s.Phase != velerov1.RestorePhaseCompleted && s.Phase != velerov1.RestorePhasePartiallyFailed || s.StartTimestamp == nil || s.CompletionTimestamp == nil {
		return nil, nil
	}
	var results velero.Results
	if s.Phase == velerov1.RestorePhasePartiallyFailed || s.Errors+s.Warnings > 0 {
		err := r.download(ctx, of.Results, func(file io.Reader) (err error) {
			results, err = velero.ReadResults(file, r.use)
			return err
		})
		if errors.Is(err, migration.ErrNotInStorage) {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
	}
	if err := r.use(results.Size()); err != nil {
		return nil, err
	}
	return &earlierRestore{RestoreFiles: of, began: s.StartTimestamp.Time, ended: s.CompletionTimestamp.Time, items: restored.AddEarlier(results)}, nil
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
	i := slices.IndexFunc(found.restores, func(e *earlierRestore) bool { return e.made(o) })
	if i < 0 || len(o.Name) > maxName || len(o.Namespace) > maxName {
		return nil
	}
	item := velero.Item{Kind: resource.ItemKind(), Namespace: o.Namespace, Name: o.Name}
	if slices.Contains(velero.VolumeKinds, item.Kind) {
		if err := r.use(nameSize); err != nil {
			return err
		}
		found.makers[item] = found.restores[i]
	}
	return found.restores[i].items.Add(item)
}

// made reports whether the Restore has made an object that has the label of one.
func (e *earlierRestore) made(o *metav1.PartialObjectMetadata) bool {
	at := o.CreationTimestamp.Time
	return !at.Before(e.began.Add(-clockSkew)) && !at.After(e.ended.Add(clockSkew))
}

// readArrived reads the volumes into which the earlier Restores have written data, if claims or pods of them are there.
func (r *reader) readArrived(ctx context.Context, found earlier, volumes []velero.Volume) error {
	if len(found.makers) == 0 {
		return nil
	}
	for _, restore := range found.restores {
		arrived, err := r.arrivedVolumes(ctx, volumes, restore.RestoreFiles)
		if err != nil && !errors.Is(err, migration.ErrNotInStorage) {
			return err
		}
		restore.arrived = arrived
	}
	return nil
}

// has reports whether the data of a volume is there by an earlier attempt: the last one that wrote it, into the claim or pod that is
// there.
func (e earlier) has(v velero.Volume, mapping map[string]string) bool {
	maker := slices.Index(e.restores, e.makers[v.ItemIn(mapping)])
	for i := len(e.restores) - 1; maker >= 0 && i >= maker; i-- {
		if is, _ := e.restores[i].arrived.Has(v, mapping); is || e.restores[i].arrived.HasBegun(v, mapping) {
			return is
		}
	}
	return false
}
