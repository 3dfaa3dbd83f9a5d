// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

func TestContents(t *testing.T) {
	many := map[string][]string{"v1/Secret": nil}
	for i := range maxContents + 1 {
		many["v1/Secret"] = append(many["v1/Secret"], fmt.Sprintf("n%d/a", i))
	}
	for name, tt := range map[string]struct {
		list map[string][]string
		want *v1alpha1.BackupContents
	}{
		"too many": {many, nil},
		"sorted": {
			map[string][]string{"v1/Namespace": {"c"}, "v1/ConfigMap": {"b/x", "a/x"}, "apps/v1/Deployment": {"a/x"}, "rbac.authorization.k8s.io/v1/ClusterRole": {"x"}},
			&v1alpha1.BackupContents{Namespaces: []string{"a", "b", "c"}, Kinds: []string{"ClusterRole.rbac.authorization.k8s.io", "ConfigMap", "Deployment.apps", "Namespace"}},
		},
		"no names": {map[string][]string{"v1/*": {"a*/x", "*/x"}, "*.x/v1/Ev il": {"b/x"}}, &v1alpha1.BackupContents{Namespaces: []string{"b"}}},
	} {
		t.Run(name, func(t *testing.T) {
			var list bytes.Buffer
			packed := gzip.NewWriter(&list)
			_ = json.NewEncoder(packed).Encode(tt.list)
			_ = packed.Close()
			content, err := ReadBackedUp(&list, Visitor{})
			if d := cmp.Diff(tt.want, content.Contents(), cmpopts.EquateEmpty()); d != "" || err != nil {
				t.Error(err, d)
			}
		})
	}
}

// TestNewRestoreIsLimitedToTheContents has Backups whose lists have more than the filter selects, as one
// of a source that can't be trusted.
func TestNewRestoreIsLimitedToTheContents(t *testing.T) {
	type contents = v1alpha1.BackupContents
	for name, tt := range map[string]struct {
		filter   *v1alpha1.ResourceFilter
		contents contents
		want     velerov1.RestoreSpec
	}{
		"no filter": {
			nil,
			contents{Namespaces: []string{"a", "b"}, Kinds: []string{"ConfigMap", "Event", "Event.events.k8s.io", "Namespace", "NetworkPolicy.networking.k8s.io", "Oven.example.com"}},
			velerov1.RestoreSpec{
				IncludedNamespaces: []string{"a", "b"}, IncludeClusterResources: new(true),
				IncludedResources: []string{"*.example.com", "configmaps", "namespaces", "networkpolicies.networking.k8s.io"},
			},
		},
		"a pattern of namespaces": {
			&v1alpha1.ResourceFilter{IncludedNamespaces: []string{"app-*"}, ExcludedNamespaces: []string{"app-b"}},
			contents{Namespaces: []string{"app-a", "app-b", "kube-system"}, Kinds: []string{"ClusterRole.rbac.authorization.k8s.io", "Namespace", "Secret"}},
			velerov1.RestoreSpec{
				IncludedNamespaces: []string{"app-a"}, IncludeClusterResources: new(true),
				IncludedResources: []string{"clusterroles.rbac.authorization.k8s.io", "secrets"}, ExcludedResources: []string{"namespaces"},
			},
		},
		"names that Velero resolves": {
			&v1alpha1.ResourceFilter{IncludedNamespaceScopedResources: []string{"deploy", "gateways.*"}, ExcludedNamespaceScopedResources: []string{"jobs.batch"}},
			contents{Namespaces: []string{"a"}, Kinds: []string{"CustomResourceDefinition.apiextensions.k8s.io", "Deployment.apps", "Gateway.gateway.networking.k8s.io", "Job.batch.volcano.sh", "PriorityClass.scheduling.k8s.io"}},
			velerov1.RestoreSpec{
				IncludedNamespaces: []string{"a"}, IncludeClusterResources: new(true),
				IncludedResources: []string{"*.batch.volcano.sh", "*.gateway.networking.k8s.io", "customresourcedefinitions.apiextensions.k8s.io", "deployments.apps", "priorityclasses.scheduling.k8s.io"},
			},
		},
		"excluded resources": {
			&v1alpha1.ResourceFilter{ExcludedResources: []string{"secret", "persistentvolumes"}, IncludeClusterResources: new(false)},
			contents{Namespaces: []string{"a"}, Kinds: []string{"ConfigMap", "PersistentVolume"}},
			velerov1.RestoreSpec{
				IncludedNamespaces: []string{"a"}, IncludeClusterResources: new(false),
				IncludedResources: []string{"configmaps"}, ExcludedResources: []string{"secret", "persistentvolumes"},
			},
		},
		"what Velero refuses, or needs no name for, and a group above others": {
			nil,
			contents{Namespaces: []string{"a"}, Kinds: []string{"DataUpload.velero.io", "Event", "Schedule.velero.io", "Thing.k8s.io"}},
			velerov1.RestoreSpec{
				IncludedNamespaces: []string{"a"}, IncludeClusterResources: new(true),
				IncludedResources: []string{"*.velero.io", "thing.k8s.io", "things.k8s.io"},
			},
		},
		"listed resources": {
			&v1alpha1.ResourceFilter{IncludedNamespaces: []string{"a"}, IncludedResources: []string{"cm"}},
			contents{Namespaces: []string{"a"}, Kinds: []string{"ConfigMap", "Secret"}},
			velerov1.RestoreSpec{IncludedNamespaces: []string{"a"}, IncludeClusterResources: new(true), IncludedResources: []string{"cm"}},
		},
		"no namespace that the filter selects": {
			&v1alpha1.ResourceFilter{IncludedNamespaces: []string{"a*"}},
			contents{Namespaces: []string{"b"}, Kinds: []string{"ClusterRole.rbac.authorization.k8s.io", "Namespace"}},
			velerov1.RestoreSpec{
				IncludedNamespaces: []string{"a*"}, IncludeClusterResources: new(false),
				IncludedResources: []string{"clusterroles.rbac.authorization.k8s.io"}, ExcludedResources: []string{"namespaces"},
			},
		},
		"only a namespace": {
			&v1alpha1.ResourceFilter{IncludedNamespaces: []string{"a"}},
			contents{Namespaces: []string{"a"}, Kinds: []string{"Namespace"}},
			velerov1.RestoreSpec{
				IncludedNamespaces: []string{"a"}, IncludeClusterResources: new(true),
				IncludedResources: []string{"nothing.backup.kurator.dev"}, ExcludedResources: []string{"namespaces"},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := migrate("ns", "app", "u1")
			if tt.filter != nil {
				m.Spec.Policy = &v1alpha1.MigratePolicy{ResourceFilter: tt.filter}
			}
			tt.want.BackupName = "b"
			if d := cmp.Diff(tt.want, newRestore(m, "m2", "b", &tt.contents).Spec); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestVolumesAreLeftOutOfTheContents has a Backup of volumes alone, without data.
func TestVolumesAreLeftOutOfTheContents(t *testing.T) {
	m := migrate("ns", "app", "u1")
	m.Spec.Policy = &v1alpha1.MigratePolicy{Volumes: &v1alpha1.VolumePolicy{Data: v1alpha1.VolumeDataNone}}
	got := newRestore(m, "m2", "b", &v1alpha1.BackupContents{Kinds: []string{"PersistentVolume"}}).Spec
	if d := cmp.Diff([][]string{{noResource}, {"persistentvolumes"}}, [][]string{got.IncludedResources, got.ExcludedResources}); d != "" {
		t.Error(d)
	}
}

// TestResourceNamesOfBuiltinKinds checks that the kinds of client-go are included by names that exist.
func TestResourceNamesOfBuiltinKinds(t *testing.T) {
	found := 0
	for kind := range scheme.Scheme.AllKnownTypes() {
		if !builtinNames.Has(strings.ToLower(kind.Kind)) || kind.Group != "" && !slices.Contains(builtinGroups, kind.Group) {
			continue
		}
		found++
		names := resourceNames(strings.TrimSuffix(kind.Kind+"."+kind.Group, "."))
		if resource := resourceOfKind(strings.TrimSuffix(kind.Kind+"."+kind.Group, ".")); !IsRestored(schema.GroupResource{Group: resource.Group, Resource: resource.Name}) {
			continue
		}
		name := strings.Join(names, ", ")
		plural, group, _ := strings.Cut(name, ".")
		if !builtinNames.Has(plural) || group != kind.Group || plural == strings.ToLower(kind.Kind) && kind.Kind != "Endpoints" {
			t.Errorf("%s is included as %s", kind, name)
		}
	}
	if found < 50 {
		t.Errorf("only %d kinds are known", found)
	}
}
