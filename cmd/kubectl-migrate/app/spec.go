// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// specFlags are the flags from which the spec of a Migrate is made. Those that Velero's CLI has, too, have its names.
type specFlags struct {
	fleet, targetFleet string
	from               string
	to                 []string

	includeNamespaces, excludeNamespaces []string
	includeResources, excludeResources   []string
	selector                             string
	mapNamespaces, mapStorageClasses     map[string]string
	volumes                              string
	existingResourcePolicy               string
	storageLocation                      string
	waitForWorkloads                     time.Duration
	suspend                              bool
}

func (f *specFlags) add(h *host, command *cobra.Command) {
	flags := command.Flags()
	flags.StringVar(&f.fleet, "fleet", "", "Fleet, or set of ClusterProfiles, of the clusters. Without it, the only Fleet of the namespace.")
	flags.StringVar(&f.targetFleet, "to-fleet", "", "Fleet of the targets, if it is not that of the source.")
	flags.StringVar(&f.from, "from", "", "Source cluster: its name, or KIND/NAME with kind AttachedCluster, Cluster or ClusterProfile. Without it, the only cluster of the fleet.")
	flags.StringSliceVar(&f.to, "to", nil, "Target clusters, as with --from. Without it, all clusters of the fleet except the source.")
	flags.StringSliceVar(&f.includeNamespaces, "include-namespaces", nil, "Namespaces of the source that are migrated. Without it, all.")
	flags.StringSliceVar(&f.excludeNamespaces, "exclude-namespaces", nil, "Namespaces of the source that are not migrated.")
	flags.StringSliceVar(&f.includeResources, "include-resources", nil, "Resources that are migrated, such as deployments.apps. Without it, all.")
	flags.StringSliceVar(&f.excludeResources, "exclude-resources", nil, "Resources that are not migrated.")
	flags.StringVarP(&f.selector, "selector", "l", "", "Labels of the objects that are migrated, as in kubectl get.")
	flags.StringToStringVar(&f.mapNamespaces, "map-namespace", nil, "Name of a namespace in the targets: SOURCE=TARGET. Can be repeated.")
	flags.StringToStringVar(&f.mapStorageClasses, "map-storage-class", nil, "StorageClass of a claim in the targets: SOURCE=TARGET. Can be repeated.")
	flags.StringVar(&f.volumes, "volumes", "", "How the data of volumes is moved: FileSystemBackup, SnapshotDataMovement or None. Without it, as the annotations of the pods and Velero in the source define it.")
	flags.StringVar(&f.existingResourcePolicy, "existing-resource-policy", "", "What is done with an object that a target has already and that differs: none or update.")
	flags.StringVar(&f.storageLocation, "storage-location", "", "BackupStorageLocation of the source. Without it, its default one.")
	flags.DurationVar(&f.waitForWorkloads, "wait-for-workloads", 0, "How long to wait until the restored workloads are ready, such as 10m. Without it, a target has ended when everything is restored.")
	flags.BoolVar(&f.suspend, "suspend", false, "Start nothing until spec.suspend is false.")
	h.completeSpecFlags(command, f)
}

// spec returns the spec that the flags say. It reads the fleet where that is needed to know the kinds of clusters.
func (f *specFlags) spec(ctx context.Context, h *host) (*v1alpha1.MigrateSpec, error) {
	inventory := &fleets{host: h}
	fleet, err := inventory.orOnly(ctx, f.fleet)
	if err != nil {
		return nil, err
	}
	spec := &v1alpha1.MigrateSpec{SourceCluster: v1alpha1.Destination{Fleet: fleet}, TargetCluster: v1alpha1.Destination{Fleet: fleet}}
	if f.targetFleet != "" {
		spec.TargetCluster.Fleet = f.targetFleet
	}
	if f.from != "" {
		if spec.SourceCluster.Clusters, err = inventory.references(ctx, fleet, "--from", []string{f.from}); err != nil {
			return nil, err
		}
	}
	if spec.TargetCluster.Clusters, err = inventory.references(ctx, spec.TargetCluster.Fleet, "--to", f.to); err != nil {
		return nil, err
	}
	if f.waitForWorkloads < 0 || f.waitForWorkloads > 0 && f.waitForWorkloads < time.Second {
		return nil, errors.New("--wait-for-workloads must be at least a second")
	}
	if f.waitForWorkloads > 0 {
		spec.WaitForWorkloads = &v1alpha1.WaitForWorkloads{TimeoutSeconds: int32(f.waitForWorkloads.Seconds())}
	}
	if f.suspend {
		spec.Suspend = &f.suspend
	}
	spec.Policy, err = f.policy()
	return spec, err
}

// policy returns the policy that the flags say, nil if they say nothing of it.
func (f *specFlags) policy() (*v1alpha1.MigratePolicy, error) {
	policy := v1alpha1.MigratePolicy{
		NamespaceMapping:       f.mapNamespaces,
		ExistingResourcePolicy: v1alpha1.ExistingResourcePolicy(f.existingResourcePolicy),
		StorageLocation:        f.storageLocation,
	}
	filter := v1alpha1.ResourceFilter{
		IncludedNamespaces: f.includeNamespaces, ExcludedNamespaces: f.excludeNamespaces,
		IncludedResources: f.includeResources, ExcludedResources: f.excludeResources,
	}
	if f.selector != "" {
		selector, err := metav1.ParseToLabelSelector(f.selector)
		if err != nil {
			return nil, fmt.Errorf("--selector %q: %w", f.selector, err)
		}
		filter.LabelSelector = selector
	}
	if !equality.Semantic.DeepEqual(filter, v1alpha1.ResourceFilter{}) {
		policy.ResourceFilter = &filter
	}
	if f.volumes != "" || len(f.mapStorageClasses) > 0 {
		policy.Volumes = &v1alpha1.VolumePolicy{Data: v1alpha1.VolumeDataPolicy(f.volumes), StorageClassMapping: f.mapStorageClasses}
	}
	if equality.Semantic.DeepEqual(policy, v1alpha1.MigratePolicy{}) {
		return nil, nil
	}
	return &policy, nil
}

// clusterKinds are the kinds of clusters, by how a user may write them.
var clusterKinds = map[string]string{"attachedcluster": "AttachedCluster", "cluster": "Cluster", "clusterprofile": "ClusterProfile"}

// references returns the references to clusters that a flag names. The kind of one that has none is that of the member of the fleet.
func (f *fleets) references(ctx context.Context, fleet, flag string, names []string) ([]corev1.ObjectReference, error) {
	var references []corev1.ObjectReference
	for _, named := range names {
		kind, name, found := strings.Cut(named, "/")
		if found {
			known, ok := clusterKinds[strings.ToLower(kind)]
			if !ok {
				return nil, fmt.Errorf("%s %s: there is no kind %q of clusters; the kinds are %s", flag, named, kind, strings.Join(slices.Sorted(maps.Values(clusterKinds)), ", "))
			}
			references = append(references, corev1.ObjectReference{Kind: known, Name: name})
			continue
		}
		members, err := f.members(ctx, fleet)
		if err != nil {
			return nil, fmt.Errorf("%s %s: the kind of the cluster can't be looked up: %w. Write KIND/%s", flag, named, err, named)
		}
		var kinds []string
		for _, member := range members {
			if member.Name == named {
				kinds = append(kinds, member.Kind)
			}
		}
		switch len(kinds) {
		case 0:
			return nil, fmt.Errorf("%s %s: fleet %s has no such cluster; it has %s", flag, named, fleet, list(namesOf(members)))
		case 1:
			references = append(references, corev1.ObjectReference{Kind: kinds[0], Name: named})
		default:
			return nil, fmt.Errorf("%s %s: fleet %s has more than one cluster with that name; write %s/%s", flag, named, fleet, strings.Join(kinds, "/"+named+" or "), named)
		}
	}
	return references, nil
}

func namesOf(members []corev1.ObjectReference) []string {
	var names []string
	for _, member := range members {
		names = append(names, member.Name)
	}
	return names
}

// list returns names for a sentence.
func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
