// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package prerequisites determines whether a member has what a Migrate needs there. What can't be
// determined, for example for lack of permission, does not count as missing.
//
// It is used by package member, and imports nothing of ours but client, migration, velero and the API.
package prerequisites

import (
	"context"
	"errors"
	"fmt"
	"slices"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/member/internal/client"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// nodeAgent is the name of the DaemonSet: pkg/nodeagent of Velero v1.18.3.
const nodeAgent = "node-agent"

const (
	// pageSize is the number of objects in a page, and maxPages how many pages are read.
	pageSize, maxPages = 500, 4
	// maxClasses is how many StorageClasses of claims are considered, and maxUnused how many unused
	// claims are named.
	maxClasses, maxUnused = 64, 3
)

var (
	claims = velero.Resource{Name: "persistentvolumeclaims", Kind: "PersistentVolumeClaim", Singular: "persistentvolumeclaim", ShortNames: []string{"pvc"}, Namespaced: true}
	pods   = velero.Resource{Name: "pods", Kind: "Pod", Singular: "pod", ShortNames: []string{"po"}, Namespaced: true}
)

// Check returns which of the prerequisites the member has. An error is temporary, and then something may
// be unknown.
func Check(ctx context.Context, c *client.Client, needed migration.Prerequisites) (checked migration.Checked, err error) {
	if needed.NodeAgent {
		checked.NodeAgent, err = checkNodeAgent(ctx, c)
	}
	if needed.Fields != nil {
		dropped, fieldsErr := droppedFields(ctx, c, needed)
		checked.DroppedFields, err = dropped, errors.Join(err, fieldsErr)
	}
	if needed.SnapshotClass {
		lacks, snapshotErr := lacksSnapshotClass(ctx, c)
		checked.NoSnapshotClass, err = lacks, errors.Join(err, snapshotErr)
	}
	if needed.Claims != nil {
		err = errors.Join(err, checkClaims(ctx, c, needed, &checked))
	}
	if needed.StorageClasses {
		existing, classErr := existingClasses(ctx, c)
		checked.StorageClasses, err = existing, errors.Join(err, classErr)
	}
	return checked, err
}

// droppedFields returns the fields that the definitions of Velero don't have: by a dry run, which needs no more than the permission to
// create.
func droppedFields(ctx context.Context, c *client.Client, needed migration.Prerequisites) ([]string, error) {
	sample, err := velero.NewSample(needed.Fields, needed.Source)
	if err != nil {
		return nil, err
	}
	resource := "restores"
	if needed.Source {
		resource = "backups"
	}
	objects := client.Collection{Resource: velerov1.SchemeGroupVersion.WithResource(resource), InVelero: true}
	stored, err := client.DryRunCreate(ctx, c, objects, sample)
	if refused := apierrors.APIStatus(nil); errors.As(err, &refused) && !apierrors.IsServerTimeout(err) && !apierrors.IsTooManyRequests(err) && !apierrors.IsInternalError(err) {
		return nil, nil // the Backup or Restore itself will tell it
	} else if err != nil {
		return nil, err
	}
	return velero.DroppedFields(sample, stored)
}

// temporary returns nil for an error that a later check would have too: something may not be read, or is
// too much.
func temporary(err error) error {
	if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) || errors.As(err, new(client.TooManyError)) || errors.Is(err, client.ErrInvalidName) {
		return nil
	}
	return err
}

// checkClaims sets the StorageClasses of the claims that are migrated and, if it matters, which of them no
// running pod of the Backup uses. It sets what it can read.
func checkClaims(ctx context.Context, c *client.Client, needed migration.Prerequisites, checked *migration.Checked) error {
	filter := *needed.Claims
	if !velero.IncludesResource(filter, claims) {
		return nil
	}
	used := sets.New[string]()
	var podsErr error
	if needed.UsedOnly && velero.IncludesResource(filter, pods) {
		podsErr = eachSelected(ctx, c, filter, pods, func(pod *pod) { used.Insert(pod.claims()...) })
	}
	classes := sets.New[string]()
	var unused []string
	err := eachSelected(ctx, c, filter, claims, func(claim *claim) {
		if class := claim.Spec.StorageClassName; class != "" && len(classes) < maxClasses {
			classes.Insert(class)
		}
		if name := claim.Namespace + "/" + claim.Name; claim.Status.Phase == corev1.ClaimBound && !used.Has(name) {
			unused = append(unused, name)
		}
	})
	if err != nil {
		return errors.Join(temporary(err), temporary(podsErr))
	}
	if needed.UsedOnly && podsErr == nil {
		slices.Sort(unused)
		checked.Unused, checked.UnusedTotal = unused[:min(len(unused), maxUnused)], int64(len(unused))
	}
	// The class of a claim that was bound by hand may not exist.
	existing, err := existingClasses(ctx, c)
	checked.ClaimClasses = sets.List(classes.Intersection(existing))
	return errors.Join(temporary(podsErr), err)
}

// eachSelected calls f for each object of a resource that a filter selects by its namespace and labels.
func eachSelected[T any, O interface {
	*T
	metav1.Object
}](ctx context.Context, c *client.Client, filter v1alpha1.ResourceFilter, resource velero.Resource, f func(O)) error {
	in := []client.Collection{{}}
	if velero.ListsNamespaces(filter) {
		in = nil
		for _, namespace := range filter.IncludedNamespaces {
			in = append(in, client.Collection{}.In(namespace))
		}
	}
	for _, objects := range in {
		objects.Resource = corev1.SchemeGroupVersion.WithResource(resource.Name)
		if err := client.Each(ctx, c, objects, metav1.ListOptions{Limit: pageSize}, maxPages, func(object *T) error {
			if o := O(object); velero.IncludesNamespace(filter, o.GetNamespace()) && velero.IncludesLabels(filter, o.GetLabels()) {
				f(o)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// claim has the fields of a PersistentVolumeClaim that matter here.
type claim struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		StorageClassName string `json:"storageClassName"`
	} `json:"spec"`
	Status struct {
		Phase corev1.PersistentVolumeClaimPhase `json:"phase"`
	} `json:"status"`
}

// pod has the fields of a Pod that matter here.
type pod struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Volumes []struct {
			Name                  string `json:"name"`
			PersistentVolumeClaim *struct {
				ClaimName string `json:"claimName"`
			} `json:"persistentVolumeClaim"`
			Ephemeral *struct{} `json:"ephemeral"`
		} `json:"volumes"`
	} `json:"spec"`
	Status struct {
		Phase corev1.PodPhase `json:"phase"`
	} `json:"status"`
}

// claims returns the claims that a running pod uses, as NAMESPACE/NAME. That of an ephemeral volume has
// the names of both.
func (p *pod) claims() (names []string) {
	if p.Status.Phase != corev1.PodRunning {
		return nil
	}
	for _, v := range p.Spec.Volumes {
		switch {
		case v.PersistentVolumeClaim != nil:
			names = append(names, p.Namespace+"/"+v.PersistentVolumeClaim.ClaimName)
		case v.Ephemeral != nil:
			names = append(names, p.Namespace+"/"+p.Name+"-"+v.Name)
		}
	}
	return names
}

// existingClasses returns the names of the StorageClasses; nil if they can't all be read.
func existingClasses(ctx context.Context, c *client.Client) (sets.Set[string], error) {
	names := sets.New[string]()
	all := client.Collection{Resource: storagev1.SchemeGroupVersion.WithResource("storageclasses"), MetadataOnly: true}
	err := client.Each(ctx, c, all, metav1.ListOptions{Limit: pageSize}, maxPages, func(class *metav1.PartialObjectMetadata) error {
		names.Insert(class.Name)
		return nil
	})
	if err != nil {
		return nil, temporary(err)
	}
	return names, nil
}

// checkNodeAgent returns why node-agent does not run; empty if it does, or if that can't be read.
func checkNodeAgent(ctx context.Context, c *client.Client) (string, error) {
	daemonSets := client.Collection{Resource: appsv1.SchemeGroupVersion.WithResource("daemonsets"), InVelero: true}
	var found struct {
		Status struct {
			Desired int `json:"desiredNumberScheduled"`
			Ready   int `json:"numberReady"`
		} `json:"status"`
	}
	switch err := client.GetInto(ctx, c, daemonSets, nodeAgent, &found); {
	case apierrors.IsNotFound(err):
		return fmt.Sprintf("is not installed: there is no DaemonSet %s in namespace %s", nodeAgent, c.VeleroNamespace()), nil
	case err != nil:
		return "", temporary(err)
	case found.Status.Ready == 0:
		return fmt.Sprintf("is ready on none of %d nodes", found.Status.Desired), nil
	}
	return "", nil
}

// lacksSnapshotClass reports whether there is no VolumeSnapshotClass.
func lacksSnapshotClass(ctx context.Context, c *client.Client) (bool, error) {
	classes := client.Collection{
		Resource:     schema.GroupVersionResource{Group: "snapshot.storage.k8s.io", Version: "v1", Resource: "volumesnapshotclasses"},
		MetadataOnly: true,
	}
	var page metav1.PartialObjectMetadataList
	err := client.ListInto(ctx, c, classes, metav1.ListOptions{Limit: 1}, &page)
	if apierrors.IsNotFound(err) || errors.Is(err, client.ErrVeleroNotInstalled) { // how Do reports any resource that is not served
		return true, nil
	}
	return err == nil && len(page.Items) == 0, temporary(err)
}
