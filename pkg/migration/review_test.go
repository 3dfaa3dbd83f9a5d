// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

func TestReviewOf(t *testing.T) {
	for _, tt := range []struct {
		name    string
		filter  *v1alpha1.ResourceFilter
		mapping map[string]string
		// source and target are the namespaces that are asked about.
		source, target string
	}{
		{"everything", nil, nil, "", ""},
		{"everything, mapped", nil, map[string]string{"a": "z"}, "", ""},
		{"namespaces", &v1alpha1.ResourceFilter{IncludedNamespaces: []string{"a", "b"}}, nil, "a b", "a b"},
		{"mapped namespaces", &v1alpha1.ResourceFilter{IncludedNamespaces: []string{"a", "b"}}, map[string]string{"a": "z", "c": "y"}, "a b", "z b"},
		{"all by a star", &v1alpha1.ResourceFilter{IncludedNamespaces: []string{"*"}}, nil, "", ""},
		{"some by a pattern", &v1alpha1.ResourceFilter{IncludedNamespaces: []string{"a", "b-*"}}, nil, "", ""},
		{"one by a pattern", &v1alpha1.ResourceFilter{IncludedNamespaces: []string{"a?"}}, nil, "", ""},
		{"all but some", &v1alpha1.ResourceFilter{ExcludedNamespaces: []string{"a"}}, nil, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newScene(t, m2).m
			m.Spec.Requester = &v1alpha1.Requester{Username: "jane", Groups: []string{"shop"}}
			m.Spec.Policy = &v1alpha1.MigratePolicy{ResourceFilter: tt.filter, NamespaceMapping: tt.mapping}
			source, target := ReviewOf(m, Party{Source: true}), ReviewOf(m, Party{})
			got := []string{strings.Join(source.Verbs, " "), strings.Join(source.Namespaces, " "), strings.Join(target.Verbs, " "), strings.Join(target.Namespaces, " ")}
			if diff := cmp.Diff([]string{"get list", tt.source, "create", tt.target}, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			for _, r := range []Review{source, target} {
				if diff := cmp.Diff(v1alpha1.Requester{Username: "jane", Groups: []string{"shop"}}, r.Requester); diff != "" {
					t.Errorf("requester (-want +got):\n%s", diff)
				}
			}
		})
	}
	if got := ReviewOf(newScene(t, m2).m, Party{}); got.Requester.Username != "" {
		t.Errorf("nobody is recorded, and the review is about %s", got.Requester.Username)
	}
}

var resources = map[string]velero.Resource{
	"configmaps":  {Name: "configmaps", Kind: "ConfigMap", Singular: "configmap", ShortNames: []string{"cm"}, Namespaced: true},
	"secrets":     {Name: "secrets", Kind: "Secret", Singular: "secret", Namespaced: true},
	"deployments": {Group: "apps", Name: "deployments", Kind: "Deployment", Singular: "deployment", ShortNames: []string{"deploy"}, Namespaced: true},
	"other":       {Group: "example.com", Name: "deployments", Kind: "Deployment", Singular: "deployment", Namespaced: true},
	"roles":       {Group: "rbac.authorization.k8s.io", Name: "roles", Kind: "Role", Singular: "role", Namespaced: true},
	"events":      {Name: "events", Kind: "Event", Singular: "event", ShortNames: []string{"ev"}, Namespaced: true},
	"claims":      {Name: "persistentvolumeclaims", Kind: "PersistentVolumeClaim", Singular: "persistentvolumeclaim", ShortNames: []string{"pvc"}, Namespaced: true},
	"volumes":     {Name: "persistentvolumes", Kind: "PersistentVolume", Singular: "persistentvolume", ShortNames: []string{"pv"}},
	"definitions": {Group: "apiextensions.k8s.io", Name: "customresourcedefinitions", Kind: "CustomResourceDefinition", Singular: "customresourcedefinition", ShortNames: []string{"crd", "crds"}},
	"namespaces":  {Name: "namespaces", Kind: "Namespace", Singular: "namespace", ShortNames: []string{"ns"}},
	"nodes":       {Name: "nodes", Kind: "Node", Singular: "node", ShortNames: []string{"no"}},
}

func TestSelect(t *testing.T) {
	const (
		namespaced = "claims configmaps deployments events other roles secrets"
		everything = "claims configmaps definitions deployments events namespaces nodes other roles secrets volumes"
		// related is what comes with all that is namespaced.
		related = "claims configmaps definitions deployments events namespaces other roles secrets volumes"
	)
	in := []string{"a"}
	for _, tt := range []struct {
		name   string
		filter v1alpha1.ResourceFilter
		// want are the resources that are asked about in the source; in a target these
		// without events and nodes.
		want string
	}{
		{"everything", v1alpha1.ResourceFilter{}, everything},
		{"a namespace", v1alpha1.ResourceFilter{IncludedNamespaces: in}, related},
		{"a namespace by a pattern", v1alpha1.ResourceFilter{IncludedNamespaces: []string{"a-?"}}, everything},
		{"what may be all namespaces", v1alpha1.ResourceFilter{IncludedNamespaces: []string{"default", "kube-system"}}, everything},
		{"a namespace and the cluster", v1alpha1.ResourceFilter{IncludedNamespaces: in, IncludeClusterResources: new(true)}, everything},
		{"without the cluster", v1alpha1.ResourceFilter{IncludeClusterResources: new(false)}, namespaced + " namespaces"},
		{"none", v1alpha1.ResourceFilter{IncludedResources: []string{"pods"}}, ""},

		{"by name", v1alpha1.ResourceFilter{IncludedResources: []string{"secrets"}}, "namespaces secrets"},
		{"by name, of any group", v1alpha1.ResourceFilter{IncludedResources: []string{"deployments"}}, "deployments namespaces other"},
		{"by group", v1alpha1.ResourceFilter{IncludedResources: []string{"deployments.apps"}}, "deployments namespaces"},
		{"by the beginning of a group", v1alpha1.ResourceFilter{IncludedResources: []string{"roles.rbac"}}, "namespaces roles"},
		{"by another group", v1alpha1.ResourceFilter{IncludedResources: []string{"deployments.extensions"}}, ""},
		{"in short", v1alpha1.ResourceFilter{IncludedResources: []string{"cm", "Deploy", "Secret", "pv"}}, "configmaps namespaces secrets volumes"},
		{"by a pattern", v1alpha1.ResourceFilter{IncludedResources: []string{"secret?"}}, "namespaces secrets"},
		{"by a pattern of a group", v1alpha1.ResourceFilter{IncludedResources: []string{"*.example.*"}}, "namespaces other"},
		{"all by a star", v1alpha1.ResourceFilter{IncludedResources: []string{"*"}}, everything},
		{"of the cluster in a namespace", v1alpha1.ResourceFilter{IncludedNamespaces: in, IncludedResources: []string{"pv", "cm"}}, "configmaps namespaces"},
		{"what comes with a claim", v1alpha1.ResourceFilter{IncludedNamespaces: in, IncludedResources: []string{"pv", "pvc"}}, "claims namespaces volumes"},
		{"what does not come with a claim", v1alpha1.ResourceFilter{IncludedNamespaces: in, IncludedResources: []string{"pvc"}}, "claims namespaces"},
		{"what comes with a claim and the cluster", v1alpha1.ResourceFilter{IncludeClusterResources: new(true), IncludedResources: []string{"pvc"}}, "claims namespaces volumes"},
		{"what comes with a custom resource", v1alpha1.ResourceFilter{IncludeClusterResources: new(true), IncludedResources: []string{"deployments.example.com"}}, "definitions namespaces other"},

		{"but one", v1alpha1.ResourceFilter{IncludedNamespaces: in, ExcludedResources: []string{"secrets"}}, strings.ReplaceAll(related, " secrets", "")},
		{"but one by a name that may be another's", v1alpha1.ResourceFilter{IncludedNamespaces: in, ExcludedResources: []string{"secret", "deployments", "cm"}}, related},
		{"but one of a group", v1alpha1.ResourceFilter{IncludedNamespaces: in, ExcludedResources: []string{"deployments.apps"}}, strings.ReplaceAll(related, " deployments", "")},
		{"but some by a pattern", v1alpha1.ResourceFilter{IncludedNamespaces: in, ExcludedResources: []string{"deployments.*", "[s]ecrets"}}, "claims configmaps definitions events namespaces roles volumes"},
		{"but nothing, as one is no pattern", v1alpha1.ResourceFilter{IncludedNamespaces: in, ExcludedResources: []string{"secrets", "[a-]"}}, related},
		{"but namespaces", v1alpha1.ResourceFilter{IncludedNamespaces: in, ExcludedResources: []string{"namespaces"}}, related},

		{"scoped", v1alpha1.ResourceFilter{IncludedNamespaces: in, IncludedNamespaceScopedResources: []string{"cm"}, IncludedClusterScopedResources: []string{"nodes"}}, "configmaps namespaces nodes"},
		{"scoped, all of the cluster", v1alpha1.ResourceFilter{IncludedNamespaces: in, IncludedClusterScopedResources: []string{"*"}}, everything},
		{"scoped, but some", v1alpha1.ResourceFilter{ExcludedNamespaceScopedResources: []string{"secrets"}, ExcludedClusterScopedResources: []string{"nodes", "persistentvolumes"}}, "claims configmaps definitions deployments events namespaces other roles"},
		{"scoped, nothing of the cluster", v1alpha1.ResourceFilter{IncludedNamespaces: in, ExcludedClusterScopedResources: []string{"*"}}, namespaced + " namespaces"},
		{"scoped, nothing namespaced", v1alpha1.ResourceFilter{ExcludedNamespaceScopedResources: []string{"*"}}, "definitions namespaces nodes volumes"},
		{"scoped, in the list of the other scope", v1alpha1.ResourceFilter{IncludedNamespaces: in, IncludedNamespaceScopedResources: []string{"nodes"}}, related},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newScene(t, m2).m
			m.Spec.Policy = &v1alpha1.MigratePolicy{ResourceFilter: &tt.filter}
			want := strings.Fields(tt.want)
			slices.Sort(want)
			for _, source := range []bool{true, false} {
				if !source {
					want = slices.DeleteFunc(want, func(name string) bool { return name == "events" || name == "nodes" })
				}
				if diff := cmp.Diff(want, selectOf(ReviewOf(m, Party{Source: source})), cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("in the source: %v (-want +got):\n%s", source, diff)
				}
			}
		})
	}
}

// selectOf is what a review selects of all resources, in order.
func selectOf(r Review) []string {
	selected := r.Select(slices.Collect(maps.Values(resources)))
	var names []string
	for _, name := range slices.Sorted(maps.Keys(resources)) {
		if slices.ContainsFunc(selected, func(r velero.Resource) bool { return r.String() == resources[name].String() }) {
			names = append(names, name)
		}
	}
	return names
}

// halfBegun is a scene in which one target is restoring and the other one refused.
func halfBegun(t *testing.T) *scene {
	s := newScene(t, m2, m3)
	s.seen.Host.Clusters[m3] = ClusterState{Ready: true, Access: Access{Refusal: "no"}}
	s.restoring()
	return s
}

func TestUnbegun(t *testing.T) {
	destination := newScene(t, m2).m.Spec
	for _, tt := range []struct {
		name  string
		scene func() *scene
		want  []Party
	}{
		{"nothing is resolved", func() *scene {
			s := newScene(t, m2)
			s.seen.Host.SourceFleet = Fleet{}
			return s
		}, nil},
		{"before the start", func() *scene { return newScene(t, m2) }, []Party{{m1, destination.SourceCluster, true}, {m2, destination.TargetCluster, false}}},
		{"recorded and not made", func() *scene {
			s := newScene(t, m2)
			s.record()
			return s
		}, []Party{{m1, destination.SourceCluster, true}, {m2, destination.TargetCluster, false}}},
		{"the Backup is made", func() *scene { return newScene(t, m2).begun() }, []Party{{m2, destination.TargetCluster, false}}},
		{"one Restore is made", func() *scene { return halfBegun(t) }, []Party{{m3, halfBegun(t).m.Spec.TargetCluster, false}}},
		{"the end", func() *scene {
			s := newScene(t, m2)
			s.restoring()
			return s.restore(m2, "Completed")
		}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := tt.scene()
			got := Unbegun(s.m, s.seen.Host)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			for _, p := range got {
				if recorded := s.m.Status.SourceClusterStatus != nil; recorded && PartyOf(s.m, p.Cluster).Source != p.Source {
					t.Errorf("%s is taken for the other", p.Cluster.Name)
				}
			}
		})
	}
}

// TestAccess gives a target every access, and sees that nothing is begun without one
// that is granted, and what is told.
func TestAccess(t *testing.T) {
	for _, tt := range []struct {
		name            string
		access          Access
		reason, message string
		usable          bool
	}{
		{"granted", Access{Granted: true}, "RestoreStarting", "Creating Restore m2-migrate-default-app-c948154d in m2.", true},
		{"refused", Access{Refusal: "jane may not"}, "ClusterNotAuthorized", "AttachedCluster m2 may not be used, waiting for the permission: jane may not.", false},
		{"refused, though granted", Access{Granted: true, Refusal: "jane may not"}, "ClusterNotAuthorized", "AttachedCluster m2 may not be used, waiting for the permission: jane may not.", false},
		{"an error", Access{Err: errDown}, "AccessReviewFailed", "It can't be found out whether AttachedCluster m2 may be used, trying again: connection refused", false},
		{"not known, and known to be waited for before", Access{}, "WaitingForBackup", "Waiting for the Backup in m1.", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(t, m2).begun()
			s.seen.Host.Clusters[m2] = ClusterState{Ready: true, Access: tt.access}
			s.backup("Completed", 5)
			part := s.m.Status.TargetClusterStatus[0].ClusterPart
			if part.Reason != tt.reason || part.Message != tt.message {
				t.Errorf("told is %s: %s", part.Reason, part.Message)
			}
			if actions := Next(s.m, s.seen); (len(actions) == 1) != tt.usable {
				t.Errorf("wants to do %+v", actions)
			}
			if got := slices.Contains(Veleros(s.m, s.seen.Host), Velero{m2, s.seen.Host.Clusters[m2].VeleroNamespace}); got != tt.usable {
				t.Errorf("watches the target: %v", got)
			}
		})
	}
}

func TestWasUsable(t *testing.T) {
	for reason, want := range map[string]bool{
		"": false, "Connecting": false, "HostUnreachable": false, "FleetNotFound": false, "ClusterNotInFleet": false,
		"ClusterNotFound": false, "ClusterNotReady": false, "ClusterNotAuthorized": false, "AccessReviewFailed": false,
		"MemberUnreachable": true, "StorageUnavailable": true, "WaitingForBackup": true, "BackupStarting": true, "NoTargetReady": true,
	} {
		s := newScene(t, m2)
		s.record()
		s.m.Status.TargetClusterStatus[0].Reason = reason
		if got := WasUsable(s.m, m2); got != want {
			t.Errorf("%q: %v, want %v", reason, got, want)
		}
	}
	if WasUsable(newScene(t, m2).m, m2) {
		t.Error("nothing is recorded")
	}
}
