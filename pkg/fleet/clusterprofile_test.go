// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/fleet/internal/access"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

const profileYAML = `
apiVersion: multicluster.x-k8s.io/v1alpha1
kind: ClusterProfile
metadata: {name: NAME, namespace: default, labels: {multicluster.x-k8s.io/clusterset: SET}}
spec: {clusterManager: {name: manager}}
status:
  conditions: [{type: ControlPlaneHealthy, status: "HEALTHY"}]
  accessProviders:
  - {name: other, cluster: {server: "https://other.example.com"}}
  - {name: files, cluster: {server: "https://member1.example.com", certificate-authority-data: Y2E=}}
`

func profile(name, set, healthy string) string {
	return strings.NewReplacer("NAME", name, "SET", set, "HEALTHY", healthy).Replace(profileYAML)
}

func TestClusterSets(t *testing.T) {
	profileOf := func(name string) migration.Cluster { return migration.Cluster{Kind: "ClusterProfile", Name: name} }
	refs := func(names ...string) []corev1.ObjectReference {
		var refs []corev1.ObjectReference
		for _, name := range names {
			refs = append(refs, corev1.ObjectReference{Kind: "ClusterProfile", Name: name})
		}
		return refs
	}
	manifests := []string{
		quickstart, member1YAML, member2YAML, capiYAML,
		profile("b", "prod", "True"), profile("a", "prod", "False"), profile("c", "other", "True"), profile("d", "quickstart", "True"),
		strings.ReplaceAll(profile("e", "prod", "True"), "namespace: default", "namespace: other"),
	}
	for name, tc := range map[string]struct {
		destination v1alpha1.Destination
		want        migration.Fleet
		ready       map[migration.Cluster]bool
	}{
		"all of a cluster set": {
			v1alpha1.Destination{Fleet: "prod"},
			migration.Fleet{Found: true, Members: []migration.Cluster{profileOf("a"), profileOf("b")}},
			map[migration.Cluster]bool{profileOf("a"): false, profileOf("b"): true},
		},
		"one of another set": {
			v1alpha1.Destination{Fleet: "prod", Clusters: refs("c")},
			migration.Fleet{Found: true, Members: []migration.Cluster{profileOf("a"), profileOf("b")}},
			map[migration.Cluster]bool{profileOf("c"): true},
		},
		"a Fleet has no profiles that are not named": {
			v1alpha1.Destination{Fleet: "quickstart", Clusters: []corev1.ObjectReference{{Kind: "AttachedCluster", Name: "member1"}}},
			migration.Fleet{Found: true, Members: []migration.Cluster{attached1, attached2, capi, missing}},
			map[migration.Cluster]bool{attached1: true},
		},
		"a Fleet and the cluster set of its name": {
			v1alpha1.Destination{Fleet: "quickstart", Clusters: refs("d")},
			migration.Fleet{Found: true, Members: []migration.Cluster{attached1, attached2, capi, missing, profileOf("d")}},
			map[migration.Cluster]bool{profileOf("d"): true},
		},
		"neither": {v1alpha1.Destination{Fleet: "none"}, migration.Fleet{}, map[migration.Cluster]bool{}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cached, _ := run(t, client(t, manifests...))
				spec := &v1alpha1.MigrateSpec{SourceCluster: tc.destination, TargetCluster: tc.destination}
				for how, inventory := range map[string]migration.Inventory{
					"observed": cached.Observe("default", spec), "read": cached.Read(t.Context(), "default", spec),
				} {
					if inventory.Err != nil {
						t.Fatalf("%s: %v", how, inventory.Err)
					}
					if !reflect.DeepEqual(inventory.SourceFleet, tc.want) || !reflect.DeepEqual(inventory.TargetFleet, tc.want) {
						t.Errorf("%s: got %+v and %+v, want %+v", how, inventory.SourceFleet, inventory.TargetFleet, tc.want)
					}
					ready := map[migration.Cluster]bool{}
					for c, state := range inventory.Clusters {
						ready[c] = state.Ready
					}
					if !reflect.DeepEqual(ready, tc.ready) {
						t.Errorf("%s: ready %v, want %v", how, ready, tc.ready)
					}
				}
			})
		})
	}
}

// TestClusterProfilesMayBeForbidden: an installation of an earlier version has no permission to list them.
func TestClusterProfilesMayBeForbidden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := client(t, quickstart, member1YAML, capiYAML)
		host.PrependReactor("*", "clusterprofiles", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewForbidden(schema.GroupResource{Group: "multicluster.x-k8s.io", Resource: "clusterprofiles"}, "", errors.New("no rule"))
		})
		cached, _ := run(t, host)
		for how, read := range map[string]func(*v1alpha1.MigrateSpec) migration.Inventory{
			"observed": func(s *v1alpha1.MigrateSpec) migration.Inventory { return cached.Observe("default", s) },
			"read":     func(s *v1alpha1.MigrateSpec) migration.Inventory { return cached.Read(t.Context(), "default", s) },
		} {
			inventory := read(spec())
			if inventory.Err != nil || !inventory.SourceFleet.Found || inventory.TargetFleet.Found {
				t.Errorf("%s: %+v", how, inventory)
			}
		}
		profiles := v1alpha1.Destination{Fleet: "prod", Clusters: []corev1.ObjectReference{{Kind: "ClusterProfile", Name: "a"}}}
		if inventory := cached.Read(t.Context(), "default", &v1alpha1.MigrateSpec{SourceCluster: profiles, TargetCluster: profiles}); !apierrors.IsForbidden(inventory.Err) {
			t.Errorf("a Migrate that needs them: %v", inventory.Err)
		}
	})
}

func TestKubeconfigOfAClusterProfile(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "provider")
	if err := os.WriteFile(script, []byte(`#!/bin/sh
echo run >>`+dir+`/runs
echo '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "t0ken"}}'
`), 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "providers.yaml")
	if err := os.WriteFile(file, []byte("providers: [{name: files, execConfig: {apiVersion: client.authentication.k8s.io/v1, command: "+script+"}}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	providers, err := LoadAccessProviders(file)
	if err != nil {
		t.Fatal(err)
	}
	i := New(client(t, profile("a", "prod", "True"), strings.ReplaceAll(profile("b", "prod", "True"), "name: files", "name: unknown")), secrets{}, Options{Access: providers})
	a := migration.Cluster{Kind: "ClusterProfile", Name: "a"}
	runs := func() int {
		content, _ := os.ReadFile(filepath.Join(dir, "runs"))
		return strings.Count(string(content), "run")
	}
	for n := range 2 {
		kubeconfig, err := i.Kubeconfig(t.Context(), "default", a)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"server: https://member1.example.com", "certificate-authority-data: Y2E=", "token: t0ken"} {
			if !strings.Contains(string(kubeconfig), want) {
				t.Errorf("the kubeconfig %d lacks %q:\n%s", n, want, kubeconfig)
			}
		}
	}
	if got := runs(); got != 1 {
		t.Errorf("the program ran %d times for cached credentials", got)
	}
	i.Refused("default", a)
	if _, err := i.Kubeconfig(t.Context(), "default", a); err != nil {
		t.Fatal(err)
	}
	if got := runs(); got != 1 {
		t.Errorf("the program had run %d times after the cluster refused credentials that are new", got)
	}

	_, err = i.Kubeconfig(t.Context(), "default", migration.Cluster{Kind: "ClusterProfile", Name: "b"})
	if want := `it has ["other" "unknown"], and --cluster-access-providers of this server has ["files"]`; !errors.Is(err, access.ErrNoProvider) || !strings.Contains(err.Error(), want) {
		t.Errorf("without a provider: %v, want %s", err, want)
	}
	_, err = New(client(t, profile("a", "prod", "True")), secrets{}, Options{}).Kubeconfig(t.Context(), "default", a)
	if !errors.Is(err, access.ErrNoProvider) {
		t.Errorf("without a file: %v", err)
	}
}
