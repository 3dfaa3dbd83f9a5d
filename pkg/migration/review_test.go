// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migration

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
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

var resources = map[string]Resource{
	"configmaps":  {Name: "configmaps", Kind: "ConfigMap", Singular: "configmap", ShortNames: []string{"cm"}, Namespaced: true},
	"secrets":     {Name: "secrets", Kind: "Secret", Singular: "secret", Namespaced: true},
	"deployments": {Group: "apps", Name: "deployments", Kind: "Deployment", Singular: "deployment", ShortNames: []string{"deploy"}, Namespaced: true},
	"events":      {Name: "events", Kind: "Event", Singular: "event", ShortNames: []string{"ev"}, Namespaced: true},
	"volumes":     {Name: "persistentvolumes", Kind: "PersistentVolume", Singular: "persistentvolume", ShortNames: []string{"pv"}},
	"roles":       {Group: "rbac.authorization.k8s.io", Name: "clusterroles", Kind: "ClusterRole", Singular: "clusterrole"},
	"nodes":       {Name: "nodes", Kind: "Node", Singular: "node", ShortNames: []string{"no"}},
}

func TestSelects(t *testing.T) {
	const (
		namespaced = "configmaps deployments events secrets"
		everything = "configmaps deployments events nodes roles secrets volumes"
	)
	in := []string{"a"}
	for _, tt := range []struct {
		name   string
		filter v1alpha1.ResourceFilter
		// source and target are the resources that are asked about.
		source, target string
	}{
		{"everything", v1alpha1.ResourceFilter{}, everything, "configmaps deployments roles secrets volumes"},
		{"a namespace", v1alpha1.ResourceFilter{IncludedNamespaces: in}, namespaced, "configmaps deployments secrets"},
		{"a namespace by a pattern", v1alpha1.ResourceFilter{IncludedNamespaces: []string{"a-*"}}, everything, "configmaps deployments roles secrets volumes"},
		{"a namespace and the cluster", v1alpha1.ResourceFilter{IncludedNamespaces: in, IncludeClusterResources: new(true)}, everything, "configmaps deployments roles secrets volumes"},
		{"without the cluster", v1alpha1.ResourceFilter{IncludeClusterResources: new(false)}, namespaced, "configmaps deployments secrets"},
		{"one by name", v1alpha1.ResourceFilter{IncludedResources: []string{"secrets"}}, "secrets", "secrets"},
		{"one by group", v1alpha1.ResourceFilter{IncludedResources: []string{"deployments.apps"}}, "deployments", "deployments"},
		{"one by another group", v1alpha1.ResourceFilter{IncludedResources: []string{"deployments.extensions"}}, "", ""},
		{"some in short", v1alpha1.ResourceFilter{IncludedResources: []string{"cm", "Deploy", "Secret", "pv"}}, "configmaps deployments secrets volumes", "configmaps deployments secrets volumes"},
		{"all by a star", v1alpha1.ResourceFilter{IncludedResources: []string{"*"}}, everything, "configmaps deployments roles secrets volumes"},
		{"all but one", v1alpha1.ResourceFilter{ExcludedResources: []string{"secret"}, IncludedNamespaces: in}, "configmaps deployments events", "configmaps deployments"},
		{"one of the cluster in a namespace", v1alpha1.ResourceFilter{IncludedNamespaces: in, IncludedResources: []string{"pv", "cm"}}, "configmaps", "configmaps"},
		{"what is never restored", v1alpha1.ResourceFilter{IncludedResources: []string{"events", "nodes"}}, "events nodes", ""},
		{"scoped", v1alpha1.ResourceFilter{IncludedNamespaceScopedResources: []string{"cm"}, IncludedClusterScopedResources: []string{"clusterroles"}}, "configmaps roles", "configmaps roles"},
		{"scoped, of the cluster alone", v1alpha1.ResourceFilter{IncludedNamespaces: in, IncludedClusterScopedResources: []string{"*"}}, everything, "configmaps deployments roles secrets volumes"},
		{"scoped, all but", v1alpha1.ResourceFilter{ExcludedNamespaceScopedResources: []string{"secrets"}, ExcludedClusterScopedResources: []string{"nodes", "pv"}}, "configmaps deployments events roles", "configmaps deployments roles"},
		{"scoped, none of a kind", v1alpha1.ResourceFilter{ExcludedNamespaceScopedResources: []string{"*"}}, "nodes roles volumes", "roles volumes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newScene(t, m2).m
			m.Spec.Policy = &v1alpha1.MigratePolicy{ResourceFilter: &tt.filter}
			for side, want := range map[bool]string{true: tt.source, false: tt.target} {
				r := ReviewOf(m, Party{Source: side})
				var got []string
				for _, name := range strings.Fields(everything) {
					if r.Selects(resources[name]) {
						got = append(got, name)
					}
				}
				if strings.Join(got, " ") != want {
					t.Errorf("selects in the source (%v) %v, want %s", side, got, want)
				}
			}
		})
	}
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
