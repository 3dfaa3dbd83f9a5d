// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
)

// Create is that of the store, where a resourceVersion would be a fault of the server.
func (r *REST) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	if version := versionOf(obj); version != "" && version != "0" {
		return nil, apierrors.NewBadRequest("metadata.resourceVersion can't be set on a new object: leave it out")
	}
	return r.Store.Create(ctx, obj, validate, options)
}

// Update is that of the store, where what a user sent wrong would be a fault of the
// server.
func (r *REST) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, create rest.ValidateObjectFunc, update rest.ValidateObjectUpdateFunc, allowCreate bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return r.Store.Update(ctx, name, sent{info}, create, update, allowCreate, options)
}

// sent is what a user sent.
type sent struct{ rest.UpdatedObjectInfo }

// UpdatedObject returns the object that results.
func (s sent) UpdatedObject(ctx context.Context, old runtime.Object) (runtime.Object, error) {
	obj, err := s.UpdatedObjectInfo.UpdatedObject(ctx, old)
	// The library has no type for it.
	if err != nil && strings.HasPrefix(err.Error(), "failed to create typed patch object") {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	if err != nil {
		return nil, err
	}
	if version := versionOf(obj); version != "" {
		if _, err := strconv.ParseUint(version, 10, 64); err != nil {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("metadata.resourceVersion is %q, which is none: leave it out, or take the one that was read", version))
		}
	}
	return obj, nil
}

func versionOf(obj runtime.Object) string {
	accessor, err := meta.Accessor(obj)
	if err != nil {
		return "" // every object of ours has one
	}
	return accessor.GetResourceVersion()
}
