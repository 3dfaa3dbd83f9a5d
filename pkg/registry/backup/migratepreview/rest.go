// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package migratepreview is the REST storage of MigratePreviews, which are not stored: a create returns the plan of
// a migration, as that of a SubjectAccessReview returns a decision.
//
// It imports the API types, their validation, and package migrate for the requester.
package migratepreview

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/validation"
	"kurator.dev/migrate-apiserver/pkg/registry/backup/internal/readers"
	"kurator.dev/migrate-apiserver/pkg/registry/backup/migrate"
)

// Previewer plans migrations.
type Previewer interface {
	// Preview returns the plan of a Migrate that is not stored: of its namespace and spec.
	Preview(ctx context.Context, m *v1alpha1.Migrate) (*v1alpha1.MigratePreviewStatus, error)
}

// REST serves create of migratepreviews.
type REST struct {
	previewer Previewer
	readers   *readers.Readers
}

var (
	_ rest.Storage              = &REST{}
	_ rest.Creater              = &REST{} //nolint:misspell // its name
	_ rest.Scoper               = &REST{}
	_ rest.SingularNameProvider = &REST{}
	_ rest.CategoriesProvider   = &REST{}
)

// NewREST returns the storage of MigratePreviews, which previewer makes.
func NewREST(previewer Previewer) *REST {
	const most, mostOfUser = 20, 4
	return &REST{previewer, &readers.Readers{What: "previews", Instead: "create the Migrate", Most: most, MostOfUser: mostOfUser}}
}

// Create returns the preview with its status.
func (r *REST) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	preview, ok := obj.(*backup.MigratePreview)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("%T is not a MigratePreview", obj))
	}
	namespace := genericapirequest.NamespaceValue(ctx)
	if preview.Namespace != "" && preview.Namespace != namespace {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("metadata.namespace is %q; it must be %q, that of the request", preview.Namespace, namespace))
	}
	if preview.ResourceVersion != "" {
		return nil, apierrors.NewBadRequest("resourceVersion should not be set on objects to be created")
	}
	preview.Namespace, preview.Status = namespace, backup.MigratePreviewStatus{}
	preview.Spec.Requester = migrate.Requester(ctx)
	if errs := validation.ValidateMigratePreview(preview); len(errs) > 0 {
		return nil, apierrors.NewInvalid(backup.Kind("MigratePreview"), preview.Name, errs)
	}
	if validate != nil {
		if err := validate(ctx, preview.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	done, err := r.readers.Admit(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	m := &v1alpha1.Migrate{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: preview.Name}}
	if err := v1alpha1.Convert_backup_MigrateSpec_To_v1alpha1_MigrateSpec(preview.Spec.DeepCopy(), &m.Spec, nil); err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	status, err := r.previewer.Preview(ctx, m)
	if err != nil {
		return nil, apierrors.NewInternalError(fmt.Errorf("preview of a migration in namespace %s: %w", namespace, err))
	}
	preview.CreationTimestamp = metav1.Now()
	err = v1alpha1.Convert_v1alpha1_MigratePreviewStatus_To_backup_MigratePreviewStatus(status, &preview.Status, nil)
	return preview, err
}

// New returns an empty MigratePreview.
func (*REST) New() runtime.Object { return &backup.MigratePreview{} }

// Destroy does nothing: nothing is stored.
func (*REST) Destroy() {}

// NamespaceScoped returns true, as for Migrates.
func (*REST) NamespaceScoped() bool { return true }

// GetSingularName returns the singular name of the resource.
func (*REST) GetSingularName() string { return "migratepreview" }

// Categories returns none: previews can't be listed, as kubectl get kurator-dev would.
func (*REST) Categories() []string { return nil }
