// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
)

func TestHasNamespacePatterns(t *testing.T) {
	for _, tt := range []struct {
		included []string
		want     bool
	}{
		{nil, false},
		{[]string{"a", "b"}, false},
		{[]string{"*"}, false},
		{[]string{"a", "b-*"}, true},
		{[]string{"b?"}, true},
		{[]string{"[ab]"}, true},
	} {
		if got := HasNamespacePatterns(&velerov1.BackupSpec{IncludedNamespaces: tt.included}); got != tt.want {
			t.Errorf("%q has patterns: %t", tt.included, got)
		}
	}
}

func TestResolveNamespaces(t *testing.T) {
	var many []string
	for i := range maxNamespaces + 1 {
		many = append(many, fmt.Sprintf("n-%d", i))
	}
	all := []string{"app-a", "app-b", "app-bc", "kube-system"}
	for name, tt := range map[string]struct {
		namespaces  []string
		given, want velerov1.BackupSpec
	}{
		"star":          {all, velerov1.BackupSpec{IncludedNamespaces: []string{"app-*"}}, velerov1.BackupSpec{IncludedNamespaces: []string{"app-a", "app-b", "app-bc"}}},
		"question mark": {all, velerov1.BackupSpec{IncludedNamespaces: []string{"app-?"}}, velerov1.BackupSpec{IncludedNamespaces: []string{"app-a", "app-b"}}},
		"class":         {all, velerov1.BackupSpec{IncludedNamespaces: []string{"app-[a]", "app-a"}}, velerov1.BackupSpec{IncludedNamespaces: []string{"app-a"}}},
		"a name that does not exist stays": {
			all, velerov1.BackupSpec{IncludedNamespaces: []string{"gone", "app-a*"}}, velerov1.BackupSpec{IncludedNamespaces: []string{"app-a", "gone"}},
		},
		"excluded by a pattern": {
			all, velerov1.BackupSpec{IncludedNamespaces: []string{"app-*"}, ExcludedNamespaces: []string{"*b*"}}, velerov1.BackupSpec{IncludedNamespaces: []string{"app-a"}},
		},
		"none":              {all, velerov1.BackupSpec{IncludedNamespaces: []string{"shop-*"}}, velerov1.BackupSpec{IncludedNamespaces: []string{"shop-*"}, IncludeClusterResources: new(false)}},
		"all are excluded":  {all, velerov1.BackupSpec{IncludedNamespaces: []string{"app-?"}, ExcludedNamespaces: []string{"app-*"}}, velerov1.BackupSpec{IncludedNamespaces: []string{"app-?"}, ExcludedNamespaces: []string{"app-*"}, IncludeClusterResources: new(false)}},
		"none, but cluster": {all, velerov1.BackupSpec{IncludedNamespaces: []string{"shop-*"}, IncludeClusterResources: new(true)}, velerov1.BackupSpec{IncludedNamespaces: []string{"shop-*"}, IncludeClusterResources: new(true)}},
		"none, by scope": {
			all,
			velerov1.BackupSpec{IncludedNamespaces: []string{"shop-*"}, IncludedNamespaceScopedResources: []string{"pods"}},
			velerov1.BackupSpec{IncludedNamespaces: []string{"shop-*"}, IncludedNamespaceScopedResources: []string{"pods"}, ExcludedClusterScopedResources: []string{"*"}},
		},
		"none, but cluster by scope": {
			all,
			velerov1.BackupSpec{IncludedNamespaces: []string{"shop-*"}, IncludedClusterScopedResources: []string{"storageclasses"}},
			velerov1.BackupSpec{IncludedNamespaces: []string{"shop-*"}, IncludedClusterScopedResources: []string{"storageclasses"}},
		},
		"too many": {many, velerov1.BackupSpec{IncludedNamespaces: []string{"n-*"}}, velerov1.BackupSpec{IncludedNamespaces: []string{"n-*"}}},
	} {
		t.Run(name, func(t *testing.T) {
			given := &velerov1.Backup{Spec: tt.given}
			if d := cmp.Diff(tt.want, ResolveNamespaces(given, tt.namespaces).Spec); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(tt.given, given.Spec); d != "" {
				t.Errorf("the given Backup has changed: %s", d)
			}
		})
	}
}
