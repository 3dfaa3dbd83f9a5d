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
	"kurator.dev/migrate-apiserver/pkg/fleet"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// maxPreviews is how many fleets are checked at the same time.
const maxPreviews = 4

// fleetRef is a fleet on the host, with its clusters.
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
	kinds, unread := 0, 0
	for _, kind := range []string{migration.KindFleet, migration.KindClusterProfile} {
		list, err := d.dynamic.Resource(migration.ResourceFor(kind).WithVersion("v1alpha1")).List(ctx, metav1.ListOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		kinds++
		if err != nil {
			unread++
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
			set := item.GetLabels()[fleet.ClusterSetLabel]
			if f := fleets[item.GetNamespace()+"/"+set]; set != "" && (f == nil || f.isSet()) {
				add(item.GetNamespace(), set, corev1.ObjectReference{Kind: kind, Name: item.GetName()})
			}
		}
	}
	var found []fleetRef
	for _, f := range fleets {
		if len(f.members) == 0 {
			d.add(check, f.String(), Warning, "it has no clusters")
			continue
		}
		found = append(found, *f)
	}
	slices.SortFunc(found, func(a, b fleetRef) int { return cmp.Compare(a.String(), b.String()) })
	switch {
	case kinds == 0:
		d.add(check, "host", Failed, "it has neither Kurator's Fleet nor ClusterProfile: install Kurator, make the manifests with KURATOR=0, or have a cluster manager publish ClusterProfiles")
	case len(found) == 0 && unread > 0: // nothing is known
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

// isSet reports whether a fleet is a cluster set: it has ClusterProfiles only.
func (f *fleetRef) isSet() bool {
	return len(f.members) > 0 && f.members[0].Kind == migration.KindClusterProfile
}

func membersOf(u *unstructured.Unstructured) []corev1.ObjectReference {
	var members []corev1.ObjectReference
	for _, c := range fleet.Members(u) {
		members = append(members, corev1.ObjectReference{Kind: c.Kind, Name: c.Name})
	}
	return members
}

// served returns those fleets whose namespaces the server serves, by its flag --namespaces.
func (d *Doctor) served(ctx context.Context, fleets []fleetRef) []fleetRef {
	namespaces := d.namespacesFlag(ctx)
	if len(namespaces) == 0 {
		return fleets
	}
	return slices.DeleteFunc(fleets, func(f fleetRef) bool {
		if slices.Contains(namespaces, f.namespace) {
			return false
		}
		d.add("Clusters", f.String(), Skipped, "the server does not serve namespace %s: its flag --namespaces is %s", f.namespace, strings.Join(namespaces, ","))
		return true
	})
}

// namespacesFlag returns the value of --namespaces of the server; nothing if it has none, or can't be read.
func (d *Doctor) namespacesFlag(ctx context.Context) []string {
	var pod *corev1.PodSpec
	if set, err := d.kube.AppsV1().StatefulSets(d.options.Namespace).Get(ctx, d.options.ServiceAccount, metav1.GetOptions{}); err == nil {
		pod = &set.Spec.Template.Spec
	} else if deployment, err := d.kube.AppsV1().Deployments(d.options.Namespace).Get(ctx, d.options.ServiceAccount, metav1.GetOptions{}); err == nil {
		pod = &deployment.Spec.Template.Spec
	} else {
		return nil
	}
	for _, container := range pod.Containers {
		for _, arg := range container.Args {
			if value, ok := strings.CutPrefix(arg, "--namespaces="); ok && value != "" {
				return strings.Split(value, ",")
			}
		}
	}
	return nil
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
			results[i] = d.checkFleet(ctx, f, partner(f, fleets))
		})
	}
	all.Wait()
	for _, findings := range results {
		d.findings = append(d.findings, findings...)
	}
}

// partner returns a fleet of the same namespace with other clusters, for one that has a single cluster; nil if there is none.
func partner(f fleetRef, fleets []fleetRef) *fleetRef {
	for i := range fleets {
		if other := &fleets[i]; other.namespace == f.namespace && other.name != f.name && len(other.members) > 0 && other.members[0] != f.members[0] {
			return other
		}
	}
	return nil
}

// checkFleet previews migrations of nothing: from a cluster of a fleet to the others, some at a time.
func (d *Doctor) checkFleet(ctx context.Context, f fleetRef, partner *fleetRef) []Finding {
	targets, of := f.members[1:], f.name
	if len(targets) == 0 && partner == nil {
		return []Finding{{"Clusters", f.String(), Skipped, fmt.Sprintf("%s is the only cluster of the namespace, and a migration needs two", f.members[0].Name)}}
	}
	if len(targets) == 0 {
		targets, of = partner.members[:1], partner.name
	}
	var all []Finding
	seen := map[string]bool{}
	add := func(object string, findings []Finding) {
		if !seen[object] {
			seen[object] = true
			all = append(all, findings...)
		}
	}
	source := f.members[0]
	for len(targets) > 0 {
		some, left := targets[:min(len(targets), maxTargets)], targets[min(len(targets), maxTargets):]
		clusters, findings := d.preview(ctx, f, source, v1alpha1.Destination{Fleet: of, Clusters: some})
		targets = left
		// Where the source can't be used the server does not look at the targets: the next one is the source then.
		if len(clusters) > 0 && !clusters[0].Reachable && len(some) > 1 {
			source, targets = some[0], slices.Concat(some[1:], left)
			clusters = clusters[:1]
		}
		for i := range clusters {
			object := objectOf(f, &clusters[i])
			add(object, findingsOf(object, &clusters[i], findings))
		}
		add(f.String(), slices.DeleteFunc(findings, func(finding Finding) bool { return finding.Object != f.String() || finding.Result == OK }))
		if len(clusters) == 0 {
			break
		}
	}
	return all
}

// maxTargets is how many targets a preview has, so that none of its findings are left out.
const maxTargets = 20

// preview returns the clusters of a preview, the source first, and what was found about them, by name, or about the fleet.
func (d *Doctor) preview(ctx context.Context, f fleetRef, source corev1.ObjectReference, targets v1alpha1.Destination) ([]v1alpha1.ClusterPreview, []Finding) {
	preview, err := d.previews.BackupV1alpha1().MigratePreviews(f.namespace).Create(ctx, &v1alpha1.MigratePreview{
		Spec: v1alpha1.MigrateSpec{
			SourceCluster: v1alpha1.Destination{Fleet: f.name, Clusters: []corev1.ObjectReference{source}},
			TargetCluster: targets,
			Policy:        &v1alpha1.MigratePolicy{ResourceFilter: selectNothing()},
		},
	}, metav1.CreateOptions{})
	if apierrors.IsForbidden(err) {
		return nil, []Finding{{"Clusters", f.String(), Skipped, fmt.Sprintf("you may not preview migrations of its clusters: %v", err)}}
	}
	if err != nil {
		return nil, []Finding{{"Clusters", f.String(), Failed, fmt.Sprintf("its clusters can't be previewed: %v", err)}}
	}
	status := &preview.Status
	var findings []Finding
	for _, finding := range status.Findings {
		findings = append(findings, Finding{"Clusters", cmp.Or(finding.ClusterName, f.String()), resultOf(finding), finding.Reason + ": " + finding.Message})
	}
	if status.Source == nil {
		return nil, findings
	}
	clusters := []v1alpha1.ClusterPreview{status.Source.ClusterPreview}
	for i := range status.Targets {
		clusters = append(clusters, status.Targets[i].ClusterPreview)
	}
	return clusters, findings
}

// selectNothing returns a filter that is cheap to survey and matches nothing.
func selectNothing() *v1alpha1.ResourceFilter {
	never := false
	return &v1alpha1.ResourceFilter{
		IncludedNamespaces: []string{metav1.NamespaceDefault}, IncludedResources: []string{"configmaps"}, IncludeClusterResources: &never,
		LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"backup.kurator.dev/doctor": "selects-nothing"}},
	}
}

func objectOf(f fleetRef, c *v1alpha1.ClusterPreview) string {
	return fmt.Sprintf("%s %s/%s", c.ClusterKind, f.namespace, c.ClusterName)
}

// findingsOf returns what was found about one cluster.
func findingsOf(object string, c *v1alpha1.ClusterPreview, all []Finding) []Finding {
	var findings []Finding
	for _, finding := range all {
		if finding.Object == c.ClusterName && finding.Result != OK {
			findings = append(findings, Finding{"Clusters", object, finding.Result, finding.Message})
		}
	}
	if c.KubernetesVersion == "" && len(findings) == 0 {
		return []Finding{{"Clusters", object, Skipped, "the server has not looked at it, because another cluster of the preview could not be used"}}
	}
	if agent := c.NodeAgent; agent != nil && agent.Ready < agent.Desired {
		findings = append(findings, Finding{"Clusters", object, Warning, fmt.Sprintf("node-agent is ready on %d of %d nodes: the data of volumes on the others is not moved", agent.Ready, agent.Desired)})
	}
	if len(findings) > 0 {
		return findings
	}
	parts := []string{"Kubernetes " + c.KubernetesVersion, "Velero " + cmp.Or(c.VeleroVersion, "of unknown version")}
	if c.NodeAgent != nil {
		parts = append(parts, fmt.Sprintf("node-agent on %d nodes", c.NodeAgent.Ready))
	} else {
		parts = append(parts, "no node-agent, so no file-system backups")
	}
	if l := c.StorageLocation; l != nil {
		parts = append(parts, fmt.Sprintf("storage location %s, %s", l.Name, sharingOf(l)))
	}
	return []Finding{{"Clusters", object, OK, strings.Join(parts, "; ")}}
}

// sharingOf returns how a location shares the storage of the source or, of the source's, its access mode.
func sharingOf(l *v1alpha1.StorageLocationPreview) string {
	if l.Sharing == "" {
		return "access mode " + l.AccessMode
	}
	return "sharing " + l.Sharing + byProof(l.Proof)
}

// byProof returns which Backup proves that a location is the storage of the source; empty if none has to.
func byProof(proof *v1alpha1.StorageProof) string {
	if proof == nil || proof.BackupName == "" {
		return ""
	}
	return ", by Backup " + proof.BackupName
}

// resultOf returns the result of a finding. That nothing is selected is meant, that another cluster is not ready is reported there,
// and what the person who asks may not do in a cluster says nothing about it.
func resultOf(finding v1alpha1.PreviewFinding) Result {
	switch finding.Reason {
	case v1alpha1.ReasonNothingMatched, v1alpha1.ReasonNoTargetReady:
		return OK
	case v1alpha1.ReasonClusterNotAuthorized, v1alpha1.ReasonAccessReviewFailed:
		return Skipped
	}
	switch finding.Severity {
	case v1alpha1.SeverityBlocking:
		return Failed
	case v1alpha1.SeverityWarning:
		return Warning
	}
	return OK
}
