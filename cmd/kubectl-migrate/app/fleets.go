// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

var (
	fleetResource   = schema.GroupVersionResource{Group: "fleet.kurator.dev", Version: "v1alpha1", Resource: "fleets"}
	profileResource = schema.GroupVersionResource{Group: "multicluster.x-k8s.io", Version: "v1alpha1", Resource: "clusterprofiles"}
)

// clusterSetLabel is the label of a ClusterProfile with the name of its cluster set.
const clusterSetLabel = "multicluster.x-k8s.io/clusterset"

// fleets are those of the namespace. Each is read once.
type fleets struct {
	host *host
	read map[string][]corev1.ObjectReference
}

func (f *fleets) resource(of schema.GroupVersionResource) (dynamic.ResourceInterface, string, error) {
	namespace, err := f.host.namespace()
	if err != nil {
		return nil, "", err
	}
	client, err := f.host.dynamic()
	if err != nil {
		return nil, "", err
	}
	return client.Resource(of).Namespace(namespace), namespace, nil
}

// names returns the names of all Fleets.
func (f *fleets) names(ctx context.Context) (names []string, namespace string, err error) {
	client, namespace, err := f.resource(fleetResource)
	if err != nil {
		return nil, "", err
	}
	list, err := client.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, namespace, err
	}
	for _, fleet := range list.Items {
		names = append(names, fleet.GetName())
	}
	return names, namespace, nil
}

// orOnly returns fleet, or the name of the only Fleet if it is empty.
func (f *fleets) orOnly(ctx context.Context, fleet string) (string, error) {
	if fleet != "" {
		return fleet, nil
	}
	names, namespace, err := f.names(ctx)
	if err != nil {
		return "", fmt.Errorf("without --fleet, the Fleets of the namespace are read: %w. With --fleet and clusters as KIND/NAME, none is", err)
	}
	if len(names) != 1 {
		return "", fmt.Errorf("--fleet is required, because namespace %s does not have exactly one Fleet; it has %s", namespace, list(names))
	}
	return names[0], nil
}

// members returns the clusters of a Fleet, or else of a set of ClusterProfiles.
func (f *fleets) members(ctx context.Context, fleet string) ([]corev1.ObjectReference, error) {
	if members, ok := f.read[fleet]; ok {
		return members, nil
	}
	members, err := f.membersOfFleet(ctx, fleet)
	if err != nil {
		var profilesErr error
		if members, profilesErr = f.profiles(ctx, fleet); profilesErr != nil || len(members) == 0 {
			return nil, err
		}
	}
	if f.read == nil {
		f.read = map[string][]corev1.ObjectReference{}
	}
	f.read[fleet] = members
	return members, nil
}

func (f *fleets) membersOfFleet(ctx context.Context, name string) ([]corev1.ObjectReference, error) {
	client, _, err := f.resource(fleetResource)
	if err != nil {
		return nil, err
	}
	object, err := client.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	var fleet struct {
		Spec struct {
			Clusters []corev1.ObjectReference `json:"clusters"`
		} `json:"spec"`
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &fleet); err != nil {
		return nil, fmt.Errorf("fleet %s: %w", name, err)
	}
	for i := range fleet.Spec.Clusters {
		// As Kurator reads it.
		if fleet.Spec.Clusters[i].Kind == "" {
			fleet.Spec.Clusters[i].Kind = "Cluster"
		}
	}
	return fleet.Spec.Clusters, nil
}

func (f *fleets) profiles(ctx context.Context, set string) (members []corev1.ObjectReference, err error) {
	client, _, err := f.resource(profileResource)
	if err != nil {
		return nil, err
	}
	list, err := client.List(ctx, metav1.ListOptions{LabelSelector: clusterSetLabel + "=" + set})
	if err != nil {
		return nil, err
	}
	return members, list.EachListItem(func(object runtime.Object) error {
		members = append(members, corev1.ObjectReference{Kind: "ClusterProfile", Name: object.(*unstructured.Unstructured).GetName()})
		return nil
	})
}
