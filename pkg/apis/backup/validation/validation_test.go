// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package validation_test

import (
	"fmt"
	"math/rand"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apifuzzer "k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/fuzzer"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/validation"
)

func TestClusters(t *testing.T) {
	tests := map[string]struct {
		source, target backup.Destination
		want           []string
	}{
		"the example": {
			source: fleet("quickstart", attached("kurator-member1")),
			target: fleet("quickstart", attached("kurator-member2")),
		},
		"no clusters named": {
			source: fleet("quickstart"),
			target: fleet("quickstart"),
		},
		"an empty kind, and a name of two kinds": {
			source: fleet("quickstart", corev1.ObjectReference{Name: "a"}),
			target: fleet("quickstart", attached("a")),
		},
		"no fleets": {
			want: []string{
				`spec.sourceCluster.fleet: Required value: name the Fleet that the clusters are members of`,
				`spec.targetCluster.fleet: Required value: name the Fleet that the clusters are members of`,
			},
		},
		"an invalid name of a fleet": {
			source: fleet("Quick_Start"),
			target: fleet("quickstart"),
			want: []string{
				`spec.sourceCluster.fleet: Invalid value: "Quick_Start": is not the name of a Fleet: a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`,
			},
		},
		"a null reference": {
			source: fleet("quickstart", corev1.ObjectReference{}),
			target: fleet("quickstart", attached("b"), corev1.ObjectReference{}),
			want: []string{
				`spec.sourceCluster.clusters[0]: Required value: write kind (AttachedCluster, Cluster or ClusterProfile) and name of a cluster, or remove the entry`,
				`spec.targetCluster.clusters[1]: Required value: write kind (AttachedCluster, Cluster or ClusterProfile) and name of a cluster, or remove the entry`,
			},
		},
		"references with more than kind and name": {
			source: fleet("quickstart", corev1.ObjectReference{Kind: "Cluster", Name: "a", APIVersion: "cluster.kurator.dev/v1alpha1"}),
			target: fleet("quickstart",
				corev1.ObjectReference{Kind: "Cluster", Name: "b", APIVersion: "cluster.x-k8s.io/v1beta1"},
				corev1.ObjectReference{Kind: "Cluster", Name: "c", APIVersion: "v1"},
				corev1.ObjectReference{Kind: "Cluster", Name: "d", UID: "u", ResourceVersion: "1", FieldPath: "spec"}),
			want: []string{
				`spec.targetCluster.clusters[0].apiVersion: Invalid value: "cluster.x-k8s.io/v1beta1": API group cluster.kurator.dev has kind Cluster: remove apiVersion`,
				`spec.targetCluster.clusters[1].apiVersion: Invalid value: "v1": API group cluster.kurator.dev has kind Cluster: remove apiVersion`,
				`spec.targetCluster.clusters[2].uid: Forbidden: a cluster is identified by kind and name: remove uid`,
				`spec.targetCluster.clusters[2].resourceVersion: Forbidden: a cluster is identified by kind and name: remove resourceVersion`,
				`spec.targetCluster.clusters[2].fieldPath: Forbidden: a cluster is identified by kind and name: remove fieldPath`,
			},
		},
		"references without a name": {
			source: fleet("quickstart", attached("")),
			target: fleet("quickstart", attached("")),
			want: []string{
				`spec.sourceCluster.clusters[0].name: Required value: name the cluster`,
				`spec.targetCluster.clusters[0].name: Required value: name the cluster`,
			},
		},
		"an invalid name of a cluster": {
			source: fleet("quickstart", attached("a/../b")),
			target: fleet("quickstart"),
			want: []string{
				`spec.sourceCluster.clusters[0].name: Invalid value: "a/../b": is not the name of a cluster: a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`,
			},
		},
		"an unknown kind": {
			source: fleet("quickstart", corev1.ObjectReference{Kind: "CustomCluster", Name: "a"}),
			target: fleet("quickstart"),
			want: []string{
				`spec.sourceCluster.clusters[0].kind: Unsupported value: "CustomCluster": supported values: "AttachedCluster", "Cluster", "ClusterProfile"`,
			},
		},
		"another namespace's cluster": {
			source: fleet("quickstart", corev1.ObjectReference{Kind: "Cluster", Name: "a", Namespace: "theirs"}),
			target: fleet("quickstart", corev1.ObjectReference{Kind: "Cluster", Name: "b", Namespace: "default"}),
			want: []string{
				`spec.sourceCluster.clusters[0].namespace: Invalid value: "theirs": clusters are in the Migrate's namespace: remove namespace`,
			},
		},
		"duplicates, an empty kind among them": {
			source: fleet("quickstart"),
			target: fleet("quickstart", attached("a"), attached("a"),
				corev1.ObjectReference{Name: "b"}, corev1.ObjectReference{Kind: "Cluster", Name: "b"}),
			want: []string{
				`spec.targetCluster.clusters[1]: Duplicate value: "AttachedCluster/a"`,
				`spec.targetCluster.clusters[3]: Duplicate value: "Cluster/b"`,
			},
		},
		"two sources": {
			source: fleet("quickstart", attached("a"), attached("b")),
			target: fleet("quickstart"),
			want: []string{
				`spec.sourceCluster.clusters: Invalid value: 2: a migration has one source: name one cluster, and make a Migrate for every other`,
			},
		},
		"the source among the targets": {
			source: fleet("quickstart", corev1.ObjectReference{Name: "a"}),
			target: fleet("quickstart", attached("b"), corev1.ObjectReference{Kind: "Cluster", Name: "a"}),
			want: []string{
				`spec.targetCluster.clusters[1]: Invalid value: "Cluster/a": is the source: remove it from the targets`,
			},
		},
		"the source among the targets by another fleet": {
			source: fleet("quickstart", attached("a")),
			target: fleet("other", attached("a")),
			want: []string{
				`spec.targetCluster.clusters[0]: Invalid value: "AttachedCluster/a": is the source: remove it from the targets`,
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			m := migrate()
			m.Spec.SourceCluster, m.Spec.TargetCluster = test.source, test.target
			expect(t, validation.ValidateMigrate(m), test.want)
		})
	}
}

func TestResourceFilter(t *testing.T) {
	app := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "busybox"}}
	tests := map[string]struct {
		filter backup.ResourceFilter
		want   []string
	}{
		"by label": {filter: backup.ResourceFilter{LabelSelector: app}},
		"old filters": {filter: backup.ResourceFilter{
			IncludedNamespaces: []string{"*"}, ExcludedNamespaces: []string{"kube-*", "test-[ab]", "x?"},
			IncludedResources: []string{"Deployments.apps", "configmaps"}, ExcludedResources: []string{"*.velero.io"},
			IncludeClusterResources: ptr.To(false),
		}},
		"scoped filters": {filter: backup.ResourceFilter{
			IncludedClusterScopedResources:   []string{"*"},
			ExcludedNamespaceScopedResources: []string{"*"},
		}},
		"labelSelector and orLabelSelectors": {
			filter: backup.ResourceFilter{LabelSelector: app, OrLabelSelectors: []*metav1.LabelSelector{app}},
			want: []string{
				`spec.policy.resourceFilter.orLabelSelectors: Forbidden: can't be used together with labelSelector: put its labels into every one of orLabelSelectors, or use only one of the two`,
			},
		},
		"null among orLabelSelectors": {
			filter: backup.ResourceFilter{OrLabelSelectors: []*metav1.LabelSelector{app, nil}},
			want: []string{
				`spec.policy.resourceFilter.orLabelSelectors[1]: Required value: write a label selector, or remove the entry`,
			},
		},
		"selectors that don't parse": {
			filter: backup.ResourceFilter{OrLabelSelectors: []*metav1.LabelSelector{
				{MatchLabels: map[string]string{"a b": "c"}},
				{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Is", Values: []string{"b"}}}},
				{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "In"}}},
			}},
			want: []string{
				`spec.policy.resourceFilter.orLabelSelectors[0].matchLabels: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`,
				`spec.policy.resourceFilter.orLabelSelectors[1].matchExpressions[0].operator: Invalid value: "Is": not a valid selector operator`,
				"spec.policy.resourceFilter.orLabelSelectors[2].matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
			},
		},
		"old and scoped filters": {
			filter: backup.ResourceFilter{IncludeClusterResources: ptr.To(true), ExcludedNamespaceScopedResources: []string{"secrets"}},
			want: []string{
				`spec.policy.resourceFilter: Forbidden: includedResources, excludedResources and includeClusterResources can't be used together with the filters by scope (included/excludedClusterScopedResources, included/excludedNamespaceScopedResources): use the one kind or the other`,
			},
		},
		"* among names": {
			filter: backup.ResourceFilter{IncludedNamespaces: []string{"*", "a"}, IncludedResources: []string{"pods", "*"}},
			want: []string{
				`spec.policy.resourceFilter.includedNamespaces: Invalid value: ["*","a"]: "*" includes everything: write it alone, or write only names`,
				`spec.policy.resourceFilter.includedResources: Invalid value: ["pods","*"]: "*" includes everything: write it alone, or write only names`,
			},
		},
		"* excluded": {
			filter: backup.ResourceFilter{ExcludedNamespaces: []string{"*"}, ExcludedResources: []string{"*", "pods"}},
			want: []string{
				`spec.policy.resourceFilter.excludedNamespaces: Invalid value: ["*"]: "*" can't be excluded: nothing would be left; write names`,
				`spec.policy.resourceFilter.excludedResources: Invalid value: ["*","pods"]: "*" can't be excluded: nothing would be left; write names`,
			},
		},
		"* excluded among names of a scope": {
			filter: backup.ResourceFilter{ExcludedClusterScopedResources: []string{"*", "nodes"}},
			want: []string{
				`spec.policy.resourceFilter.excludedClusterScopedResources: Invalid value: ["*","nodes"]: "*" excludes everything: write it alone, or write only names`,
			},
		},
		"* excluded and names of the scope included": {
			filter: backup.ResourceFilter{IncludedNamespaceScopedResources: []string{"pods"}, ExcludedNamespaceScopedResources: []string{"*"}},
			want: []string{
				`spec.policy.resourceFilter.excludedNamespaceScopedResources: Invalid value: ["*"]: "*" excludes everything: leave includedNamespaceScopedResources out, or write names`,
			},
		},
		"included and excluded": {
			filter: backup.ResourceFilter{
				IncludedNamespaces: []string{"a", "b"}, ExcludedNamespaces: []string{"b"},
				IncludedClusterScopedResources: []string{"nodes"}, ExcludedClusterScopedResources: []string{"nodes"},
			},
			want: []string{
				`spec.policy.resourceFilter.excludedNamespaces[0]: Invalid value: "b": is in includedNamespaces too: remove it from one of the two`,
				`spec.policy.resourceFilter.excludedClusterScopedResources[0]: Invalid value: "nodes": is in includedClusterScopedResources too: remove it from one of the two`,
			},
		},
		"invalid names": {
			filter: backup.ResourceFilter{
				IncludedNamespaces: []string{"", "a**", "[", "a]", "[]", "a.b", "a[a-]"},
				IncludedResources:  []string{"", "pods,services", "[pods", "pod[z-a]"},
			},
			want: []string{
				`spec.policy.resourceFilter.includedNamespaces[0]: Required value: write a name, or remove the entry`,
				`spec.policy.resourceFilter.includedNamespaces[1]: Invalid value: "a**": is not the name of a namespace: write one "*" instead of several`,
				`spec.policy.resourceFilter.includedNamespaces[2]: Invalid value: "[": is not the name of a namespace: "[" is not closed: write "]" after the characters to choose from`,
				`spec.policy.resourceFilter.includedNamespaces[3]: Invalid value: "a]": is not the name of a namespace: "]" closes nothing: write "[" before the characters to choose from`,
				`spec.policy.resourceFilter.includedNamespaces[4]: Invalid value: "[]": is not the name of a namespace: "[]" is empty: write the characters to choose from in it`,
				`spec.policy.resourceFilter.includedNamespaces[5]: Invalid value: "a.b": is not the name of a namespace: must not contain dots`,
				`spec.policy.resourceFilter.includedNamespaces[6]: Invalid value: "a[a-]": is not the name of a namespace: "[a-]" is no choice of characters: write them all, as [abc], or from one to another, as [a-c]`,
				`spec.policy.resourceFilter.includedResources[0]: Required value: write a name, or remove the entry`,
				`spec.policy.resourceFilter.includedResources[1]: Invalid value: "pods,services": is not a resource: write one resource an entry, as "deployments" or "deployments.apps"`,
				`spec.policy.resourceFilter.includedResources[2]: Invalid value: "[pods": is not a resource: "[" is not closed: write "]" after the characters to choose from`,
				`spec.policy.resourceFilter.includedResources[3]: Invalid value: "pod[z-a]": is not a resource: "[z-a]" is no choice of characters: write them all, as [abc], or from one to another, as [a-c]`,
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			m := migrate()
			m.Spec.Policy = &backup.MigratePolicy{ResourceFilter: &test.filter}
			expect(t, validation.ValidateMigrate(m), test.want)
		})
	}
}

func TestPolicy(t *testing.T) {
	tests := map[string]struct {
		policy backup.MigratePolicy
		want   []string
	}{
		"a namespace mapped onto an unmapped one": {
			policy: backup.MigratePolicy{
				NamespaceMapping: map[string]string{"a": "b", "c": "d", "e": "f", "f": "g", "h": "h"},
				ResourceFilter:   &backup.ResourceFilter{IncludedNamespaces: []string{"a", "b", "c", "d", "e", "f", "h"}, ExcludedNamespaces: []string{"d"}},
			},
			want: []string{
				`spec.policy.resourceFilter.excludedNamespaces[0]: Invalid value: "d": is in includedNamespaces too: remove it from one of the two`,
				`spec.policy.namespaceMapping[a]: Invalid value: "b": is included too, so namespaces "a" and "b" would become one: map "b" to another name, or exclude it`,
			},
		},
		"expensive patterns": {
			policy: backup.MigratePolicy{ResourceFilter: &backup.ResourceFilter{
				IncludedNamespaces: []string{"a*a*a*a*a*a", "a*a*a*a*a*a*a"}, ExcludedResources: []string{"*x*x*x*x*x*"},
			}},
			want: []string{
				`spec.policy.resourceFilter.includedNamespaces[1]: Invalid value: "a*a*a*a*a*a*a": has 6 "*", and matching it takes too long: write at most 5, or several entries`,
				`spec.policy.resourceFilter.excludedResources[0]: Invalid value: "*x*x*x*x*x*": has 6 "*", and matching it takes too long: write at most 5, or several entries`,
			},
		},
		"only namespaceMapping": {policy: backup.MigratePolicy{NamespaceMapping: map[string]string{"a": "b", "b": "a"}}},
		"all fields": {policy: backup.MigratePolicy{
			OrderedResources:  map[string]string{"pods": "a/x,a/y", "persistentvolumes": "pv1,pv2"},
			MigrateStatus:     &backup.PreserveStatus{IncludedResources: []string{"*"}, ExcludedResources: []string{"pods"}},
			PreserveNodePorts: ptr.To(true), ExistingResourcePolicy: "update",
			Volumes: &backup.VolumePolicy{Data: "FileSystemBackup"}, StorageLocation: "archive",
		}},
		"a storageLocation that is no name": {
			policy: backup.MigratePolicy{StorageLocation: "Archive/2"},
			want: []string{
				`spec.policy.storageLocation: Invalid value: "Archive/2": is not the name of a BackupStorageLocation: a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', ` +
					`and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`,
			},
		},
		"unknown choices": {
			policy: backup.MigratePolicy{ExistingResourcePolicy: "Update", Volumes: &backup.VolumePolicy{Data: "Snapshot"}},
			want: []string{
				`spec.policy.existingResourcePolicy: Unsupported value: "Update": supported values: "none", "update"`,
				`spec.policy.volumes.data: Unsupported value: "Snapshot": supported values: "FileSystemBackup", "SnapshotDataMovement", "None"`,
			},
		},
		"volumes without data": {
			policy: backup.MigratePolicy{
				ResourceFilter: &backup.ResourceFilter{IncludedClusterScopedResources: []string{"namespaces", "PV"}},
				Volumes:        &backup.VolumePolicy{Data: backup.VolumeDataNone},
			},
			want: []string{
				`spec.policy.resourceFilter.includedClusterScopedResources[1]: Invalid value: "PV": selects PersistentVolumes, which are not migrated if spec.policy.volumes.data is None: remove it, or choose another way to move the data`,
			},
		},
		"invalid orders": {
			policy: backup.MigratePolicy{OrderedResources: map[string]string{
				"deployments.apps":       "a/x",
				"persistentvolumeclaims": "a/x, a/y",
				"pods":                   "a/x,",
				"secrets":                "a/b/c",
				"services":               "",
			}},
			want: []string{
				`spec.policy.orderedResources[deployments.apps]: Invalid value: "deployments.apps": is not a resource: write its plural name without a group, as "pods"`,
				`spec.policy.orderedResources[persistentvolumeclaims]: Invalid value: "a/x, a/y": " a/y" is not the name of an object: write "namespace/name", or "name" for a cluster-scoped resource, separated by "," without spaces`,
				`spec.policy.orderedResources[pods]: Invalid value: "a/x,": has an empty entry: write "namespace/name", or "name" for a cluster-scoped resource, separated by "," without spaces`,
				`spec.policy.orderedResources[secrets]: Invalid value: "a/b/c": "a/b/c" is not the name of an object: write "namespace/name", or "name" for a cluster-scoped resource, separated by "," without spaces`,
				`spec.policy.orderedResources[services]: Invalid value: "": has an empty entry: write "namespace/name", or "name" for a cluster-scoped resource, separated by "," without spaces`,
			},
		},
		"two namespaces mapped onto one": {
			policy: backup.MigratePolicy{NamespaceMapping: map[string]string{"a": "c", "b": "c"}},
			want: []string{
				`spec.policy.namespaceMapping[b]: Invalid value: "c": namespace "a" is already mapped to it: use a different name for each namespace`,
			},
		},
		"invalid namespaces": {
			policy: backup.MigratePolicy{NamespaceMapping: map[string]string{"*": "b", "c": "", "d": "E"}},
			want: []string{
				`spec.policy.namespaceMapping[*]: Invalid value: "*": is not the name of a namespace: a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')`,
				`spec.policy.namespaceMapping[c]: Required value: write its name in the targets, or remove the entry`,
				`spec.policy.namespaceMapping[d]: Invalid value: "E": is not the name of a namespace: a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')`,
			},
		},
		"a status filter that Velero would invert": {
			policy: backup.MigratePolicy{MigrateStatus: &backup.PreserveStatus{ExcludedResources: []string{"*"}}},
			want: []string{
				`spec.policy.migrateStatus.excludedResources: Invalid value: ["*"]: "*" can't be excluded: nothing would be left; write names`,
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			m := migrate()
			m.Spec.Policy = &test.policy
			expect(t, validation.ValidateMigrate(m), test.want)
		})
	}
}

func TestStorageClassMapping(t *testing.T) {
	const invalidSubdomain = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character " +
		`(e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`
	many := map[string]string{}
	for i := range 65 {
		many[fmt.Sprint("class-", i)] = "slow"
	}
	for name, tt := range map[string]struct {
		mapping map[string]string
		want    []string
	}{
		"swapped": {map[string]string{"fast": "slow", "slow": "fast"}, nil},
		"empty":   {map[string]string{"fast": ""}, []string{"spec.policy.volumes.storageClassMapping[fast]: Invalid value: \"\": must be the name of a StorageClass: " + invalidSubdomain}},
		"invalid": {map[string]string{"A/b": "slow"}, []string{"spec.policy.volumes.storageClassMapping[A/b]: Invalid value: \"A/b\": must be the name of a StorageClass: " + invalidSubdomain}},
		"many":    {many, []string{"spec.policy.volumes.storageClassMapping: Too many: 65: must have at most 64 items"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := migrate()
			m.Spec.Policy = &backup.MigratePolicy{Volumes: &backup.VolumePolicy{StorageClassMapping: tt.mapping}}
			expect(t, validation.ValidateMigrate(m), tt.want)
		})
	}
}

func TestWaitForWorkloads(t *testing.T) {
	for seconds, want := range map[int32][]string{
		1:  nil,
		0:  {`spec.waitForWorkloads.timeoutSeconds: Invalid value: 0: must be greater than 0; leave waitForWorkloads out to not wait`},
		-1: {`spec.waitForWorkloads.timeoutSeconds: Invalid value: -1: must be greater than 0; leave waitForWorkloads out to not wait`},
	} {
		m := migrate()
		m.Spec.WaitForWorkloads = &backup.WaitForWorkloads{TimeoutSeconds: seconds}
		expect(t, validation.ValidateMigrate(m), want)
	}
}

func TestProgressDeadlineSeconds(t *testing.T) {
	for seconds, want := range map[int32][]string{
		1:  nil,
		0:  {`spec.progressDeadlineSeconds: Invalid value: 0: must be greater than 0; leave it out for the default of 600`},
		-1: {`spec.progressDeadlineSeconds: Invalid value: -1: must be greater than 0; leave it out for the default of 600`},
	} {
		m := migrate()
		m.Spec.ProgressDeadlineSeconds = &seconds
		expect(t, validation.ValidateMigrate(m), want)
	}
}

func TestUpdate(t *testing.T) {
	tests := map[string]struct {
		change func(*backup.Migrate)
		want   []string
	}{
		"metadata": {change: func(m *backup.Migrate) {
			m.Labels, m.Annotations = map[string]string{"a": "b"}, map[string]string{"c": "d"}
			m.Finalizers = []string{"example.com/hold"}
		}},
		"empty for absent": {change: func(m *backup.Migrate) { m.Spec.TargetCluster.Clusters = []corev1.ObjectReference{} }},
		"the spec": {
			change: func(m *backup.Migrate) {
				m.Spec.SourceCluster.Clusters[0].Name = "other"
				m.Spec.TargetCluster.Fleet = "other"
				m.Spec.Policy = &backup.MigratePolicy{}
				m.Spec.ProgressDeadlineSeconds = ptr.To(int32(1))
			},
			want: []string{
				`spec.sourceCluster: Forbidden: can't be changed after creation: create another Migrate, or delete this one and create it again`,
				`spec.targetCluster: Forbidden: can't be changed after creation: create another Migrate, or delete this one and create it again`,
				`spec.policy: Forbidden: can't be changed after creation: create another Migrate, or delete this one and create it again`,
				`spec.progressDeadlineSeconds: Forbidden: can't be changed after creation: create another Migrate, or delete this one and create it again`,
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			old := migrate()
			old.ResourceVersion = "1"
			m := old.DeepCopy()
			test.change(m)
			expect(t, validation.ValidateMigrateUpdate(m, old), test.want)
		})
	}
}

// TestEveryFieldOfTheSpecIsImmutable changes one field after the other, by reflection. Only suspend can change.
func TestEveryFieldOfTheSpecIsImmutable(t *testing.T) {
	kind := reflect.TypeFor[backup.MigrateSpec]()
	for i := range kind.NumField() {
		old := migrate()
		old.ResourceVersion = "1"
		old.Spec.ProgressDeadlineSeconds = ptr.To(int32(600))
		m := old.DeepCopy()
		f := reflect.ValueOf(&m.Spec).Elem().Field(i)
		if f.IsZero() {
			f.Set(reflect.New(f.Type().Elem()))
		} else {
			f.SetZero()
		}
		errs := validation.ValidateMigrateUpdate(m, old)
		name := kind.Field(i).Name
		if name == "Suspend" {
			expect(t, errs, nil)
			continue
		}
		if len(errs) != 1 || !strings.EqualFold(errs[0].Field, "spec."+name) {
			t.Errorf("%s: %v", name, errs)
		}
	}
}

func TestUpdateAcceptsAnInvalidStoredSpec(t *testing.T) {
	old := migrate()
	old.ResourceVersion = "1"
	old.Spec.TargetCluster.Clusters = []corev1.ObjectReference{{}}
	m := old.DeepCopy()
	m.Labels = map[string]string{"a": "b"}
	expect(t, validation.ValidateMigrateUpdate(m, old), nil)
}

func TestRecord(t *testing.T) {
	tests := map[string]struct {
		was, is backup.MigratePhase
		want    []string
	}{
		"begins":     {was: "", is: "Pending"},
		"next phase": {was: "BackupInProgress", is: "RestoreInProgress"},
		"ends":       {was: "RestoreInProgress", is: "Completed"},
		"stays":      {was: "Completed", is: "Completed"},
		"completed":  {was: "Completed", is: "Failed", want: []string{`status.phase: Forbidden: is Completed, which is terminal: it can't change to "Failed"`}},
		"failed":     {was: "Failed", is: "RestoreInProgress", want: []string{`status.phase: Forbidden: is Failed, which is terminal: it can't change to "RestoreInProgress"`}},
		"partially":  {was: "PartiallyFailed", is: "Completed", want: []string{`status.phase: Forbidden: is PartiallyFailed, which is terminal: it can't change to "Completed"`}},
		"refused":    {was: "FailedValidation", is: "", want: []string{`status.phase: Forbidden: is FailedValidation, which is terminal: it can't change to ""`}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			old, m := migrate(), migrate()
			old.Status.Phase, m.Status.Phase = test.was, test.is
			expect(t, validation.ValidateMigrateRecord(m, old), test.want)
		})
	}
}

// TestRecordOfAnAttempt records the statuses of an attempt after those of another one.
func TestRecordOfAnAttempt(t *testing.T) {
	target := func(name string, phase backup.MigratePhase) backup.RestoreDetails {
		return backup.RestoreDetails{ClusterStatus: backup.ClusterStatus{ClusterName: name, Phase: phase}}
	}
	for name, test := range map[string]struct {
		was, is         backup.MigratePhase
		attempt, next   int32
		before, targets []backup.RestoreDetails
		want            []string
	}{
		"retried":              {was: "Failed", is: "Pending", attempt: 1, next: 2},
		"retried again":        {was: "PartiallyFailed", is: "Pending", attempt: 2, next: 3, before: []backup.RestoreDetails{target("a", "Completed"), target("b", "Failed")}, targets: []backup.RestoreDetails{target("a", "Completed"), target("b", "Pending")}},
		"before the end":       {was: "Pending", is: "Pending", attempt: 1, next: 2, want: []string{"status.attempts: Forbidden: attempt 2 can't follow attempt 1, which is Pending"}},
		"skipped":              {was: "Failed", is: "Pending", attempt: 1, next: 3, want: []string{"status.attempts: Forbidden: attempt 3 can't follow attempt 1, which is Failed"}},
		"back":                 {was: "Failed", is: "Failed", attempt: 2, next: 1, want: []string{"status.attempts: Forbidden: attempt 1 can't follow attempt 2, which is Failed"}},
		"a Completed target":   {was: "PartiallyFailed", is: "Pending", attempt: 1, next: 2, before: []backup.RestoreDetails{target("a", "Completed")}, targets: []backup.RestoreDetails{target("a", "Pending")}, want: []string{"status.targetClusterStatus[0]: Forbidden: a is Completed: a new attempt can't change that"}},
		"no Completed target":  {was: "PartiallyFailed", is: "Pending", attempt: 1, next: 2, before: []backup.RestoreDetails{target("a", "Completed")}, want: []string{"status.targetClusterStatus[0]: Forbidden: a is Completed: a new attempt can't change that"}},
		"end of the next one":  {was: "Failed", is: "Completed", attempt: 2, next: 2, want: []string{`status.phase: Forbidden: is Failed, which is terminal: it can't change to "Completed"`}},
		"progress of the next": {was: "Pending", is: "RestoreInProgress", attempt: 2, next: 2},
	} {
		t.Run(name, func(t *testing.T) {
			old, m := migrate(), migrate()
			old.Status = backup.MigrateStatus{Phase: test.was, TargetClusterStatus: test.before}
			m.Status = backup.MigrateStatus{Phase: test.is, TargetClusterStatus: test.targets}
			for status, number := range map[*backup.MigrateStatus]int32{&old.Status: test.attempt, &m.Status: test.next} {
				if number > 1 {
					status.Attempts = []backup.MigrateAttempt{{Number: number - 1}, {Number: number}}
				}
			}
			expect(t, validation.ValidateMigrateRecord(m, old), test.want)
		})
	}
}

func TestBounds(t *testing.T) {
	tests := map[string]struct {
		change func(*backup.Migrate)
		want   []string
	}{
		"10,000 clusters": {
			change: func(m *backup.Migrate) {
				for i := range 10_000 {
					m.Spec.TargetCluster.Clusters = append(m.Spec.TargetCluster.Clusters, attached(fmt.Sprintf("m%d", i)))
				}
			},
			want: []string{`spec.targetCluster.clusters: Too many: 10000: must have at most 500 items`},
		},
		"501 clusters": {
			change: func(m *backup.Migrate) {
				for i := range 501 {
					m.Spec.TargetCluster.Clusters = append(m.Spec.TargetCluster.Clusters, attached(fmt.Sprintf("m%d", i)))
				}
			},
			want: []string{`spec.targetCluster.clusters: Too many: 501: must have at most 500 items`},
		},
		"a long name": {
			change: func(m *backup.Migrate) {
				m.Spec.Policy = &backup.MigratePolicy{OrderedResources: map[string]string{"pods": strings.Repeat("x", 1<<20)}}
			},
			want: []string{`spec: Forbidden: metadata and spec are larger than 512 KiB together: select by labels instead of naming everything, or split it into several Migrates`},
		},
		"a list of empty items": {
			change: func(m *backup.Migrate) {
				m.Spec.Policy = &backup.MigratePolicy{OrderedResources: map[string]string{"pods": ",,,"}}
			},
			want: []string{`spec.policy.orderedResources[pods]: Invalid value: ",,,": has an empty entry: write "namespace/name", or "name" for a cluster-scoped resource, separated by "," without spaces`},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			m := migrate()
			test.change(m)
			expect(t, validation.ValidateMigrate(m), test.want)
		})
	}
}

func TestErrorsAreBounded(t *testing.T) {
	m := migrate()
	m.Spec.Policy = &backup.MigratePolicy{ResourceFilter: &backup.ResourceFilter{IncludedNamespaces: make([]string, 10_000)}}
	errs := validation.ValidateMigrate(m)
	if len(errs) != 101 {
		t.Fatalf("got %d errors, want 101", len(errs))
	}
	expect(t, errs[100:], []string{`spec: Forbidden: and 9900 more errors`})
}

// TestUpdateBoundsGrowth updates an object that is larger than a create may be.
func TestUpdateBoundsGrowth(t *testing.T) {
	old := migrate()
	old.ResourceVersion = "1"
	old.Spec.Policy = &backup.MigratePolicy{OrderedResources: map[string]string{"pods": strings.Repeat("x", 1<<20)}}
	old.Labels = map[string]string{"a": "b"}
	m := old.DeepCopy()
	m.Labels["a"] = "c"
	expect(t, validation.ValidateMigrateUpdate(m, old), nil)
	m.Labels["a"] = "longer"
	expect(t, validation.ValidateMigrateUpdate(m, old), []string{`metadata: Forbidden: metadata and spec are larger than 512 KiB together: select by labels instead of naming everything, or split it into several Migrates`})
}

func TestValidationDoesNotPanic(t *testing.T) {
	fill := apifuzzer.FuzzerFor(fuzzer.Funcs, rand.NewSource(1), serializer.CodecFactory{})
	for range 5000 {
		var m, old backup.Migrate
		fill.Fill(&m.Spec)
		fill.Fill(&old.Spec)
		validation.ValidateMigrate(&m)
		validation.ValidateMigrateUpdate(&m, &old)
	}
}

func migrate() *backup.Migrate {
	return &backup.Migrate{
		ObjectMeta: metav1.ObjectMeta{Name: "select-labels", Namespace: "default"},
		Spec: backup.MigrateSpec{
			SourceCluster:           fleet("quickstart", attached("kurator-member1")),
			TargetCluster:           fleet("quickstart"),
			ProgressDeadlineSeconds: ptr.To(int32(600)),
		},
	}
}

func fleet(name string, clusters ...corev1.ObjectReference) backup.Destination {
	return backup.Destination{Fleet: name, Clusters: clusters}
}

func attached(name string) corev1.ObjectReference {
	return corev1.ObjectReference{Kind: "AttachedCluster", Name: name}
}

func expect(t *testing.T, errs field.ErrorList, want []string) {
	t.Helper()
	var got []string
	for _, err := range errs {
		got = append(got, err.Error())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("errors (-want +got)\n%s", diff)
	}
}
