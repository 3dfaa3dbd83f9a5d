// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// simulatedHost is a version of the host's inventory.
type simulatedHost struct {
	inventory migration.Inventory
	version   int
}

// completeInventory returns an inventory without faults.
func (s *simulation) completeInventory() migration.Inventory {
	fleet := migration.Fleet{Found: true, Members: s.clusters}
	inventory := migration.Inventory{SourceFleet: fleet, TargetFleet: fleet, Clusters: map[migration.Cluster]migration.ClusterState{}}
	for _, c := range s.clusters {
		inventory.Clusters[c] = migration.ClusterState{Ready: true, VeleroNamespace: veleroNamespace}
	}
	return inventory
}

// setHost replaces the inventory of the host.
func (s *simulation) setHost(what string, inventory migration.Inventory) {
	s.tracef("the host: %s", what)
	s.host.inventory = inventory
	s.host.version++
}

// disturbHost makes one random change to the inventory.
func (s *simulation) disturbHost() {
	inventory := s.host.inventory
	c := s.randomCluster()
	inventory.Clusters = maps.Clone(inventory.Clusters)
	switch s.random.IntN(7) {
	case 0:
		s.setHost("the Fleet is deleted", migration.Inventory{Clusters: inventory.Clusters})
	case 1:
		state := inventory.Clusters[c]
		state.Ready = !state.Ready
		inventory.Clusters[c] = state
		s.setHost(c.Name+" changes its readiness", inventory)
	case 2:
		delete(inventory.Clusters, c)
		s.setHost(c.Name+" is deleted", inventory)
	case 3:
		members := slices.DeleteFunc(slices.Clone(inventory.SourceFleet.Members), func(m migration.Cluster) bool { return m == c })
		inventory.SourceFleet.Members, inventory.TargetFleet.Members = members, members
		s.setHost(c.Name+" leaves the fleet", inventory)
	case 4:
		inventory.Err = errors.New("reading the host failed")
		s.setHost("reads fail", inventory)
	case 5:
		state := inventory.Clusters[c]
		state.VeleroNamespace = elsewhere
		inventory.Clusters[c] = state
		s.setHost(c.Name+" has another Velero namespace", inventory)
	default:
		s.setHost("no faults", s.completeInventory())
	}
}

// The driver's cache of the host, which may be any earlier version.

func (d *simulatedDriver) Run(ctx context.Context) { <-ctx.Done() }
func (d *simulatedDriver) OnChange(func(string))   {}
func (d *simulatedDriver) HasSynced() bool         { return true }

func (d *simulatedDriver) Observe(string, *v1alpha1.MigrateSpec) migration.Inventory {
	return d.host.inventory
}

func (d *simulatedDriver) Read(context.Context, string, *v1alpha1.MigrateSpec) migration.Inventory {
	return d.s.host.inventory
}

func (d *simulatedDriver) deliverHost() {
	d.s.tracef("driver %d receives the inventory of the host", d.number)
	d.host = d.s.host
	d.loop.enqueueNamespace("default")
}

// etcd holds the stored Migrate and all its versions.
type etcd struct {
	// stored is nil while there is no Migrate.
	stored *v1alpha1.Migrate
	// versions are all versions so far; a nil version is a deletion.
	versions []*v1alpha1.Migrate
	// incarnation is the number of Migrates created so far.
	incarnation int
}

// store stores a version of the Migrate; nil deletes it.
func (e *etcd) store(m *v1alpha1.Migrate) {
	if m != nil {
		m = m.DeepCopy()
		m.ResourceVersion = strconv.Itoa(len(e.versions) + 1)
	}
	e.stored = m
	e.versions = append(e.versions, m)
}

func (e *etcd) get(name string) (*v1alpha1.Migrate, error) {
	if e.stored == nil {
		return nil, apierrors.NewNotFound(v1alpha1.Resource("migrates"), name)
	}
	return e.stored.DeepCopy(), nil
}

// record stores m's status if the stored Migrate has m's UID and resourceVersion.
func (e *etcd) record(m *v1alpha1.Migrate) (*v1alpha1.Migrate, error) {
	stored, err := e.get(m.Name)
	if err != nil {
		return nil, err
	}
	if m.ResourceVersion != stored.ResourceVersion || m.UID != stored.UID {
		return nil, apierrors.NewConflict(v1alpha1.Resource("migrates"), m.Name, errors.New("resourceVersion"))
	}
	stored.Status = m.Status
	e.store(stored)
	return e.get(m.Name)
}
