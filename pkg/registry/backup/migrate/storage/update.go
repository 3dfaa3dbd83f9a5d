// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
)

// Create creates a Migrate. It refuses a resourceVersion, to which the store answers with a 500.
func (r *REST) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	if version := versionOf(obj); version != "" && version != "0" {
		return nil, apierrors.NewBadRequest("metadata.resourceVersion must not be set on a new object: remove it")
	}
	return r.Store.Create(ctx, obj, validate, options)
}

// Update updates a Migrate. It refuses invalid input to which the store answers with a 500.
func (r *REST) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, create rest.ValidateObjectFunc, update rest.ValidateObjectUpdateFunc, allowCreate bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return r.Store.Update(ctx, name, checkedUpdate{info}, create, update, allowCreate, options)
}

// checkedUpdate checks the object of an update.
type checkedUpdate struct{ rest.UpdatedObjectInfo }

// UpdatedObject returns the updated object, or a bad request.
func (s checkedUpdate) UpdatedObject(ctx context.Context, old runtime.Object) (runtime.Object, error) {
	obj, err := s.UpdatedObjectInfo.UpdatedObject(ctx, old)
	if err != nil {
		return nil, errorOfPatch(ctx, err)
	}
	if version := versionOf(obj); version != "" {
		if _, err := strconv.ParseUint(version, 10, 64); err != nil {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("metadata.resourceVersion %q is not valid: remove it, or use the one that was read", version))
		}
	}
	return obj, nil
}

// errorOfPatch returns the error of a patch that can't be applied as a bad request. A
// server-side apply that does not fit the schema fails with an error without a status
// (managedfields of k8s.io/apimachinery v0.37), which would be answered with a 500. The
// stored object fits the schema, so the patch is wrong.
func errorOfPatch(ctx context.Context, err error) error {
	request, ok := genericapirequest.RequestInfoFrom(ctx)
	isPatch := ok && request.Verb == "patch"
	if status := apierrors.APIStatus(nil); !isPatch || errors.As(err, &status) || ctx.Err() != nil {
		return err
	}
	return apierrors.NewBadRequest(err.Error())
}

func versionOf(obj runtime.Object) string {
	accessor, err := meta.Accessor(obj)
	if err != nil {
		return "" // all our types have it
	}
	return accessor.GetResourceVersion()
}
