// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package storetest gives the tests of storages a real etcd. It imports the API types and the store.
package storetest

import (
	"context"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	etcdtesting "k8s.io/apiserver/pkg/storage/etcd3/testing"
	"k8s.io/apiserver/pkg/storage/storagebackend"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/install"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/registry/backup/internal/store"
)

// New returns the scheme of the group, and the options of storages with a watch cache over an etcd that ends with the test.
func New(t *testing.T) (*runtime.Scheme, generic.RESTOptionsGetter) {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := install.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	_, etcd := etcdtesting.NewUnsecuredEtcd3TestClientServer(t)
	config := storagebackend.NewDefaultConfig(etcd.Prefix, serializer.NewCodecFactory(scheme).LegacyCodec(v1alpha1.SchemeGroupVersion))
	config.Transport = etcd.Transport
	return scheme, getter{config}
}

type getter struct{ config *storagebackend.Config }

// GetRESTOptions returns the options of a resource.
func (g getter) GetRESTOptions(resource schema.GroupResource, _ runtime.Object) (generic.RESTOptions, error) {
	return generic.RESTOptions{
		StorageConfig:           g.config.ForResource(resource),
		Decorator:               genericregistry.StorageWithCacher(),
		DeleteCollectionWorkers: 1,
		ResourcePrefix:          resource.Group + "/" + resource.Resource,
	}, nil
}

// Ready waits until the watch cache of a store is filled, and has the store closed with the test.
func Ready(t *testing.T, s *store.Store) {
	t.Helper()
	t.Cleanup(s.Destroy)
	for s.ReadinessCheck() != nil {
		if _, err := s.List(Context(), &internalversion.ListOptions{}); err != nil && !apierrors.IsTooManyRequests(err) {
			t.Fatal(err)
		}
	}
}

// Context returns the context of a request in namespace default.
func Context() context.Context {
	return genericapirequest.WithNamespace(genericapirequest.NewContext(), "default")
}
