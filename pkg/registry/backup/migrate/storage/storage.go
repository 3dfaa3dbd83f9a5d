// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
	"kurator.dev/migrate-apiserver/pkg/registry/backup/internal/store"
	"kurator.dev/migrate-apiserver/pkg/registry/backup/internal/table"
	"kurator.dev/migrate-apiserver/pkg/registry/backup/migrate"
)

// Storage has the storage of Migrates.
type Storage struct {
	// Migrate serves the resource.
	Migrate *REST
	// Client reads and records Migrates within the process.
	Client *Client
}

// New returns the storage of Migrates.
func New(scheme *runtime.Scheme, getter generic.RESTOptionsGetter) (*Storage, error) {
	strategy := migrate.NewStrategy(scheme)
	migrates := &genericregistry.Store{
		NewFunc:                   func() runtime.Object { return &backup.Migrate{} },
		NewListFunc:               func() runtime.Object { return &backup.MigrateList{} },
		PredicateFunc:             migrate.Match,
		DefaultQualifiedResource:  backup.Resource("migrates"),
		SingularQualifiedResource: backup.Resource("migrate"),
		CreateStrategy:            strategy,
		UpdateStrategy:            strategy,
		DeleteStrategy:            strategy,
		ResetFieldsStrategy:       strategy,
		TableConvertor:            table.New(columns(), cells),
	}
	if err := migrates.CompleteWithOptions(&generic.StoreOptions{RESTOptions: getter, AttrFunc: migrate.GetAttrs}); err != nil {
		return nil, fmt.Errorf("storage of %s: %w", migrates.DefaultQualifiedResource, err)
	}

	recording := *migrates
	recording.UpdateStrategy = migrate.NewRecordingStrategy(scheme)
	served := &store.Store{Store: migrates}
	return &Storage{Migrate: &REST{served}, Client: &Client{reads: served, records: &recording}}, nil
}

// REST serves migrates.
type REST struct {
	*store.Store
}
