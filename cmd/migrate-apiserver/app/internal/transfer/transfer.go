// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/registry/backup/kurator"
	"kurator.dev/migrate-apiserver/pkg/registry/backup/migrate/storage"
)

// kinds are the kinds that are transferred, with their resources.
var kinds = map[string]string{"Backup": "backups", "Restore": "restores", "Migrate": "migrates"}

// Result is what became of one object.
type Result struct {
	// Resource is its resource, such as backups.
	Resource, Namespace, Name string
	Outcome                   Outcome
	// Message is what to do, or what was left out. It may be empty.
	Message string
}

// Outcome is what became of an object.
type Outcome string

const (
	// Created means that the object was not there.
	Created Outcome = "Created"
	// Updated means that the object was there, and has changed where it comes from.
	Updated Outcome = "Updated"
	// Deleted means that the object was removed here, because it is no longer where it came from.
	Deleted Outcome = "Deleted"
	// Unchanged means that nothing was to be done.
	Unchanged Outcome = "Unchanged"
	// NotTransferred means that somebody has to do something, which the message says.
	NotTransferred Outcome = "NotTransferred"
)

func resultOf(obj *unstructured.Unstructured, outcome Outcome, message string) Result {
	return Result{Resource: kinds[obj.GetKind()], Namespace: obj.GetNamespace(), Name: obj.GetName(), Outcome: outcome, Message: message}
}

func sorted(results []Result) []Result {
	slices.SortStableFunc(results, func(a, b Result) int {
		return cmp.Or(cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return results
}

// Storage is the storage of this server.
type Storage struct {
	stores  map[string]importer
	scheme  *runtime.Scheme
	decoder runtime.Decoder
	destroy func()
}

// importer is the store of one resource.
type importer interface {
	Import(ctx context.Context, obj runtime.Object, dryRun bool, replaces func(old runtime.Object) bool) (bool, error)
	Replace(ctx context.Context, obj runtime.Object, dryRun bool, replaces func(old runtime.Object) bool) (bool, error)
	Remove(ctx context.Context, namespace, name string, uid types.UID, dryRun bool) error
	List(ctx context.Context, options *internalversion.ListOptions) (runtime.Object, error)
}

// Open opens the storage, which Close closes.
func Open(scheme *runtime.Scheme, getter generic.RESTOptionsGetter) (*Storage, error) {
	migrates, err := storage.New(scheme, getter)
	if err != nil {
		return nil, err
	}
	kurators, err := kurator.New(scheme, getter)
	if err != nil {
		migrates.Migrate.Destroy()
		return nil, err
	}
	return &Storage{
		stores:  map[string]importer{"Backup": kurators.Backup, "Restore": kurators.Restore, "Migrate": migrates.Migrate},
		scheme:  scheme,
		decoder: serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDecoder(backup.SchemeGroupVersion),
		destroy: func() {
			migrates.Migrate.Destroy()
			kurators.Backup.Destroy()
			kurators.Restore.Destroy()
		},
	}, nil
}

// MarkExported records that an object is now with Kurator at a version as it is here, unless it has changed here since.
func (s *Storage) MarkExported(ctx context.Context, obj *unstructured.Unstructured, version string) error {
	typed, _, err := s.decode(obj)
	if err != nil {
		return err
	}
	if err := s.mark(typed, originHost, version); err != nil {
		return err
	}
	_, err = s.stores[obj.GetKind()].Replace(ctx, typed, false, func(old runtime.Object) bool {
		accessor, err := meta.Accessor(old)
		return err == nil && accessor.GetResourceVersion() == obj.GetResourceVersion()
	})
	return err
}

// Close closes the storage.
func (s *Storage) Close() { s.destroy() }

// Objects returns all objects in the storage.
func (s *Storage) Objects(ctx context.Context) ([]unstructured.Unstructured, error) {
	var objects []unstructured.Unstructured
	for _, kind := range []string{"Backup", "Restore", "Migrate"} {
		list, err := s.stores[kind].List(genericapirequest.WithNamespace(ctx, metav1.NamespaceAll), &internalversion.ListOptions{})
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", kinds[kind], err)
		}
		versioned, err := s.scheme.ConvertToVersion(list, v1alpha1.SchemeGroupVersion)
		if err != nil {
			return nil, err
		}
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(versioned)
		if err != nil {
			return nil, err
		}
		items := unstructured.UnstructuredList{}
		items.SetUnstructuredContent(content)
		for _, item := range items.Items {
			item.SetAPIVersion(v1alpha1.SchemeGroupVersion.String())
			item.SetKind(kind)
			objects = append(objects, item)
		}
	}
	return objects, nil
}
