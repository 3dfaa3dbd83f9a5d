// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package leftout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/member/internal/client"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

const (
	// rediscovery is how old a kind may be without being known to Velero: its server discovers the
	// resources of the API every five minutes (pkg/cmd/server/server.go of v1.18.3), which takes a
	// moment.
	rediscovery = 5*time.Minute + 10*time.Second
	// pageSize is the number of objects in a page, maxPages how many pages of definitions are read,
	// and maxYoung how many young kinds are checked.
	pageSize, maxPages, maxYoung = 500, 20, 20
)

var definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// definition has the fields of a CustomResourceDefinition that matter here.
type definition struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Group string `json:"group"`
		Names struct {
			Plural     string   `json:"plural"`
			Singular   string   `json:"singular"`
			Kind       string   `json:"kind"`
			ShortNames []string `json:"shortNames"`
		} `json:"names"`
		Scope    string `json:"scope"`
		Versions []struct {
			Name   string `json:"name"`
			Served bool   `json:"served"`
		} `json:"versions"`
	} `json:"spec"`
}

// Read returns what the filter selects and a completed Backup, whose items have kinds, does not have.
func Read(ctx context.Context, c *client.Client, backup string, filter v1alpha1.ResourceFilter, kinds sets.Set[string]) (found velero.Exceptions, err error) {
	b, err := client.Do(ctx, c, fmt.Sprintf("get backup %q", backup), func(ctx context.Context, conn *client.Connection) (*velerov1.Backup, error) {
		return conn.Backups.Get(ctx, backup, metav1.GetOptions{})
	})
	if err != nil {
		return found, err
	}
	// Velero adds the namespaces with its label to those that the Backup excludes.
	for _, namespace := range b.Spec.ExcludedNamespaces {
		if velero.IncludesNamespace(filter, namespace) && !slices.Contains(filter.ExcludedNamespaces, namespace) {
			found.Add(velero.ItemResult{
				Item: velero.Item{Kind: "Namespace", Name: namespace}, Outcome: v1alpha1.ItemLeftOut,
				Message: "it has the label " + velerov1.ExcludeFromBackupLabel + "=true, so Velero backed up none of its objects",
			})
		}
	}
	if b.Status.StartTimestamp == nil {
		return found, nil
	}
	started := b.Status.StartTimestamp.Time
	young, err := youngDefinitions(ctx, c, started)
	if err != nil {
		return found, permitted(err)
	}
	for _, crd := range young {
		resource := velero.Resource{
			Group: crd.Spec.Group, Name: crd.Spec.Names.Plural, Kind: crd.Spec.Names.Kind, Singular: crd.Spec.Names.Singular,
			ShortNames: crd.Spec.Names.ShortNames, Namespaced: crd.Spec.Scope == "Namespaced",
		}
		if kinds.Has(resource.Kind+"."+resource.Group) || !velero.IncludesResource(filter, resource) {
			continue
		}
		if has, err := hasObjects(ctx, c, crd, filter); !has || err != nil {
			if err = permitted(err); err != nil {
				return found, err
			}
			continue
		}
		found.Add(velero.ItemResult{
			Item: velero.Item{Kind: resource.String()}, Outcome: v1alpha1.ItemLeftOut,
			Message: fmt.Sprintf("it was defined %s before the Backup began, and Velero did not know it yet: it discovers resources every five minutes; recreate the Migrate",
				max(started.Sub(crd.CreationTimestamp.Time), 0).Round(time.Second)),
		})
	}
	return found, nil
}

// permitted returns nil for an error that tells of a lack of permission: the permission to read the
// source is recommended, not required.
func permitted(err error) error {
	if apierrors.IsForbidden(err) {
		return nil
	}
	return err
}

// youngDefinitions returns the CustomResourceDefinitions that Velero may not have known at a time, at
// most maxYoung. Velero knows its own, which it does not start without.
func youngDefinitions(ctx context.Context, c *client.Client, at time.Time) ([]definition, error) {
	all := client.Collection{Resource: definitions, MetadataOnly: true}
	var young []definition
	err := client.Each(ctx, c, all, metav1.ListOptions{Limit: pageSize}, maxPages, func(o *metav1.PartialObjectMetadata) error {
		// A definition's name is that of its resource and its group.
		isVeleros := strings.HasSuffix(o.Name, "."+velerov1.SchemeGroupVersion.Group)
		if isVeleros || o.CreationTimestamp.Add(rediscovery).Before(at) || len(young) == maxYoung {
			return nil
		}
		var crd definition
		err := client.GetInto(ctx, c, client.Collection{Resource: definitions}, o.Name, &crd)
		if apierrors.IsNotFound(err) || errors.Is(err, client.ErrInvalidName) {
			return nil
		}
		young = append(young, crd)
		return err
	})
	if errors.As(err, new(client.TooManyError)) {
		err = nil // the rest of them is not checked
	}
	return young, err
}

// hasObjects reports whether there is an object of a kind that the filter selects by its namespace and
// labels, among the first ones.
func hasObjects(ctx context.Context, c *client.Client, crd definition, filter v1alpha1.ResourceFilter) (bool, error) {
	for _, version := range crd.Spec.Versions {
		if !version.Served || crd.Spec.Group == "" {
			continue
		}
		resource := schema.GroupVersionResource{Group: crd.Spec.Group, Version: version.Name, Resource: crd.Spec.Names.Plural}
		var page metav1.PartialObjectMetadataList
		err := client.ListInto(ctx, c, client.Collection{Resource: resource, MetadataOnly: true}, metav1.ListOptions{Limit: pageSize}, &page)
		if errors.Is(err, client.ErrInvalidName) {
			continue
		} else if err != nil {
			return false, err
		}
		return slices.ContainsFunc(page.Items, func(o metav1.PartialObjectMetadata) bool {
			return (o.Namespace == "" || velero.IncludesNamespace(filter, o.Namespace)) && velero.IncludesLabels(filter, o.Labels)
		}), nil
	}
	return false, nil
}
