// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// maxPreviews is how many fleets are checked at the same time.
const maxPreviews = 4

// fleetRef is a fleet on the host, with its first member.
type fleetRef struct {
	namespace, name string
	members         []corev1.ObjectReference
}

func (f fleetRef) String() string { return f.namespace + "/" + f.name }

// checkInventory checks that the host has kinds of fleets and clusters, and returns the fleets.
func (d *Doctor) checkInventory(ctx context.Context) []fleetRef {
	const check = "Inventory"
	fleets := map[string]*fleetRef{}
	add := func(namespace, name string, members ...corev1.ObjectReference) {
		if len(d.options.Namespaces) > 0 && !slices.Contains(d.options.Namespaces, namespace) {
			return
		}
		f := fleets[namespace+"/"+name]
		if f == nil {
			f = &fleetRef{namespace: namespace, name: name}
			fleets[namespace+"/"+name] = f
		}
		f.members = append(f.members, members...)
	}
	kinds := 0
	for _, kind := range []string{migration.KindFleet, migration.KindClusterProfile} {
		list, err := d.dynamic.Resource(migration.ResourceFor(kind).WithVersion("v1alpha1")).List(ctx, metav1.ListOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		kinds++
		if err != nil {
			d.add(check, kind, Skipped, "objects of the kind can't be listed: %v", err)
			continue
		}
		for i := range list.Items {
			item := &list.Items[i]
			if kind == migration.KindFleet {
				add(item.GetNamespace(), item.GetName(), membersOf(item)...)
				continue
			}
			// A Fleet has precedence over the cluster set of its name.
			set := item.GetLabels()[clusterSetLabel]
			if f := fleets[item.GetNamespace()+"/"+set]; set != "" && (f == nil || f.isSet()) {
				add(item.GetNamespace(), set, corev1.ObjectReference{Kind: kind, Name: item.GetName()})
			}
		}
	}
	var found []fleetRef
	for _, f := range fleets {
		found = append(found, *f)
	}
	slices.SortFunc(found, func(a, b fleetRef) int { return cmp.Compare(a.String(), b.String()) })
	switch {
	case kinds == 0:
		d.add(check, "host", Failed, "it has neither Kurator's Fleet nor ClusterProfile: install Kurator, make the manifests with KURATOR=0, or have a cluster manager publish ClusterProfiles")
	case len(found) == 0:
		d.add(check, "host", Warning, "it has no Fleet, and no ClusterProfile of a cluster set: create one, as artifacts/examples/clusters.yaml shows")
	default:
		var names []string
		for _, f := range found {
			names = append(names, f.String())
		}
		d.add(check, "host", OK, "it has fleets: %s", strings.Join(names, ", "))
	}
	return found
}

// clusterSetLabel has the name of the cluster set of a ClusterProfile (KEP-4322).
const clusterSetLabel = "multicluster.x-k8s.io/clusterset"

// isSet reports whether a fleet is a cluster set: it has ClusterProfiles only.
func (f *fleetRef) isSet() bool {
	return len(f.members) > 0 && f.members[0].Kind == migration.KindClusterProfile
}

func membersOf(fleet *unstructured.Unstructured) []corev1.ObjectReference {
	list, _, _ := unstructured.NestedSlice(fleet.Object, "spec", "clusters")
	var members []corev1.ObjectReference
	for _, item := range list {
		ref, _ := item.(map[string]any)
		kind, _ := ref["kind"].(string)
		name, _ := ref["name"].(string)
		members = append(members, corev1.ObjectReference{Kind: kind, Name: name})
	}
	return members
}

// checkClusters checks the clusters of each fleet, as the server sees them.
func (d *Doctor) checkClusters(ctx context.Context, fleets []fleetRef) {
	results := make([][]Finding, len(fleets))
	slots := make(chan struct{}, maxPreviews)
	var all sync.WaitGroup
	for i, f := range fleets {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			results[i] = d.checkFleet(ctx, f)
		})
	}
	all.Wait()
	for _, findings := range results {
		d.findings = append(d.findings, findings...)
	}
}

// checkFleet previews a migration of nothing from the first cluster of a fleet to all others.
func (d *Doctor) checkFleet(ctx context.Context, f fleetRef) []Finding {
	if len(f.members) < 2 {
		return []Finding{{"Clusters", f.String(), Warning, fmt.Sprintf("it has %d clusters, and a migration needs two", len(f.members))}}
	}
	preview, err := d.previews.BackupV1alpha1().MigratePreviews(f.namespace).Create(ctx, &v1alpha1.MigratePreview{
		Spec: v1alpha1.MigrateSpec{
			SourceCluster: v1alpha1.Destination{Fleet: f.name, Clusters: f.members[:1]},
			TargetCluster: v1alpha1.Destination{Fleet: f.name},
			Policy:        &v1alpha1.MigratePolicy{ResourceFilter: selectNothing()},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return []Finding{{"Clusters", f.String(), Skipped, fmt.Sprintf("its clusters can't be previewed: %v", err)}}
	}
	status := &preview.Status
	var clusters []v1alpha1.ClusterPreview
	if status.Source != nil {
		clusters = append(clusters, status.Source.ClusterPreview)
	}
	for i := range status.Targets {
		clusters = append(clusters, status.Targets[i].ClusterPreview)
	}
	var findings []Finding
	for i := range clusters {
		findings = append(findings, findingsOf(f, &clusters[i], status.Findings)...)
	}
	for _, finding := range status.Findings {
		if finding.ClusterName == "" {
			findings = append(findings, Finding{"Clusters", f.String(), resultOf(finding.Severity), finding.Reason + ": " + finding.Message})
		}
	}
	return findings
}

// selectNothing returns a filter that is cheap to survey and matches nothing.
func selectNothing() *v1alpha1.ResourceFilter {
	never := false
	return &v1alpha1.ResourceFilter{
		IncludedNamespaces: []string{metav1.NamespaceDefault}, IncludedResources: []string{"configmaps"}, IncludeClusterResources: &never,
		LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"backup.kurator.dev/doctor": "selects-nothing"}},
	}
}

// findingsOf returns what was found about one cluster.
func findingsOf(f fleetRef, c *v1alpha1.ClusterPreview, all []v1alpha1.PreviewFinding) []Finding {
	object := fmt.Sprintf("%s %s/%s", c.ClusterKind, f.namespace, c.ClusterName)
	var findings []Finding
	for _, finding := range all {
		// That it is the other cluster that is not ready is reported there.
		if finding.ClusterName != c.ClusterName || slices.Contains([]string{v1alpha1.ReasonNothingMatched, v1alpha1.ReasonNoTargetReady}, finding.Reason) {
			continue
		}
		if result := resultOf(finding.Severity); result != OK {
			findings = append(findings, Finding{"Clusters", object, result, finding.Reason + ": " + finding.Message})
		}
	}
	if len(findings) > 0 {
		return findings
	}
	parts := []string{"Kubernetes " + cmp.Or(c.KubernetesVersion, "of unknown version"), "Velero " + cmp.Or(c.VeleroVersion, "of unknown version")}
	if c.NodeAgent != nil {
		parts = append(parts, fmt.Sprintf("node-agent on %d of %d nodes", c.NodeAgent.Ready, c.NodeAgent.Desired))
	} else {
		parts = append(parts, "no node-agent, so no file-system backups")
	}
	if l := c.StorageLocation; l != nil {
		parts = append(parts, fmt.Sprintf("storage location %s (%s)", l.Name, cmp.Or(l.Sharing, l.AccessMode)))
	}
	return []Finding{{"Clusters", object, OK, strings.Join(parts, "; ")}}
}

func resultOf(severity v1alpha1.PreviewSeverity) Result {
	switch severity {
	case v1alpha1.SeverityBlocking:
		return Failed
	case v1alpha1.SeverityWarning:
		return Warning
	}
	return OK
}
