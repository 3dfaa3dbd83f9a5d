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
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/validation"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// Strategy is the strategy of writes by users.
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

// NewStrategy returns the strategy of writes by users.
func NewStrategy(typer runtime.ObjectTyper) Strategy {
	return Strategy{typer, names.SimpleNameGenerator}
}

// NamespaceScoped returns true: a Migrate is in the namespace of its Fleet.
func (Strategy) NamespaceScoped() bool { return true }

// PrepareForCreate sets the requester and the initial status, which is Pending with the conditions
// of a migration in progress. It drops a status that the user sent.
func (Strategy) PrepareForCreate(ctx context.Context, obj runtime.Object) {
	m := obj.(*backup.Migrate)
	dropKuratorsFinalizer(ctx, m)
	backup.KeepImported(&m.ObjectMeta, nil)
	m.Spec.Requester = Requester(ctx)
	m.Generation = 1
	m.Status = backup.MigrateStatus{
		Phase:      backup.MigratePhasePending,
		Conditions: migration.InitialConditions(m.Generation, m.CreationTimestamp),
	}
}

// KuratorFinalizer is on every Migrate of Kurator, whose controller removes it.
const KuratorFinalizer = "migrate.kurator.dev"

// dropKuratorsFinalizer removes Kurator's finalizer, with a warning to the client: this server has
// no controller that would remove it, so the Migrate could never be deleted.
func dropKuratorsFinalizer(ctx context.Context, m *backup.Migrate) {
	if !slices.Contains(m.Finalizers, KuratorFinalizer) {
		return
	}
	m.Finalizers = slices.DeleteFunc(slices.Clone(m.Finalizers), func(f string) bool { return f == KuratorFinalizer })
	if u, ok := genericapirequest.UserFrom(ctx); ok {
		klog.FromContext(ctx).Info("A user set the finalizer of Kurator's controller on a Migrate; if it is that controller, name it by --kurator-controllers, or it migrates a second time",
			"user", u.GetName(), "migrate", klog.KObj(m))
	}
	warning.AddWarning(ctx, "", fmt.Sprintf("metadata.finalizers: %q was removed: only Kurator's controller would remove it, and this server needs no finalizer", KuratorFinalizer))
}

// Requester returns the authenticated user of a request, as in the spec of a
// CertificateSigningRequest, without credentials.
func Requester(ctx context.Context) *backup.Requester {
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

// WarningsOnCreate returns no warnings.
func (Strategy) WarningsOnCreate(context.Context, runtime.Object) []string { return nil }

// PrepareForUpdate keeps the requester and the recorded status. It increases the generation if the migration
// is suspended or resumed: nothing else of the spec can change.
func (Strategy) PrepareForUpdate(ctx context.Context, obj, old runtime.Object) {
	m, was := obj.(*backup.Migrate), old.(*backup.Migrate)
	dropKuratorsFinalizer(ctx, m)
	backup.KeepImported(&m.ObjectMeta, &was.ObjectMeta)
	m.Spec.Requester, m.Status = was.Spec.Requester, was.Status
	// After the end nobody observes a generation any more.
	if suspend := ptr.Deref(m.Spec.Suspend, false); suspend != ptr.Deref(was.Spec.Suspend, false) && !was.Status.Phase.IsTerminal() {
		m.Generation = was.Generation + 1
	}
}

// ValidateUpdate validates an update by a user.
func (Strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateMigrateUpdate(obj.(*backup.Migrate), old.(*backup.Migrate))
}

// WarningsOnUpdate returns no warnings.
func (Strategy) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}

// AllowCreateOnUpdate returns false: a PUT after a delete must not start a second migration.
func (Strategy) AllowCreateOnUpdate(context.Context) bool { return false }

// AllowUnconditionalUpdate returns true, for kubectl replace of a manifest without a
// resourceVersion. The recorded status is kept in any case.
func (Strategy) AllowUnconditionalUpdate(context.Context) bool { return true }

// Canonicalize does nothing.
func (Strategy) Canonicalize(runtime.Object) {}

// GetResetFields returns the fields that users can't set, whose managers server-side apply does
// not track: the status and the requester.
func (Strategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return map[fieldpath.APIVersion]*fieldpath.Set{
		fieldpath.APIVersion(v1alpha1.SchemeGroupVersion.String()): fieldpath.NewSet(
			fieldpath.MakePathOrDie("status"), fieldpath.MakePathOrDie("spec", "requester")),
	}
}

// RecordingStrategy is the strategy of records of the driver. No request reaches it.
type RecordingStrategy struct {
	Strategy
}

// NewRecordingStrategy returns the strategy of records of the driver.
func NewRecordingStrategy(typer runtime.ObjectTyper) RecordingStrategy {
	return RecordingStrategy{NewStrategy(typer)}
}

// PrepareForUpdate keeps everything but the status.
func (RecordingStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	m, was := obj.(*backup.Migrate), old.(*backup.Migrate)
	m.ObjectMeta, m.Spec = was.ObjectMeta, was.Spec
}

// ValidateUpdate refuses to change a terminal phase.
func (RecordingStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateMigrateRecord(obj.(*backup.Migrate), old.(*backup.Migrate))
}

// AllowUnconditionalUpdate returns false: a status belongs to the version it was computed from.
func (RecordingStrategy) AllowUnconditionalUpdate(context.Context) bool { return false }
