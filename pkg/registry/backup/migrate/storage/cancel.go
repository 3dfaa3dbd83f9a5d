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
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/registry/backup/migrate"
)

// ClusterUse checks whether a user may use the clusters of a Migrate.
type ClusterUse interface {
	// CheckUse returns why the user may not; empty if they may. An error is why that is not known.
	CheckUse(ctx context.Context, u user.Info, m *v1alpha1.Migrate) (denial string, err error)
}

// CancelREST serves create of migrates/cancel.
type CancelREST struct {
	migrates *REST
	recorder *Recorder
	use      ClusterUse
}

var (
	_ rest.Storage         = &CancelREST{}
	_ rest.NamedCreater    = &CancelREST{}
	_ rest.StorageMetadata = &CancelREST{}
)

// NewCancelREST returns the storage of the subresource.
func NewCancelREST(s *Storage, use ClusterUse) *CancelREST {
	return &CancelREST{s.Migrate, s.Recorder, use}
}

// Create cancels a Migrate. Canceling it again changes nothing; one that has ended otherwise can't be canceled.
func (r *CancelREST) Create(ctx context.Context, name string, obj runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	cancel, ok := obj.(*backup.MigrateCancelOptions)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("%T is not MigrateCancelOptions", obj))
	}
	m, err := r.migrates.recorded(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	u, ok := genericapirequest.UserFrom(ctx)
	if !ok {
		u = &user.DefaultInfo{} // who may use no cluster
	}
	switch denial, err := r.use.CheckUse(ctx, u, m); {
	case err != nil:
		return nil, apierrors.NewInternalError(err)
	case denial != "":
		return nil, apierrors.NewForbidden(r.migrates.DefaultQualifiedResource, name, errors.New(denial))
	}
	if validate != nil {
		if err := validate(ctx, obj.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	if _, _, err := r.recorder.store.Update(ctx, name, cancellation{r, m.UID, cancel.Preconditions}, rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc,
		false, &metav1.UpdateOptions{DryRun: options.DryRun}); err != nil {
		return nil, err
	}
	return &metav1.Status{
		Status: metav1.StatusSuccess, Code: 201,
		Message: fmt.Sprintf("migrate %q is canceled: nothing new is begun; what Velero has begun goes on to its end, see its status", name),
	}, nil
}

// New returns empty options.
func (*CancelREST) New() runtime.Object { return &backup.MigrateCancelOptions{} }

// Destroy does nothing: the store belongs to the resource.
func (*CancelREST) Destroy() {}

// ProducesMIMETypes returns none: those of the server.
func (*CancelREST) ProducesMIMETypes(string) []string { return nil }

// ProducesObject returns the type of the response in the OpenAPI documents.
func (*CancelREST) ProducesObject(string) any { return metav1.Status{} }

// cancellation sets the cancellation of the stored Migrate.
type cancellation struct {
	rest *CancelREST
	// uid is that of the Migrate whose clusters the user may use.
	uid           types.UID
	preconditions *metav1.Preconditions
}

var _ rest.UpdatedObjectInfo = cancellation{}

// Preconditions returns those of the request.
func (c cancellation) Preconditions() *metav1.Preconditions { return c.preconditions }

// UpdatedObject returns the canceled Migrate.
func (c cancellation) UpdatedObject(ctx context.Context, old runtime.Object) (runtime.Object, error) {
	m, ok := old.DeepCopyObject().(*backup.Migrate)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("%T is not a Migrate", old))
	}
	switch {
	case m.UID != c.uid:
		return nil, apierrors.NewConflict(c.rest.migrates.DefaultQualifiedResource, m.Name, errors.New("it was recreated meanwhile"))
	case m.Status.Phase == backup.MigratePhaseCanceled:
		return m, nil
	case m.Status.Phase.IsTerminal():
		return nil, apierrors.NewConflict(c.rest.migrates.DefaultQualifiedResource, m.Name, fmt.Errorf("it has ended %s, so there is nothing to cancel", m.Status.Phase))
	case m.Status.Cancellation != nil:
		return m, nil
	}
	username := ""
	if requester := migrate.Requester(ctx); requester != nil {
		username = requester.Username
	}
	m.Status.Cancellation = &backup.Cancellation{Time: metav1.Now(), Username: username}
	return m, nil
}
