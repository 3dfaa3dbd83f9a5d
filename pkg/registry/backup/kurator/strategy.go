// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package kurator

import (
	"context"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/names"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/validation"
)

// Strategy is the strategy of writes to the resources: as for a CustomResourceDefinition with the subresource status.
type Strategy struct {
	runtime.ObjectTyper
	names.NameGenerator
}

var (
	_ rest.RESTCreateStrategy  = Strategy{}
	_ rest.RESTUpdateStrategy  = Strategy{}
	_ rest.RESTDeleteStrategy  = Strategy{}
	_ rest.ResetFieldsStrategy = Strategy{}
)

// NewStrategy returns the strategy of writes to the resources.
func NewStrategy(typer runtime.ObjectTyper) Strategy {
	return Strategy{typer, names.SimpleNameGenerator}
}

// NamespaceScoped returns true.
func (Strategy) NamespaceScoped() bool { return true }

// PrepareForCreate drops the status.
func (Strategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	switch o := obj.(type) {
	case *backup.Backup:
		backup.KeepImported(&o.ObjectMeta, nil)
		o.Generation, o.Status = 1, backup.BackupStatus{}
	case *backup.Restore:
		backup.KeepImported(&o.ObjectMeta, nil)
		o.Generation, o.Status = 1, backup.RestoreStatus{}
	}
}

// PrepareForUpdate keeps the status, and increases the generation if the spec changes.
func (Strategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	switch o := obj.(type) {
	case *backup.Backup:
		was := old.(*backup.Backup)
		backup.KeepImported(&o.ObjectMeta, &was.ObjectMeta)
		o.Status = was.Status
		o.Generation = generation(was.Generation, &o.Spec, &was.Spec)
	case *backup.Restore:
		was := old.(*backup.Restore)
		backup.KeepImported(&o.ObjectMeta, &was.ObjectMeta)
		o.Status = was.Status
		o.Generation = generation(was.Generation, &o.Spec, &was.Spec)
	}
}

func generation(was int64, spec, old any) int64 {
	if apiequality.Semantic.DeepEqual(spec, old) {
		return was
	}
	return was + 1
}

// Validate validates a new object.
func (Strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	switch o := obj.(type) {
	case *backup.Backup:
		return validation.ValidateBackup(o)
	case *backup.Restore:
		return validation.ValidateRestore(o)
	}
	return nil
}

// WarningsOnCreate returns no warnings.
func (Strategy) WarningsOnCreate(context.Context, runtime.Object) []string { return nil }

// ValidateUpdate validates an update.
func (Strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	switch o := obj.(type) {
	case *backup.Backup:
		return validation.ValidateBackupUpdate(o, old.(*backup.Backup))
	case *backup.Restore:
		return validation.ValidateRestoreUpdate(o, old.(*backup.Restore))
	}
	return nil
}

// WarningsOnUpdate returns no warnings.
func (Strategy) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}

// AllowCreateOnUpdate returns false, as for a CustomResourceDefinition.
func (Strategy) AllowCreateOnUpdate(context.Context) bool { return false }

// AllowUnconditionalUpdate returns false, as for a CustomResourceDefinition.
func (Strategy) AllowUnconditionalUpdate(context.Context) bool { return false }

// Canonicalize does nothing.
func (Strategy) Canonicalize(runtime.Object) {}

// GetResetFields returns the status.
func (Strategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return map[fieldpath.APIVersion]*fieldpath.Set{
		fieldpath.APIVersion(v1alpha1.SchemeGroupVersion.String()): fieldpath.NewSet(fieldpath.MakePathOrDie("status")),
	}
}

// StatusStrategy is the strategy of writes to the subresources status.
type StatusStrategy struct {
	Strategy
}

// NewStatusStrategy returns the strategy of writes to the subresources status.
func NewStatusStrategy(typer runtime.ObjectTyper) StatusStrategy {
	return StatusStrategy{NewStrategy(typer)}
}

// PrepareForUpdate keeps everything but the status and the managers of its fields.
func (StatusStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	switch o := obj.(type) {
	case *backup.Backup:
		was, managers := old.(*backup.Backup), o.ManagedFields
		was.ObjectMeta.DeepCopyInto(&o.ObjectMeta)
		o.ManagedFields, o.Spec = managers, was.Spec
	case *backup.Restore:
		was, managers := old.(*backup.Restore), o.ManagedFields
		was.ObjectMeta.DeepCopyInto(&o.ObjectMeta)
		o.ManagedFields, o.Spec = managers, was.Spec
	}
}

// GetResetFields returns everything but the status.
func (StatusStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return map[fieldpath.APIVersion]*fieldpath.Set{
		fieldpath.APIVersion(v1alpha1.SchemeGroupVersion.String()): fieldpath.NewSet(
			fieldpath.MakePathOrDie("spec"), fieldpath.MakePathOrDie("metadata")),
	}
}
