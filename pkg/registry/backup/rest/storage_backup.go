// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/registry/backup/migrate/storage"
)

// StorageProvider provides what serves the group.
type StorageProvider struct {
	// Migrates is the storage of Migrates.
	Migrates *storage.Storage
	// Live computes their status on read.
	Live storage.LiveStatus
}

// APIGroupInfo is the group, to be installed.
func (p StorageProvider) APIGroupInfo(scheme *runtime.Scheme, codecs serializer.CodecFactory) genericapiserver.APIGroupInfo {
	info := genericapiserver.NewDefaultAPIGroupInfo(v1alpha1.GroupName, scheme, runtime.NewParameterCodec(scheme), codecs)
	info.NegotiatedSerializer = withoutProtobuf{codecs}
	info.VersionedResourcesStorageMap[v1alpha1.SchemeGroupVersion.Version] = map[string]rest.Storage{
		"migrates":        p.Migrates.Migrate,
		"migrates/status": storage.NewStatusREST(p.Migrates.Migrate, p.Live),
	}
	return info
}

// withoutProtobuf does not offer what our types can't be encoded to. A client that
// prefers protobuf, as all of the controller manager's do, would get an error
// instead of its second choice.
type withoutProtobuf struct {
	serializer.CodecFactory
}

// SupportedMediaTypes are those of the factory but protobuf.
func (s withoutProtobuf) SupportedMediaTypes() []runtime.SerializerInfo {
	return slices.DeleteFunc(slices.Clone(s.CodecFactory.SupportedMediaTypes()), func(info runtime.SerializerInfo) bool {
		return info.MediaType == runtime.ContentTypeProtobuf
	})
}
