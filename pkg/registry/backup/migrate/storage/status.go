// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/registry/backup/internal/readers"
)

// LiveStatus computes the status of a Migrate from the live Velero objects.
type LiveStatus interface {
	LiveStatus(ctx context.Context, m *v1alpha1.Migrate) (*v1alpha1.MigrateStatus, error)
}

// StatusREST serves GET of migrates/status. The server answers other verbs with 405.
type StatusREST struct {
	migrates *REST
	live     LiveStatus
	readers  *readers.Readers
}

var (
	_ rest.Storage        = &StatusREST{}
	_ rest.Getter         = &StatusREST{}
	_ rest.TableConvertor = &StatusREST{}
)

// NewStatusREST returns the storage of the subresource, whose status live computes.
func NewStatusREST(migrates *REST, live LiveStatus) *StatusREST {
	return &StatusREST{migrates: migrates, live: live, readers: newReaders("live statuses", "read the recorded status of the Migrates")}
}

// Get returns the recorded Migrate with its live status.
func (r *StatusREST) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	m, err := r.migrates.recorded(ctx, name, options)
	if err != nil {
		return nil, err
	}
	done, err := r.readers.Admit(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	status, err := r.live.LiveStatus(ctx, m)
	if err != nil {
		return nil, r.statusError(name, err)
	}
	m.Status = *status
	return fromV1alpha1(m)
}

func (r *StatusREST) statusError(name string, err error) error {
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		return err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return apierrors.NewServerTimeout(r.migrates.DefaultQualifiedResource, "get", 1)
	}
	return apierrors.NewInternalError(fmt.Errorf("status of %s %q: %w", r.migrates.DefaultQualifiedResource, name, err))
}

// New returns an empty Migrate.
func (r *StatusREST) New() runtime.Object { return &backup.Migrate{} }

// Destroy does nothing: the store belongs to the resource.
func (r *StatusREST) Destroy() {}

// ConvertToTable returns the same table as the resource.
func (r *StatusREST) ConvertToTable(ctx context.Context, obj, options runtime.Object) (*metav1.Table, error) {
	return r.migrates.ConvertToTable(ctx, obj, options)
}

// recorded returns the Migrate of a subresource as it is stored.
func (r *REST) recorded(ctx context.Context, name string, options *metav1.GetOptions) (*v1alpha1.Migrate, error) {
	stored, err := r.Get(ctx, name, options)
	if err != nil {
		return nil, err
	}
	m, err := toV1alpha1(stored)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	return m, nil
}

// toV1alpha1 converts a copy of obj, because generated conversions share pointers.
func toV1alpha1(obj runtime.Object) (*v1alpha1.Migrate, error) {
	internal, ok := obj.(*backup.Migrate)
	if !ok {
		return nil, fmt.Errorf("%T is not a Migrate", obj)
	}
	m := &v1alpha1.Migrate{}
	if err := v1alpha1.Convert_backup_Migrate_To_v1alpha1_Migrate(internal.DeepCopy(), m, nil); err != nil {
		return nil, fmt.Errorf("convert Migrate %s/%s: %w", internal.Namespace, internal.Name, err)
	}
	return m, nil
}

// fromV1alpha1 converts a copy of m.
func fromV1alpha1(m *v1alpha1.Migrate) (*backup.Migrate, error) {
	internal := &backup.Migrate{}
	if err := v1alpha1.Convert_v1alpha1_Migrate_To_backup_Migrate(m.DeepCopy(), internal, nil); err != nil {
		return nil, fmt.Errorf("convert Migrate %s/%s: %w", m.Namespace, m.Name, err)
	}
	return internal, nil
}
