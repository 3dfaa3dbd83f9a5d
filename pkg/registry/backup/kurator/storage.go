// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package kurator

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
	"kurator.dev/migrate-apiserver/pkg/registry/backup/internal/store"
	"kurator.dev/migrate-apiserver/pkg/registry/backup/internal/table"
)

// Storage has the storage of Backups and Restores.
type Storage struct {
	// Backup and Restore serve the resources.
	Backup, Restore *store.Store
	// BackupStatus and RestoreStatus serve the subresources status.
	BackupStatus, RestoreStatus *StatusREST
}

// New returns the storage of Backups and Restores.
func New(scheme *runtime.Scheme, getter generic.RESTOptionsGetter) (*Storage, error) {
	backups, backupStatus, err := newStore(scheme, getter, &genericregistry.Store{
		NewFunc:                   func() runtime.Object { return &backup.Backup{} },
		NewListFunc:               func() runtime.Object { return &backup.BackupList{} },
		DefaultQualifiedResource:  backup.Resource("backups"),
		SingularQualifiedResource: backup.Resource("backup"),
		TableConvertor:            table.New(backupColumns(), backupCells),
	})
	if err != nil {
		return nil, err
	}
	restores, restoreStatus, err := newStore(scheme, getter, &genericregistry.Store{
		NewFunc:                   func() runtime.Object { return &backup.Restore{} },
		NewListFunc:               func() runtime.Object { return &backup.RestoreList{} },
		DefaultQualifiedResource:  backup.Resource("restores"),
		SingularQualifiedResource: backup.Resource("restore"),
		TableConvertor:            table.New(restoreColumns(), restoreCells),
	})
	if err != nil {
		return nil, err
	}
	return &Storage{Backup: backups, BackupStatus: backupStatus, Restore: restores, RestoreStatus: restoreStatus}, nil
}

func newStore(scheme *runtime.Scheme, getter generic.RESTOptionsGetter, resource *genericregistry.Store) (*store.Store, *StatusREST, error) {
	strategy := NewStrategy(scheme)
	resource.CreateStrategy, resource.UpdateStrategy, resource.DeleteStrategy, resource.ResetFieldsStrategy = strategy, strategy, strategy, strategy
	if err := resource.CompleteWithOptions(&generic.StoreOptions{RESTOptions: getter}); err != nil {
		return nil, nil, fmt.Errorf("storage of %s: %w", resource.DefaultQualifiedResource, err)
	}
	status, statusStrategy := *resource, NewStatusStrategy(scheme)
	status.UpdateStrategy, status.ResetFieldsStrategy = statusStrategy, statusStrategy
	return &store.Store{Store: resource}, &StatusREST{&store.Store{Store: &status}}, nil
}

// StatusREST serves a subresource status.
type StatusREST struct {
	store *store.Store
}

var (
	_ rest.Patcher             = &StatusREST{}
	_ rest.ResetFieldsStrategy = &StatusREST{}
	_ rest.TableConvertor      = &StatusREST{}
)

// New returns an empty object.
func (r *StatusREST) New() runtime.Object { return r.store.New() }

// Destroy does nothing: the storage is that of the resource.
func (r *StatusREST) Destroy() {}

// Get returns the object.
func (r *StatusREST) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	return r.store.Get(ctx, name, options)
}

// Update updates the status.
func (r *StatusREST) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, create rest.ValidateObjectFunc, update rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return r.store.Update(ctx, name, info, create, update, false, options)
}

// GetResetFields returns the fields that an update of the status does not change.
func (r *StatusREST) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return r.store.GetResetFields()
}

// ConvertToTable returns the columns of the resource.
func (r *StatusREST) ConvertToTable(ctx context.Context, obj, options runtime.Object) (*metav1.Table, error) {
	return r.store.ConvertToTable(ctx, obj, options)
}
