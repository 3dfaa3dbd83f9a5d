// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"context"
	"errors"
	"fmt"
	"net/http"

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

// ActionREST serves create of a subresource by which a user changes the status of a Migrate.
type ActionREST struct {
	migrates *REST
	client   *Client
	use      ClusterUse
	action   action
}

var (
	_ rest.Storage         = &ActionREST{}
	_ rest.NamedCreater    = &ActionREST{}
	_ rest.StorageMetadata = &ActionREST{}
)

// action is what a user may do with a Migrate whose clusters they may use.
type action interface {
	// newOptions returns the empty body of the request.
	newOptions() runtime.Object
	// check returns the preconditions of options, or an API status if they are not valid.
	check(options runtime.Object) (*metav1.Preconditions, error)
	// do changes the status of m, or nothing if that is done already. An error is why it can't, and becomes a conflict.
	do(m *backup.Migrate, options runtime.Object, username string) error
	// done tells what was done with m.
	done(m *backup.Migrate) string
}

// Create performs the action.
func (r *ActionREST) Create(ctx context.Context, name string, options runtime.Object, validate rest.ValidateObjectFunc, createOptions *metav1.CreateOptions) (runtime.Object, error) {
	preconditions, err := r.action.check(options)
	if err != nil {
		return nil, err
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
		if err := validate(ctx, options.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	updated, _, err := r.client.records.Update(ctx, name, actionUpdate{r, options, m.UID, preconditions}, rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc,
		false, &metav1.UpdateOptions{DryRun: createOptions.DryRun})
	if err != nil {
		return nil, err
	}
	message := fmt.Sprintf("migrate %q %s", name, r.action.done(updated.(*backup.Migrate)))
	if len(createOptions.DryRun) > 0 {
		message += " (dry run)"
	}
	return &metav1.Status{Status: metav1.StatusSuccess, Code: http.StatusCreated, Message: message}, nil
}

// New returns the empty body of the request.
func (r *ActionREST) New() runtime.Object { return r.action.newOptions() }

// Destroy does nothing: the store belongs to the resource.
func (*ActionREST) Destroy() {}

// ProducesMIMETypes returns none: those of the server.
func (*ActionREST) ProducesMIMETypes(string) []string { return nil }

// ProducesObject returns the type of the response in the OpenAPI documents.
func (*ActionREST) ProducesObject(string) any { return metav1.Status{} }

// actionUpdate performs the action on the stored Migrate.
type actionUpdate struct {
	rest    *ActionREST
	options runtime.Object
	// uid is that of the Migrate whose clusters the user may use.
	uid           types.UID
	preconditions *metav1.Preconditions
}

var _ rest.UpdatedObjectInfo = actionUpdate{}

// Preconditions returns those of the request.
func (u actionUpdate) Preconditions() *metav1.Preconditions { return u.preconditions }

// UpdatedObject returns the changed Migrate.
func (u actionUpdate) UpdatedObject(ctx context.Context, old runtime.Object) (runtime.Object, error) {
	m, ok := old.DeepCopyObject().(*backup.Migrate)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("%T is not a Migrate", old))
	}
	username := ""
	if requester := migrate.Requester(ctx); requester != nil {
		username = requester.Username
	}
	err := u.rest.action.do(m, u.options, username)
	if m.UID != u.uid {
		err = errors.New("it was recreated meanwhile")
	}
	if err != nil {
		return nil, apierrors.NewConflict(u.rest.migrates.DefaultQualifiedResource, m.Name, err)
	}
	return m, nil
}
