// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package resources discovers the resources that a member serves.
//
// It is used by package member and its packages, and imports nothing of ours but client, limits and velero.
package resources

import (
	"context"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/discovery"

	"kurator.dev/migrate-apiserver/pkg/member/internal/client"
	"kurator.dev/migrate-apiserver/pkg/member/internal/limits"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

// maxGroupVersions is the largest number of API group versions that are discovered one by
// one, if the member does not serve aggregated discovery.
const maxGroupVersions = 1000

// Unknown returns those of names that the member serves no resource for. If it can't
// discover all resources, it returns an error unless it finds one for each name.
func Unknown(ctx context.Context, c *client.Client, names []string) ([]string, error) {
	found, err := Of(ctx, c)
	unknown := velero.UnknownNames(names, found)
	if len(unknown) > 0 && err != nil {
		return nil, err
	}
	return unknown, nil
}

// Of discovers the resources of the member that Velero backs up. With an error it
// returns those that it has discovered.
func Of(ctx context.Context, c *client.Client) (found []velero.Resource, err error) {
	err = discover(ctx, c, discovery.ServerPreferredResourcesWithContext, func(version schema.GroupVersion, r *metav1.APIResource) {
		if strings.Contains(r.Name, "/") || !velero.IsBackedUp(r.Verbs) {
			return
		}
		found = append(found, velero.Resource{
			Group: version.Group, Version: version.Version, Name: r.Name, Kind: r.Kind, Singular: r.SingularName, ShortNames: r.ShortNames, Namespaced: r.Namespaced,
		})
	})
	return found, err
}

// Served discovers the resources of the member in all versions. With an error it returns those that it
// has discovered.
func Served(ctx context.Context, c *client.Client) (served sets.Set[schema.GroupVersionResource], err error) {
	all := func(ctx context.Context, d discovery.DiscoveryInterfaceWithContext) ([]*metav1.APIResourceList, error) {
		_, lists, err := discovery.ServerGroupsAndResourcesWithContext(ctx, d)
		return lists, err
	}
	served = sets.New[schema.GroupVersionResource]()
	err = discover(ctx, c, all, func(version schema.GroupVersion, r *metav1.APIResource) { served.Insert(version.WithResource(r.Name)) })
	return served, err
}

// discover calls to with each resource of the lists that list returns, also if it returns an error.
func discover(
	ctx context.Context, c *client.Client, list func(context.Context, discovery.DiscoveryInterfaceWithContext) ([]*metav1.APIResourceList, error),
	to func(schema.GroupVersion, *metav1.APIResource),
) error {
	ctx = c.Allow(ctx, "the list of its resources", limits.MaxList)
	var lists []*metav1.APIResourceList
	var partial error // an aggregated API that does not answer is no fault of the member
	_, err := client.Do(ctx, c, "list the resources", func(ctx context.Context, conn *client.Connection) (any, error) {
		var err error
		lists, err = list(ctx, boundedDiscovery{discovery.NewDiscoveryClient(conn.REST)})
		if discovery.IsGroupDiscoveryFailedError(err) {
			partial, err = err, nil
		}
		return nil, err
	})
	if err == nil {
		err = partial
	}
	for _, l := range lists {
		version, err := schema.ParseGroupVersion(l.GroupVersion)
		if err != nil {
			continue
		}
		for i := range l.APIResources {
			to(version, &l.APIResources[i])
		}
	}
	return err
}

// boundedDiscovery bounds the number of API group versions that discovery requests at once if
// the member does not serve aggregated discovery.
type boundedDiscovery struct{ *discovery.DiscoveryClient }

var _ discovery.AggregatedDiscoveryInterfaceWithContext = boundedDiscovery{}

func (d boundedDiscovery) GroupsAndMaybeResourcesWithContext(ctx context.Context) (
	*metav1.APIGroupList, map[schema.GroupVersion]*metav1.APIResourceList, map[schema.GroupVersion]error, error,
) {
	groups, resources, failed, err := d.DiscoveryClient.GroupsAndMaybeResourcesWithContext(ctx)
	if err != nil || resources != nil {
		return groups, resources, failed, err
	}
	versions := 0
	for i := range groups.Groups {
		versions += len(groups.Groups[i].Versions)
	}
	if versions > maxGroupVersions {
		return nil, nil, nil, limits.Exceeded(limits.Objects, "it has more than %d versions of API groups", maxGroupVersions)
	}
	return groups, resources, failed, nil
}
