// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"
	"sigs.k8s.io/yaml"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

const (
	quickstart = `
apiVersion: fleet.kurator.dev/v1alpha1
kind: Fleet
metadata: {name: quickstart, namespace: default}
spec:
  clusters:
  - {kind: AttachedCluster, name: member1}
  - {kind: AttachedCluster, name: member2}
  - {name: capi}
  - {kind: AttachedCluster, name: member1}
  - {kind: AttachedCluster}
  - {kind: AttachedCluster, name: missing}
`
	member1YAML = `
apiVersion: cluster.kurator.dev/v1alpha1
kind: AttachedCluster
metadata: {name: member1, namespace: default, uid: u1}
spec: {kubeconfig: {name: member1-secret, key: config}}
status: {ready: true}
`
	member2YAML = `
apiVersion: cluster.kurator.dev/v1alpha1
kind: AttachedCluster
metadata: {name: member2, namespace: default}
spec: {kubeconfig: {name: member2-secret}}
`
	capiYAML = `
apiVersion: cluster.kurator.dev/v1alpha1
kind: Cluster
metadata: {name: capi, namespace: default}
status: {phase: Ready}
`
	otherNamespaceYAML = `
apiVersion: cluster.kurator.dev/v1alpha1
kind: AttachedCluster
metadata: {name: missing, namespace: other}
status: {ready: true}
`
)

var (
	attached1 = migration.Cluster{Kind: "AttachedCluster", Name: "member1"}
	attached2 = migration.Cluster{Kind: "AttachedCluster", Name: "member2"}
	missing   = migration.Cluster{Kind: "AttachedCluster", Name: "missing"}
	capi      = migration.Cluster{Kind: "Cluster", Name: "capi"}
)

func object(t *testing.T, manifest string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(manifest), &u.Object); err != nil {
		t.Fatal(err)
	}
	return u
}

func client(t *testing.T, manifests ...string) *fake.FakeDynamicClient {
	var objects []runtime.Object
	for _, m := range manifests {
		objects = append(objects, object(t, m))
	}
	lists := map[schema.GroupVersionResource]string{}
	for _, k := range kinds() {
		lists[k.resource] = k.name + "List"
	}
	return fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), lists, objects...)
}

// secrets are the Secrets of the host by namespace/name; with err every Get fails.
type secrets struct {
	data map[string]map[string][]byte
	err  error
}

func (s secrets) Get(_ context.Context, namespace, name string) (*corev1.Secret, error) {
	data, ok := s.data[namespace+"/"+name]
	if s.err != nil {
		return nil, s.err
	}
	if !ok {
		return nil, apierrors.NewNotFound(corev1.Resource("secrets"), name)
	}
	return &corev1.Secret{Data: data}, nil
}

// changes are what an inventory announced.
type changes struct {
	mu         sync.Mutex
	namespaces []string
	clusters   []migration.Cluster
}

// since returns the changes since the last call. It must be called in a synctest bubble: all
// changes are announced after Wait.
func (c *changes) since() ([]string, []migration.Cluster) {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func() { c.namespaces, c.clusters = nil, nil }()
	return c.namespaces, c.clusters
}

// run runs an inventory until the test ends, in a synctest bubble.
func run(t *testing.T, client *fake.FakeDynamicClient, namespaces ...string) (*Inventory, *changes) {
	i, c := New(client, secrets{}, Options{Namespaces: namespaces}), &changes{}
	i.OnChange(func(namespace string) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.namespaces = append(c.namespaces, namespace)
	})
	i.OnClusterChange(func(_ string, cluster migration.Cluster) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.clusters = append(c.clusters, cluster)
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		i.Run(ctx)
		close(done)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	synctest.Wait()
	// Whether an informer has synced is looked at now and then.
	time.Sleep(time.Second)
	c.since()
	return i, c
}

func spec() *v1alpha1.MigrateSpec {
	return &v1alpha1.MigrateSpec{
		SourceCluster: v1alpha1.Destination{Fleet: "quickstart", Clusters: []corev1.ObjectReference{{Kind: "AttachedCluster", Name: "member1"}}},
		TargetCluster: v1alpha1.Destination{Fleet: "nofleet", Clusters: []corev1.ObjectReference{{Name: "capi"}}},
	}
}

func TestInventory(t *testing.T) {
	want := migration.Inventory{
		SourceFleet: migration.Fleet{Found: true, Members: []migration.Cluster{attached1, attached2, capi, missing}},
		Clusters: map[migration.Cluster]migration.ClusterState{
			attached1: {Ready: true, VeleroNamespace: "velero"}, capi: {Ready: true, VeleroNamespace: "velero"},
		},
	}
	manifests := []string{quickstart, member1YAML, member2YAML, capiYAML, otherNamespaceYAML}

	t.Run("observed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			i, _ := run(t, client(t, manifests...))
			if !i.HasSynced() {
				t.Fatal("not synced")
			}
			if got := i.Observe("default", spec()); !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	})
	t.Run("read", func(t *testing.T) {
		if got := New(client(t, manifests...), secrets{}, Options{}).Read(t.Context(), "default", spec()); !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	})
	t.Run("read while the host is down", func(t *testing.T) {
		c := client(t, manifests...)
		c.PrependReactor("get", "attachedclusters", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, errors.New("host is down")
		})
		got := New(c, secrets{}, Options{}).Read(t.Context(), "default", spec())
		if got.Err == nil || !strings.Contains(got.Err.Error(), "host is down") || got.Clusters != nil {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("observed before Run", func(t *testing.T) {
		i := New(client(t, manifests...), secrets{}, Options{})
		if got := i.Observe("default", spec()); !errors.Is(got.Err, ErrNotSynced) || i.HasSynced() {
			t.Errorf("got %+v", got)
		}
	})
}

func TestChanges(t *testing.T) {
	member2Ready := member2YAML + "status: {ready: true}\n"
	for name, tc := range map[string]struct {
		resource string
		manifest string
		clusters []migration.Cluster
		matters  bool
	}{
		"a cluster becomes ready":      {"attachedclusters", member2Ready, []migration.Cluster{attached2}, true},
		"another Secret":               {"attachedclusters", strings.ReplaceAll(member1YAML, "member1-secret", "another"), []migration.Cluster{attached1}, true},
		"another key":                  {"attachedclusters", strings.ReplaceAll(member1YAML, "key: config", "key: another"), []migration.Cluster{attached1}, true},
		"a recreated cluster":          {"attachedclusters", strings.ReplaceAll(member1YAML, "u1", "u2"), []migration.Cluster{attached1}, true},
		"another Velero":               {"attachedclusters", annotated(member1YAML, "v2"), []migration.Cluster{attached1}, true},
		"the default Velero":           {"clusters", annotated(capiYAML, "velero"), nil, false},
		"a Cluster's phase":            {"clusters", strings.ReplaceAll(capiYAML, "Ready", "Failed"), []migration.Cluster{capi}, true},
		"a fleet's members":            {"fleets", strings.ReplaceAll(quickstart, "missing", "another"), nil, true},
		"a cluster's label":            {"attachedclusters", strings.ReplaceAll(member1YAML, "uid: u1", "uid: u1, labels: {a: b}"), nil, false},
		"a fleet's annotation":         {"fleets", strings.ReplaceAll(quickstart, "namespace: default", "namespace: default, annotations: {a: b}"), nil, false},
		"a phase no better than other": {"clusters", capiYAML + "spec: {a: b}\n", nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := client(t, quickstart, member1YAML, member2YAML, capiYAML)
				_, changes := run(t, c)
				gvr := schema.GroupVersionResource{Group: "cluster.kurator.dev", Version: "v1alpha1", Resource: tc.resource}
				if tc.resource == "fleets" {
					gvr.Group = "fleet.kurator.dev"
				}
				if _, err := c.Resource(gvr).Namespace("default").Update(t.Context(), object(t, tc.manifest), metav1.UpdateOptions{}); err != nil {
					t.Fatal(err)
				}
				namespaces, clusters := changes.since()
				if got := reflect.DeepEqual(namespaces, []string{"default"}); got != tc.matters {
					t.Errorf("announced %v, want it to matter: %v", namespaces, tc.matters)
				}
				if !reflect.DeepEqual(clusters, tc.clusters) {
					t.Errorf("announced %v, want %v", clusters, tc.clusters)
				}
			})
		})
	}
}

func TestDeletion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := client(t, quickstart, member1YAML)
		i, changes := run(t, c)
		if err := c.Resource(kinds()[1].resource).Namespace("default").Delete(t.Context(), "member1", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		namespaces, clusters := changes.since()
		if !reflect.DeepEqual(namespaces, []string{"default"}) || !reflect.DeepEqual(clusters, []migration.Cluster{attached1}) {
			t.Errorf("announced %v, %v", namespaces, clusters)
		}
		if got := i.Observe("default", spec()); len(got.Clusters) != 0 {
			t.Errorf("got %+v", got)
		}
	})
}

// TestCRDInstalledLater: a kind without a CRD has no objects until the CRD is installed.
func TestCRDInstalledLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := client(t, quickstart, member1YAML, capiYAML)
		var mu sync.Mutex
		installed := false
		c.PrependReactor("list", "clusters", func(clienttesting.Action) (bool, runtime.Object, error) {
			mu.Lock()
			defer mu.Unlock()
			return !installed, nil, apierrors.NewNotFound(schema.GroupResource{Group: "cluster.kurator.dev", Resource: "clusters"}, "")
		})
		i, changes := run(t, c)
		if !i.HasSynced() {
			t.Fatal("waits for a CRD that is not installed")
		}
		if got := i.Observe("default", spec()); got.Err != nil || len(got.Clusters) != 1 {
			t.Errorf("got %+v", got)
		}

		mu.Lock()
		installed = true
		mu.Unlock()
		time.Sleep(absentRecheck + time.Second)
		if namespaces, clusters := changes.since(); !reflect.DeepEqual(clusters, []migration.Cluster{capi}) {
			t.Errorf("announced %v, %v", namespaces, clusters)
		}
		if got := i.Observe("default", spec()); len(got.Clusters) != 2 {
			t.Errorf("got %+v", got)
		}
	})
}

func TestRunAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := New(client(t, quickstart), secrets{}, Options{})
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			go func() {
				time.Sleep(time.Second)
				if !i.HasSynced() {
					t.Error("not synced")
				}
				cancel()
			}()
			i.Run(ctx)
			if i.HasSynced() {
				t.Error("synced after it was run")
			}
		}
	})
}

func TestKubeconfig(t *testing.T) {
	noReference := strings.ReplaceAll(member1YAML, "spec: {kubeconfig: {name: member1-secret, key: config}}", "spec: {}")
	data := func(secret, key, value string) secrets {
		return secrets{data: map[string]map[string][]byte{"default/" + secret: {key: []byte(value), "token": []byte("s3cret")}}}
	}
	for name, tc := range map[string]struct {
		manifest string
		secrets  secrets
		cluster  migration.Cluster
		want     string
		err      error
		text     string
	}{
		"AttachedCluster":    {member1YAML, data("member1-secret", "config", "k"), attached1, "k", nil, ""},
		"default key":        {member2YAML, data("member2-secret", "value", "k"), attached2, "k", nil, ""},
		"Cluster":            {capiYAML, data("capi-kubeconfig", "value", "k"), capi, "k", nil, ""},
		"no cluster":         {quickstart, secrets{}, attached1, "", ErrClusterNotFound, `there is no AttachedCluster "member1" in namespace "default"`},
		"unknown kind":       {quickstart, secrets{}, migration.Cluster{Kind: "Node", Name: "n"}, "", ErrClusterNotFound, `there is no Node "n"`},
		"a Fleet":            {quickstart, secrets{}, migration.Cluster{Kind: "Fleet", Name: "quickstart"}, "", ErrClusterNotFound, ""},
		"no reference":       {noReference, secrets{}, attached1, "", ErrSecretNotFound, "spec.kubeconfig.name of AttachedCluster default/member1 is empty"},
		"no Secret":          {member1YAML, secrets{}, attached1, "", ErrSecretNotFound, `there is no Secret "member1-secret" in namespace "default"`},
		"no key":             {member1YAML, data("member1-secret", "other", "k"), attached1, "", ErrKubeconfigMissing, `key "config" of Secret default/member1-secret`},
		"empty":              {member1YAML, data("member1-secret", "config", ""), attached1, "", ErrKubeconfigMissing, "missing or empty"},
		"the host times out": {member1YAML, secrets{err: context.DeadlineExceeded}, attached1, "", context.DeadlineExceeded, "read Secret default/member1-secret on the host"},
		"the host refuses":   {member1YAML, secrets{err: errors.New("forbidden")}, attached1, "", nil, "forbidden"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := New(client(t, tc.manifest), tc.secrets, Options{}).Kubeconfig(t.Context(), "default", tc.cluster)
			if string(got) != tc.want {
				t.Errorf("got %q", got)
			}
			if tc.want != "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || tc.err != nil && !errors.Is(err, tc.err) || !strings.Contains(err.Error(), tc.text) {
				t.Fatalf("got %v, want %v and %q", err, tc.err, tc.text)
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("leaks: %v", err)
			}
		})
	}
}

func TestVeleroNamespace(t *testing.T) {
	for name, tc := range map[string]struct {
		manifest string
		cluster  migration.Cluster
		want     string
	}{
		"none":                  {member1YAML, attached1, "velero"},
		"of an AttachedCluster": {annotated(member1YAML, "velero-2"), attached1, "velero-2"},
		"of a Cluster":          {annotated(capiYAML, "backups"), capi, "backups"},
		"empty":                 {annotated(member1YAML, ""), attached1, ""},
		"no name":               {annotated(member1YAML, "a/b"), attached1, "a/b"},
	} {
		t.Run(name, func(t *testing.T) {
			state, found := New(client(t, quickstart, tc.manifest), secrets{}, Options{}).Read(t.Context(), "default", spec()).Clusters[tc.cluster]
			if !found || state.VeleroNamespace != tc.want {
				t.Errorf("got %+v, want %q", state, tc.want)
			}
		})
	}
}

func annotated(manifest, veleroNamespace string) string {
	return strings.ReplaceAll(manifest, "namespace: default", `namespace: default, annotations: {backup.kurator.dev/velero-namespace: "`+veleroNamespace+`"}`)
}

func TestConcurrentBackups(t *testing.T) {
	several := strings.ReplaceAll(member1YAML, "namespace: default", `namespace: default, annotations: {backup.kurator.dev/concurrent-backups: "three"}`)
	for manifest, want := range map[string]string{member1YAML: "", several: "three"} {
		state := New(client(t, quickstart, manifest), secrets{}, Options{}).Read(t.Context(), "default", spec()).Clusters[attached1]
		if state.ConcurrentBackups != want {
			t.Errorf("got %q, want %q", state.ConcurrentBackups, want)
		}
	}
}

// TestNamespaces has an Inventory of two namespaces; one can't be read.
func TestNamespaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := client(t, quickstart, member1YAML, capiYAML)
		c.PrependReactor("list", "*", func(action clienttesting.Action) (bool, runtime.Object, error) {
			if namespace := action.GetNamespace(); namespace != "default" && namespace != "closed" {
				t.Errorf("requested namespace %q", namespace)
			}
			return action.GetNamespace() == "closed", nil, errors.New("closed to us")
		})
		i, _ := run(t, c, "default", "closed")
		if got := i.Observe("default", spec()); got.Err != nil || !got.SourceFleet.Found {
			t.Errorf("got %+v of the namespace that can be read", got)
		}
		if got := i.Observe("closed", spec()); got.Err == nil || i.HasSynced() {
			t.Errorf("got %+v of the namespace that can't be read", got)
		}

		const want = `this server does not drive Migrates of the namespace: "other", only default, closed`
		_, err := i.Kubeconfig(t.Context(), "other", attached1)
		for what, err := range map[string]error{
			"observed": i.Observe("other", spec()).Err, "read": i.Read(t.Context(), "other", spec()).Err, "kubeconfig": err,
		} {
			if !errors.Is(err, ErrNotServed) || err.Error() != want {
				t.Errorf("%s: got %v", what, err)
			}
		}
	})
}

// TestProbe reads clusters that have no status, or that is not ready: they count as ready, unless they don't exist.
func TestProbe(t *testing.T) {
	for status, manifest := range map[string]string{"no status": strings.Split(member1YAML, "status:")[0], "not ready": strings.Replace(member1YAML, "ready: true", "ready: false", 1)} {
		c := client(t, quickstart, manifest)
		if state := New(c, secrets{}, Options{}).Read(t.Context(), "default", spec()).Clusters[attached1]; state.Ready {
			t.Errorf("%s: it is ready by its status", status)
		}
		read := New(c, secrets{}, Options{Probe: true}).Read(t.Context(), "default", spec())
		if state := read.Clusters[attached1]; !state.Ready || state.VeleroNamespace == "" {
			t.Errorf("%s: it is not ready: %+v", status, state)
		}
		if len(read.Clusters) != 1 {
			t.Errorf("%s: clusters that don't exist: %+v", status, read.Clusters)
		}
	}
}
