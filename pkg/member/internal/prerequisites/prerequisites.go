// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package prerequisites determines what a Migrate needs in a member and is missing there. What can't be
// determined, for example for lack of permission, does not count as missing.
//
// It is used by package member, and imports nothing of ours but client, migration, velero and the API.
package prerequisites

import (
	"context"
	"errors"
	"fmt"
	"slices"

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

// Check returns which of the prerequisites the member lacks.
func Check(ctx context.Context, c *client.Client, needed migration.Prerequisites) migration.Missing {
	var missing migration.Missing
	if needed.NodeAgent {
		missing.NodeAgent = checkNodeAgent(ctx, c)
	}
	if needed.SnapshotClass {
		missing.SnapshotClass = lacksSnapshotClass(ctx, c)
	}
	if needed.UsedClaims != nil {
		setUnused(ctx, c, *needed.UsedClaims, &missing)
	}
	for _, class := range needed.StorageClasses {
		_, err := client.Get(ctx, c, storageClasses, class)
		if apierrors.IsNotFound(err) {
			missing.StorageClasses = append(missing.StorageClasses, class)
		}
	}
	return missing
}

// claims is the resource of PersistentVolumeClaims.
var claims = velero.Resource{Name: "persistentvolumeclaims", Kind: "PersistentVolumeClaim", Singular: "persistentvolumeclaim", ShortNames: []string{"pvc"}, Namespaced: true}

const (
	// pageSize is the number of objects in a page, maxPages how many pages are read, maxClasses how
	// many StorageClasses of claims are considered, and maxUnused how many unused claims are named.
	pageSize, maxPages, maxClasses, maxUnused = 500, 20, 64, 3
)

// ClaimClasses returns the StorageClasses of the claims that a filter selects, sorted. The class of a claim
// that was bound by hand may not exist; such a class is omitted, and so is what can't be read.
func ClaimClasses(ctx context.Context, c *client.Client, filter v1alpha1.ResourceFilter) []string {
	if !velero.IncludesResource(filter, claims) {
		return nil
	}
	found := sets.New[string]()
	_ = eachSelected(ctx, c, filter, claims.Name, func(claim *claim) {
		if class := claim.Spec.StorageClassName; class != "" && len(found) < maxClasses && velero.IncludesLabels(filter, claim.Labels) {
			found.Insert(class)
		}
	})
	return slices.DeleteFunc(sets.List(found), func(class string) bool {
		_, err := client.Get(ctx, c, storageClasses, class)
		return err != nil
	})
}

// setUnused sets which bound claims that a filter selects no running pod uses. It sets none if the claims
// or the pods can't all be read.
func setUnused(ctx context.Context, c *client.Client, filter v1alpha1.ResourceFilter, missing *migration.Missing) {
	if !velero.IncludesResource(filter, claims) {
		return
	}
	used := sets.New[string]()
	err := eachSelected(ctx, c, filter, "pods", func(pod *pod) {
		for _, v := range pod.Spec.Volumes {
			if pod.Status.Phase == corev1.PodRunning && v.PersistentVolumeClaim != nil {
				used.Insert(pod.Namespace + "/" + v.PersistentVolumeClaim.ClaimName)
			}
		}
	})
	if err != nil {
		return
	}
	var unused []string
	err = eachSelected(ctx, c, filter, claims.Name, func(claim *claim) {
		name := claim.Namespace + "/" + claim.Name
		if claim.Status.Phase == corev1.ClaimBound && !used.Has(name) && velero.IncludesLabels(filter, claim.Labels) {
			unused = append(unused, name)
		}
	})
	if err == nil {
		slices.Sort(unused)
		missing.Unused, missing.UnusedTotal = unused[:min(len(unused), maxUnused)], int64(len(unused))
	}
}

// eachSelected calls f for each object of a resource in the namespaces that a filter selects.
func eachSelected[T any, O interface {
	*T
	metav1.Object
}](ctx context.Context, c *client.Client, filter v1alpha1.ResourceFilter, resource string, f func(O)) error {
	in := []client.Collection{{}}
	if velero.ListsNamespaces(filter) {
		in = nil
		for _, namespace := range filter.IncludedNamespaces {
			in = append(in, client.Collection{}.In(namespace))
		}
	}
	for _, objects := range in {
		objects.Resource = corev1.SchemeGroupVersion.WithResource(resource)
		if err := client.Each(ctx, c, objects, metav1.ListOptions{Limit: pageSize}, maxPages, func(object *T) error {
			if velero.IncludesNamespace(filter, O(object).GetNamespace()) {
				f(object)
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
			PersistentVolumeClaim *struct {
				ClaimName string `json:"claimName"`
			} `json:"persistentVolumeClaim"`
		} `json:"volumes"`
	} `json:"spec"`
	Status struct {
		Phase corev1.PodPhase `json:"phase"`
	} `json:"status"`
}

var storageClasses = client.Collection{Resource: storagev1.SchemeGroupVersion.WithResource("storageclasses")}

// checkNodeAgent returns why node-agent does not run; empty if it does.
func checkNodeAgent(ctx context.Context, c *client.Client) string {
	daemonSets := client.Collection{Resource: appsv1.SchemeGroupVersion.WithResource("daemonsets"), InVelero: true}
	var found struct {
		Status struct {
			Desired int `json:"desiredNumberScheduled"`
			Ready   int `json:"numberReady"`
		} `json:"status"`
	}
	switch err := client.GetInto(ctx, c, daemonSets, nodeAgent, &found); {
	case apierrors.IsNotFound(err):
		return fmt.Sprintf("is not installed: there is no DaemonSet %s in namespace %s", nodeAgent, c.VeleroNamespace())
	case err != nil:
		return ""
	case found.Status.Ready == 0:
		return fmt.Sprintf("is ready on none of %d nodes", found.Status.Desired)
	}
	return ""
}

// lacksSnapshotClass reports whether there is no VolumeSnapshotClass.
func lacksSnapshotClass(ctx context.Context, c *client.Client) bool {
	classes := client.Collection{
		Resource:     schema.GroupVersionResource{Group: "snapshot.storage.k8s.io", Version: "v1", Resource: "volumesnapshotclasses"},
		MetadataOnly: true,
	}
	var page metav1.PartialObjectMetadataList
	err := client.ListInto(ctx, c, classes, metav1.ListOptions{Limit: 1}, &page)
	isNotServed := apierrors.IsNotFound(err) || errors.Is(err, client.ErrVeleroNotInstalled) // how Do reports any resource that is not served
	return isNotServed || err == nil && len(page.Items) == 0
}
