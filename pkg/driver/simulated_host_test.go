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

// simulatedHost is the host's inventory as it really is.
type simulatedHost struct {
	inventory migration.Inventory
	version   int
}

// wholeFleet is an inventory in which everything is as it should be.
func (s *simulation) wholeFleet() migration.Inventory {
	fleet := migration.Fleet{Found: true, Members: s.clusters}
	inventory := migration.Inventory{SourceFleet: fleet, TargetFleet: fleet, Clusters: map[migration.Cluster]migration.ClusterState{}}
	for _, c := range s.clusters {
		inventory.Clusters[c] = migration.ClusterState{Ready: true, VeleroNamespace: veleroNamespace}
	}
	return inventory
}

func (s *simulation) setHost(what string, inventory migration.Inventory) {
	s.tracef("the host: %s", what)
	s.host.inventory = inventory
	s.host.version++
}

// disturbHost changes one thing on the host.
func (s *simulation) disturbHost() {
	now := s.host.inventory
	c := s.someCluster()
	now.Clusters = maps.Clone(now.Clusters)
	switch s.random.IntN(7) {
	case 0:
		s.setHost("the Fleet is gone", migration.Inventory{Clusters: now.Clusters})
	case 1:
		state := now.Clusters[c]
		state.Ready = !state.Ready
		now.Clusters[c] = state
		s.setHost(c.Name+" is ready or not", now)
	case 2:
		delete(now.Clusters, c)
		s.setHost(c.Name+" does not exist", now)
	case 3:
		members := slices.DeleteFunc(slices.Clone(now.SourceFleet.Members), func(m migration.Cluster) bool { return m == c })
		now.SourceFleet.Members, now.TargetFleet.Members = members, members
		s.setHost(c.Name+" leaves the fleet", now)
	case 4:
		now.Err = errors.New("the host can't be read")
		s.setHost("can't be read", now)
	case 5:
		state := now.Clusters[c]
		state.VeleroNamespace = elsewhere
		now.Clusters[c] = state
		s.setHost("the Velero of "+c.Name+" is said to be elsewhere", now)
	default:
		s.setHost("all is well", s.wholeFleet())
	}
}

// The driver's view of the host, which may be any earlier one.

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
	d.s.tracef("driver %d hears of the host", d.number)
	d.host = d.s.host
	d.loop.enqueueNamespace("default")
}

// etcd is what is stored of the Migrate, and all that ever was.
type etcd struct {
	// stored is nil while there is no Migrate.
	stored      *v1alpha1.Migrate
	versions    []*v1alpha1.Migrate
	incarnation int
}

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

// record is what etcd does with a record: its preconditions.
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
