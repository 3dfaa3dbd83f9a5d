// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	storeerr "k8s.io/apiserver/pkg/storage/errors"
)

// Store is a generic store.
type Store struct {
	*genericregistry.Store
}

var (
	_ rest.StandardStorage      = &Store{}
	_ rest.CategoriesProvider   = &Store{}
	_ rest.SingularNameProvider = &Store{}
	_ rest.ResetFieldsStrategy  = &Store{}
)

// Categories returns the category of Kurator's kinds, for kubectl get kurator-dev.
func (*Store) Categories() []string { return []string{"kurator-dev"} }

// Create creates an object. It refuses a resourceVersion, to which the store answers with a 500.
func (s *Store) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	if version := versionOf(obj); version != "" && version != "0" {
		return nil, apierrors.NewBadRequest("metadata.resourceVersion must not be set on a new object: remove it")
	}
	created, err := s.Store.Create(ctx, obj, validate, options)
	return created, errorOfFull(err)
}

// Update updates an object. It refuses invalid input to which the store answers with a 500.
func (s *Store) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, create rest.ValidateObjectFunc, update rest.ValidateObjectUpdateFunc, allowCreate bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	updated, created, err := s.Store.Update(ctx, name, checkedUpdate{info}, create, update, allowCreate, options)
	return updated, created, errorOfFull(err)
}

// errorOfFull returns the error of a write to an etcd that is full with what to do, instead of a 500.
func errorOfFull(err error) error {
	if !errors.Is(err, rpctypes.ErrNoSpace) {
		return err
	}
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusInsufficientStorage, Reason: "InsufficientStorage",
		Message: "the storage of this server is full, and nothing was written: delete what is not needed and run migrate-apiserver etcd defrag, " +
			"or raise --data-quota-bytes, or free space on its disk, as its log says",
	}}
}

// Watch watches objects. It answers that the resourceVersion has expired if it is one that this etcd has not reached: it is of
// another etcd, such as the host's before the group was served by this server, or of this one before an older snapshot was
// restored. A client that waits for it would miss every change until then.
func (s *Store) Watch(ctx context.Context, options *internalversion.ListOptions) (watch.Interface, error) {
	if options != nil {
		if err := s.checkReached(ctx, options.ResourceVersion); err != nil {
			return nil, err
		}
	}
	return s.Store.Watch(ctx, options)
}

// reachTimeout bounds the question to the etcd, without which the watch cache serves.
const reachTimeout = 2 * time.Second

func (s *Store) checkReached(ctx context.Context, resourceVersion string) error {
	wanted, _ := strconv.ParseUint(resourceVersion, 10, 64)
	if wanted == 0 {
		return nil // any version, or no number, which the store refuses
	}
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	current, err := s.Storage.Storage.GetCurrentResourceVersion(ctx)
	if err == nil && wanted > current {
		return apierrors.NewResourceExpired(fmt.Sprintf("resourceVersion %d is not one of this server, which is at %d: list again", wanted, current))
	}
	return nil
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

// Import stores an object as it is, with its UID, times, managers of fields and status, but for its resourceVersion. An object of
// the same name is replaced if replaces allows it. It reports whether the object was stored, or would be in a dry run. No request
// reaches it.
func (s *Store) Import(ctx context.Context, obj runtime.Object, dryRun bool, replaces func(old runtime.Object) bool) (stored bool, err error) {
	ctx, key, name, err := s.place(ctx, obj)
	if err != nil {
		return false, err
	}
	err = s.Storage.Create(ctx, key, obj, s.New(), 0, dryRun)
	if !storage.IsExist(err) {
		return err == nil, storeerr.InterpretCreateError(err, s.DefaultQualifiedResource, name)
	}
	return s.Replace(ctx, obj, dryRun, replaces)
}

// Replace does the same as Import for an object that exists.
func (s *Store) Replace(ctx context.Context, obj runtime.Object, dryRun bool, replaces func(old runtime.Object) bool) (stored bool, err error) {
	ctx, key, name, err := s.place(ctx, obj)
	if err != nil {
		return false, err
	}
	errKept := errors.New("kept")
	err = s.Storage.GuaranteedUpdate(ctx, key, s.New(), false, nil, storage.SimpleUpdate(func(existing runtime.Object) (runtime.Object, error) {
		if !replaces(existing) {
			return nil, errKept
		}
		return obj, nil
	}), dryRun, nil)
	if errors.Is(err, errKept) {
		return false, nil
	}
	return err == nil, storeerr.InterpretUpdateError(err, s.DefaultQualifiedResource, name)
}

// place returns where an object is stored, and removes its resourceVersion, which the storage sets.
func (s *Store) place(ctx context.Context, obj runtime.Object) (_ context.Context, key, name string, err error) {
	accessor, err := meta.Accessor(obj)
	if err != nil {
		return ctx, "", "", err
	}
	accessor.SetResourceVersion("")
	ctx = genericapirequest.WithNamespace(ctx, accessor.GetNamespace())
	key, err = s.KeyFunc(ctx, accessor.GetName())
	return ctx, key, accessor.GetName(), err
}

// Remove removes an object at once, whatever its finalizers, unless it is another one than that with the UID. No request
// reaches it.
func (s *Store) Remove(ctx context.Context, namespace, name string, uid types.UID, dryRun bool) error {
	ctx = genericapirequest.WithNamespace(ctx, namespace)
	key, err := s.KeyFunc(ctx, name)
	if err != nil {
		return err
	}
	err = s.Storage.Delete(ctx, key, s.New(), &storage.Preconditions{UID: &uid}, rest.ValidateAllObjectFunc, dryRun, nil, storage.DeleteOptions{})
	return storeerr.InterpretDeleteError(err, s.DefaultQualifiedResource, name)
}
