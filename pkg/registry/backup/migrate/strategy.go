// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migrate

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/names"
	"k8s.io/apiserver/pkg/warning"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/validation"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// Strategy is for what users write.
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

// NewStrategy returns the strategy for what users write.
func NewStrategy(typer runtime.ObjectTyper) Strategy {
	return Strategy{typer, names.SimpleNameGenerator}
}

// NamespaceScoped is true: a Migrate lives where its Fleet does.
func (Strategy) NamespaceScoped() bool { return true }

// PrepareForCreate sets who asks, and drops the status that a user sent; the first
// one is Pending, with the conditions of one that is under way.
func (Strategy) PrepareForCreate(ctx context.Context, obj runtime.Object) {
	m := obj.(*backup.Migrate)
	dropKuratorsFinalizer(ctx, m)
	m.Spec.Requester = requester(ctx)
	m.Generation = 1
	m.Status = backup.MigrateStatus{
		Phase:      backup.MigratePhasePending,
		Conditions: migration.InitialConditions(m.Generation, m.CreationTimestamp),
	}
}

// kuratorsFinalizer is on every Migrate of Kurator, whose controller removes it.
const kuratorsFinalizer = "migrate.kurator.dev"

// dropKuratorsFinalizer removes a finalizer that nobody here would remove, so that the
// Migrate could never be deleted, and says so to who sent it.
func dropKuratorsFinalizer(ctx context.Context, m *backup.Migrate) {
	if !slices.Contains(m.Finalizers, kuratorsFinalizer) {
		return
	}
	m.Finalizers = slices.DeleteFunc(slices.Clone(m.Finalizers), func(f string) bool { return f == kuratorsFinalizer })
	warning.AddWarning(ctx, "", fmt.Sprintf("metadata.finalizers: %q was removed: it is of Kurator's controller, and a Migrate needs none here to be deleted", kuratorsFinalizer))
}

// requester is who makes a request, as in the spec of a CertificateSigningRequest,
// without their credentials.
func requester(ctx context.Context) *backup.Requester {
	u, ok := genericapirequest.UserFrom(ctx)
	if !ok {
		return nil
	}
	extra := maps.Clone(u.GetExtra())
	backup.DropCredentials(extra)
	return &backup.Requester{Username: u.GetName(), UID: u.GetUID(), Groups: slices.Clone(u.GetGroups()), Extra: extra}
}

// Validate validates a new Migrate.
func (Strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidateMigrate(obj.(*backup.Migrate))
}

// WarningsOnCreate has none.
func (Strategy) WarningsOnCreate(context.Context, runtime.Object) []string { return nil }

// PrepareForUpdate keeps the requester and the recorded status. The generation needs
// no care: it counts changes of the spec, and there are none.
func (Strategy) PrepareForUpdate(ctx context.Context, obj, old runtime.Object) {
	m, was := obj.(*backup.Migrate), old.(*backup.Migrate)
	dropKuratorsFinalizer(ctx, m)
	m.Spec.Requester, m.Status = was.Spec.Requester, was.Status
}

// ValidateUpdate validates a change by a user.
func (Strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateMigrateUpdate(obj.(*backup.Migrate), old.(*backup.Migrate))
}

// WarningsOnUpdate has none.
func (Strategy) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}

// AllowCreateOnUpdate is false: a PUT that comes after a delete must not begin a
// second migration.
func (Strategy) AllowCreateOnUpdate(context.Context) bool { return false }

// AllowUnconditionalUpdate lets kubectl replace a manifest without a
// resourceVersion; a status that is recorded meanwhile is not lost by it.
func (Strategy) AllowUnconditionalUpdate(context.Context) bool { return true }

// Canonicalize has nothing to do.
func (Strategy) Canonicalize(runtime.Object) {}

// GetResetFields tells server-side apply that nobody comes to own the status, nor
// the requester.
func (Strategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return map[fieldpath.APIVersion]*fieldpath.Set{
		fieldpath.APIVersion(v1alpha1.SchemeGroupVersion.String()): fieldpath.NewSet(
			fieldpath.MakePathOrDie("status"), fieldpath.MakePathOrDie("spec", "requester")),
	}
}

// RecordingStrategy is for what the driver records. No request reaches it.
type RecordingStrategy struct {
	Strategy
}

// NewRecordingStrategy returns the strategy for what the driver records.
func NewRecordingStrategy(typer runtime.ObjectTyper) RecordingStrategy {
	return RecordingStrategy{NewStrategy(typer)}
}

// PrepareForUpdate keeps all but the status.
func (RecordingStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	m, was := obj.(*backup.Migrate), old.(*backup.Migrate)
	m.ObjectMeta, m.Spec = was.ObjectMeta, was.Spec
}

// ValidateUpdate refuses to change a final phase.
func (RecordingStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateMigrateRecord(obj.(*backup.Migrate), old.(*backup.Migrate))
}

// AllowUnconditionalUpdate is false: what was observed is of one version.
func (RecordingStrategy) AllowUnconditionalUpdate(context.Context) bool { return false }
