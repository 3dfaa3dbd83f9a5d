// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
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

func TestWithNamespaces(t *testing.T) {
	type spec = velerov1.BackupSpec
	for name, tt := range map[string]struct{ given, want spec }{
		"star":             {spec{IncludedNamespaces: []string{"app-*"}}, spec{IncludedNamespaces: []string{"app-*"}}},
		"question mark":    {spec{IncludedNamespaces: []string{"app-?"}}, spec{IncludedNamespaces: []string{"app-?"}}},
		"a name and none":  {spec{IncludedNamespaces: []string{"app-a", "x*"}}, spec{IncludedNamespaces: []string{"app-a", "x*"}}},
		"none":             {spec{IncludedNamespaces: []string{"shop-*"}}, spec{IncludedNamespaces: []string{"shop-*"}, IncludeClusterResources: new(false)}},
		"all are excluded": {spec{IncludedNamespaces: []string{"app-?"}, ExcludedNamespaces: []string{"app-*"}}, spec{IncludedNamespaces: []string{"app-?"}, ExcludedNamespaces: []string{"app-*"}, IncludeClusterResources: new(false)}},
		"none, but cluster": {
			spec{IncludedNamespaces: []string{"shop-*"}, IncludeClusterResources: new(true)}, spec{IncludedNamespaces: []string{"shop-*"}, IncludeClusterResources: new(true)},
		},
		"none, by scope": {
			spec{IncludedNamespaces: []string{"shop-*"}, IncludedNamespaceScopedResources: []string{"pods"}},
			spec{IncludedNamespaces: []string{"shop-*"}, IncludedNamespaceScopedResources: []string{"pods"}, ExcludedClusterScopedResources: []string{"*"}},
		},
		"none, but cluster by scope": {
			spec{IncludedNamespaces: []string{"shop-*"}, IncludedClusterScopedResources: []string{"storageclasses"}},
			spec{IncludedNamespaces: []string{"shop-*"}, IncludedClusterScopedResources: []string{"storageclasses"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			given := &velerov1.Backup{Spec: tt.given}
			if d := cmp.Diff(tt.want, WithNamespaces(given, []string{"app-a", "app-b", "kube-system"}).Spec); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(tt.given, given.Spec); d != "" {
				t.Errorf("the given Backup has changed: %s", d)
			}
		})
	}
}
