// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/dynamic"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/fleet/internal/access"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/recovery"
)

// maxReads is the number of clusters of one Migrate that are read at the same time.
const maxReads = 16

// SecretGetter reads one Secret of the host.
type SecretGetter interface {
	Get(ctx context.Context, namespace, name string) (*corev1.Secret, error)
}

// Inventory reads the fleets and clusters of the host. It is safe for concurrent use.
type Inventory struct {
	client     dynamic.Interface
	secrets    SecretGetter
	namespaces []string
	probe      bool
	access     *access.Providers
	sources    []*source

	mu        sync.RWMutex
	onChange  []func(namespace string)
	onCluster []func(namespace string, cluster migration.Cluster)
}

// Options are the options of an Inventory.
type Options struct {
	// Namespaces are the only namespaces of the host that are read. Empty: all.
	Namespaces []string
	// Probe has every cluster count as ready whatever its status says: nothing is done in it before its API server has
	// answered with its kubeconfig anyway.
	Probe bool
	// Access are the access providers of ClusterProfiles; nil if there are none.
	Access *access.Providers
}

// LoadAccessProviders reads the access providers of ClusterProfiles from a file, in the format of KEP-5339.
func LoadAccessProviders(file string) (*access.Providers, error) { return access.Load(file) }

// New returns an Inventory. It makes no calls.
func New(client dynamic.Interface, secrets SecretGetter, o Options) *Inventory {
	i := &Inventory{client: client, secrets: secrets, namespaces: o.Namespaces, probe: o.Probe, access: o.Access}
	if len(i.namespaces) == 0 {
		i.namespaces = []string{metav1.NamespaceAll}
	}
	for _, namespace := range i.namespaces {
		for _, k := range kinds() {
			i.sources = append(i.sources, newSource(client, k, namespace, i.changed))
		}
	}
	return i
}

// OnChange registers a function that is called with a namespace after the members of a Fleet,
// or the existence, readiness or kubeconfig reference of a cluster have changed in it. It must
// be registered before Run, and must not block.
func (i *Inventory) OnChange(f func(namespace string)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.onChange = append(i.onChange, f)
}

// OnClusterChange registers a function that is called with a cluster after such a change of its
// object, before the functions of OnChange: cached connections to the cluster are stale then. It
// must be registered before Run, and must not block.
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

// HasSynced reports whether Run has listed all kinds.
func (i *Inventory) HasSynced() bool {
	return unsynced(i.sources) == nil
}

// Observe returns the fleets and clusters of a Migrate with this spec in this namespace from the
// caches of Run. Err is set until they have synced; a host that is unreachable later shows as no
// change.
func (i *Inventory) Observe(namespace string, spec *v1alpha1.MigrateSpec) migration.Inventory {
	sources, err := i.sourcesOf(namespace)
	if err == nil {
		err = unsynced(sources)
	}
	if err != nil {
		return migration.Inventory{Err: err}
	}
	found := i.assemble(spec, reader{
		get: func(kind, name string) (*unstructured.Unstructured, error) {
			return sourceOf(sources, kind).get(namespace, name), nil
		},
		profiles: func(set string) ([]*unstructured.Unstructured, error) {
			return sourceOf(sources, migration.KindClusterProfile).labelled(namespace, ClusterSetLabel, set), nil
		},
	})
	// If Run has ended in between, the caches had nothing.
	if err := unsynced(sources); err != nil {
		return migration.Inventory{Err: err}
	}
	return found
}

// Read returns the same as Observe by live calls, one for each object. It does not need Run.
func (i *Inventory) Read(ctx context.Context, namespace string, spec *v1alpha1.MigrateSpec) migration.Inventory {
	sources, err := i.sourcesOf(namespace)
	if err != nil {
		return migration.Inventory{Err: err}
	}
	return i.assemble(spec, reader{
		get: func(kind, name string) (*unstructured.Unstructured, error) {
			return sourceOf(sources, kind).read(ctx, namespace, name)
		},
		profiles: func(set string) ([]*unstructured.Unstructured, error) {
			return sourceOf(sources, migration.KindClusterProfile).readLabelled(ctx, namespace, ClusterSetLabel, set)
		},
	})
}

// sourcesOf returns the sources of a namespace.
func (i *Inventory) sourcesOf(namespace string) ([]*source, error) {
	var sources []*source
	for _, s := range i.sources {
		if s.namespace == metav1.NamespaceAll || s.namespace == namespace {
			sources = append(sources, s)
		}
	}
	if len(sources) == 0 {
		return nil, fmt.Errorf("%w: %q, only %s", ErrNotServed, namespace, strings.Join(i.namespaces, ", "))
	}
	return sources, nil
}

func unsynced(sources []*source) error {
	var errs []error
	for _, s := range sources {
		errs = append(errs, s.unsynced())
	}
	return errors.Join(errs...)
}

// sourceOf returns the source of a kind; nil, which has no objects, for an unknown kind.
func sourceOf(sources []*source, kind string) *source {
	for _, s := range sources {
		if s.kind.name == kind {
			return s
		}
	}
	return nil
}

func (i *Inventory) changed(kind, namespace, name string) {
	i.mu.RLock()
	defer i.mu.RUnlock()
	if kind != migration.KindFleet {
		for _, f := range i.onCluster {
			f(namespace, migration.Cluster{Kind: kind, Name: name})
		}
	}
	for _, f := range i.onChange {
		f(namespace)
	}
}

// reader reads objects of a namespace.
type reader struct {
	// get returns an object; nil if it does not exist.
	get func(kind, name string) (*unstructured.Unstructured, error)
	// profiles returns the ClusterProfiles of a cluster set.
	profiles func(set string) ([]*unstructured.Unstructured, error)
}

// fleet returns the fleet with a name: a Fleet, with those ClusterProfiles of the cluster set of that name that the destination
// names, or the cluster set if there is no such Fleet.
func (r reader) fleet(d v1alpha1.Destination) (migration.Fleet, error) {
	obj, err := r.get(migration.KindFleet, d.Fleet)
	if err != nil {
		return migration.Fleet{}, fmt.Errorf("read fleet %q: %w", d.Fleet, err)
	}
	var fleet migration.Fleet
	if obj != nil {
		fleet = migration.Fleet{Found: true, Members: Members(obj)}
	}
	if fleet.Found && !namesProfiles(d) {
		return fleet, nil
	}
	profiles, err := r.profiles(d.Fleet)
	if apierrors.IsForbidden(err) && !namesProfiles(d) {
		return fleet, nil // as where the kind does not exist
	}
	if err != nil {
		return migration.Fleet{}, fmt.Errorf("read cluster set %q: %w", d.Fleet, err)
	}
	for _, profile := range profiles {
		fleet.Found = true
		fleet.Members = append(fleet.Members, migration.Cluster{Kind: migration.KindClusterProfile, Name: profile.GetName()})
	}
	return fleet, nil
}

func namesProfiles(d v1alpha1.Destination) bool {
	return slices.ContainsFunc(d.Clusters, func(ref corev1.ObjectReference) bool { return ref.Kind == migration.KindClusterProfile })
}

// assemble returns an Inventory of the objects that r reads.
func (i *Inventory) assemble(spec *v1alpha1.MigrateSpec, r reader) migration.Inventory {
	inv := migration.Inventory{Clusters: map[migration.Cluster]migration.ClusterState{}}
	var errs []error

	fleet := func(d v1alpha1.Destination) migration.Fleet {
		found, err := r.fleet(d)
		if err != nil {
			errs = append(errs, err)
		}
		return found
	}
	source, target := spec.SourceCluster, spec.TargetCluster
	inv.SourceFleet = fleet(source)
	inv.TargetFleet = inv.SourceFleet
	if target.Fleet != source.Fleet || namesProfiles(target) != namesProfiles(source) {
		inv.TargetFleet = fleet(target)
	}

	clusters := clustersOf(spec, inv)
	states := make([]*migration.ClusterState, len(clusters))
	failures := make([]error, len(clusters))
	var group errgroup.Group
	group.SetLimit(maxReads)
	for n, c := range clusters {
		group.Go(func() error {
			err := recovery.Do(context.Background(), func() error {
				obj, err := r.get(c.Kind, c.Name)
				if k, ok := clusterKindOf(c.Kind); ok && obj != nil {
					found := k.cluster(obj)
					states[n] = &migration.ClusterState{
						Ready: found.ready || i.probe, VeleroNamespace: found.veleroNamespace, ConcurrentBackups: found.concurrentBackups,
					}
				}
				return err
			})
			if err != nil {
				failures[n] = fmt.Errorf("read %s %q: %w", c.Kind, c.Name, err)
			}
			return nil
		})
	}
	_ = group.Wait() // failures has the errors, so that all of them are reported
	for n, c := range clusters {
		if states[n] != nil {
			inv.Clusters[c] = *states[n]
		}
	}
	if err := errors.Join(append(errs, failures...)...); err != nil {
		return migration.Inventory{Err: err}
	}
	return inv
}

// clustersOf returns the clusters of a spec, each once: those that it names or, if it names none,
// the members of the fleet, unless those are more than a migration can have.
func clustersOf(spec *v1alpha1.MigrateSpec, inv migration.Inventory) []migration.Cluster {
	var all []migration.Cluster
	add := func(d v1alpha1.Destination, fleet migration.Fleet) {
		if len(d.Clusters) == 0 && len(fleet.Members) <= 1+backup.MaxClusters {
			all = append(all, fleet.Members...)
		}
		for _, ref := range d.Clusters {
			if c := migration.ClusterFor(ref); c.Name != "" {
				all = append(all, c)
			}
		}
	}
	add(spec.SourceCluster, inv.SourceFleet)
	add(spec.TargetCluster, inv.TargetFleet)
	return sets.New(all...).UnsortedList()
}
