// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// SecretGetter reads one Secret of the host.
type SecretGetter interface {
	Get(ctx context.Context, namespace, name string) (*corev1.Secret, error)
}

// Inventory is what the host says of fleets and clusters.
type Inventory struct {
	client  dynamic.Interface
	secrets SecretGetter
	sources []*source

	mu        sync.RWMutex
	onChange  []func(namespace string)
	onCluster []func(namespace string, cluster migration.Cluster)
}

// New makes an Inventory of the host that client and secrets lead to. It makes
// no calls.
func New(client dynamic.Interface, secrets SecretGetter) *Inventory {
	i := &Inventory{client: client, secrets: secrets}
	for _, k := range kinds() {
		i.sources = append(i.sources, newSource(client, k, i.changed))
	}
	return i
}

// OnChange has f called with the namespace in which something changed that
// matters to a migration: the members of a Fleet, or a cluster's existence,
// readiness or kubeconfig reference. What a resync repeats is no change. f must
// not block; register it before Run.
func (i *Inventory) OnChange(f func(namespace string)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.onChange = append(i.onChange, f)
}

// OnClusterChange has f called for each cluster whose object changed in a way
// that matters, before the functions given to OnChange are: what is cached of
// the way into it is to be thrown away. f must not block; register it before
// Run.
func (i *Inventory) OnClusterChange(f func(namespace string, cluster migration.Cluster)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.onCluster = append(i.onCluster, f)
}

// Run watches the host until ctx ends. It may be run again after it returned.
func (i *Inventory) Run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, s := range i.sources {
		wg.Go(func() { s.run(ctx) })
	}
}

// HasSynced says that Run has read everything once.
func (i *Inventory) HasSynced() bool {
	return i.unsynced() == nil
}

// Observe tells what is known of the fleets and clusters of a Migrate with this
// spec in this namespace, from the caches that Run fills. Its Err is set until
// they are filled; later a host that can't be asked shows as no change.
func (i *Inventory) Observe(namespace string, spec *v1alpha1.MigrateSpec) migration.Inventory {
	if err := i.unsynced(); err != nil {
		return migration.Inventory{Err: err}
	}
	get := func(kind, name string) (*unstructured.Unstructured, error) {
		return i.source(kind).get(namespace, name), nil
	}
	return assemble(spec, get)
}

// Ask tells the same as Observe by live calls, one for each object concerned.
// It works while Run does not.
func (i *Inventory) Ask(ctx context.Context, namespace string, spec *v1alpha1.MigrateSpec) migration.Inventory {
	get := func(kind, name string) (*unstructured.Unstructured, error) {
		return i.source(kind).ask(ctx, namespace, name)
	}
	return assemble(spec, get)
}

func (i *Inventory) unsynced() error {
	var errs []error
	for _, s := range i.sources {
		if err := s.unsynced(); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// source returns the source of a kind; that of an unknown kind is empty.
func (i *Inventory) source(kind string) *source {
	for _, s := range i.sources {
		if s.kind.name == kind {
			return s
		}
	}
	return nil
}

func (i *Inventory) changed(kind, namespace, name string) {
	i.mu.RLock()
	defer i.mu.RUnlock()
	if kind != kindFleet {
		for _, f := range i.onCluster {
			f(namespace, migration.Cluster{Kind: kind, Name: name})
		}
	}
	for _, f := range i.onChange {
		f(namespace)
	}
}

// assemble builds an Inventory of what get finds; get returns nil for an object
// that does not exist.
func assemble(spec *v1alpha1.MigrateSpec, get func(kind, name string) (*unstructured.Unstructured, error)) migration.Inventory {
	inv := migration.Inventory{Clusters: map[migration.Cluster]migration.ClusterState{}}
	var errs []error

	fleet := func(name string) migration.Fleet {
		obj, err := get(kindFleet, name)
		if err != nil {
			errs = append(errs, fmt.Errorf("read fleet %q: %w", name, err))
		}
		if obj == nil {
			return migration.Fleet{}
		}
		return migration.Fleet{Found: true, Members: fleetMembers(obj)}
	}
	inv.SourceFleet = fleet(spec.SourceCluster.Fleet)
	inv.TargetFleet = inv.SourceFleet
	if spec.TargetCluster.Fleet != spec.SourceCluster.Fleet {
		inv.TargetFleet = fleet(spec.TargetCluster.Fleet)
	}

	asked := map[migration.Cluster]bool{}
	for _, c := range concerned(spec, inv) {
		if asked[c] {
			continue
		}
		asked[c] = true
		obj, err := get(c.Kind, c.Name)
		if err != nil {
			errs = append(errs, fmt.Errorf("read %s %q: %w", c.Kind, c.Name, err))
		}
		if obj != nil {
			inv.Clusters[c] = migration.ClusterState{Ready: readCluster(c.Kind, obj).ready}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return migration.Inventory{Err: err}
	}
	return inv
}

// concerned lists the clusters that the spec names and those that its fleets
// have.
func concerned(spec *v1alpha1.MigrateSpec, inv migration.Inventory) []migration.Cluster {
	all := append([]migration.Cluster{}, inv.SourceFleet.Members...)
	all = append(all, inv.TargetFleet.Members...)
	for _, refs := range [][]corev1.ObjectReference{spec.SourceCluster.Clusters, spec.TargetCluster.Clusters} {
		for _, ref := range refs {
			if c := migration.ClusterFor(ref); c.Name != "" {
				all = append(all, c)
			}
		}
	}
	return all
}
