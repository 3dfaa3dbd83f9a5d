// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/registry/backup/kurator"
	"kurator.dev/migrate-apiserver/pkg/registry/backup/migrate/storage"
	"kurator.dev/migrate-apiserver/pkg/registry/backup/migratepreview"
)

// groupInfo returns the API group with the storage of migrates and of their subresources, which live
// reads from the members.
func groupInfo(scheme *runtime.Scheme, codecs serializer.CodecFactory, migrates *storage.Storage, live liveReader) genericapiserver.APIGroupInfo {
	info := genericapiserver.NewDefaultAPIGroupInfo(v1alpha1.GroupName, scheme, runtime.NewParameterCodec(scheme), codecs)
	info.NegotiatedSerializer = withoutProtobuf{codecs}
	info.VersionedResourcesStorageMap[v1alpha1.SchemeGroupVersion.Version] = map[string]rest.Storage{
		"migratepreviews":  migratepreview.NewREST(live),
		"migrates":         storage.NewPreviewedREST(migrates.Migrate, live),
		"migrates/status":  storage.NewStatusREST(migrates.Migrate, live),
		"migrates/log":     storage.NewLogREST(migrates.Migrate, live),
		"migrates/results": storage.NewResultsREST(migrates.Migrate, live),
		"migrates/cancel":  storage.NewCancelREST(migrates, live),
		"migrates/retry":   storage.NewRetryREST(migrates, live),
	}
	return info
}

// addKurator adds the storage of Kurator's own kinds, and hides Migrates from its controllers.
func addKurator(info *genericapiserver.APIGroupInfo, kurators *kurator.Storage, config *Kurator) {
	resources := info.VersionedResourcesStorageMap[v1alpha1.SchemeGroupVersion.Version]
	resources["backups"], resources["backups/status"] = kurators.Backup, kurators.BackupStatus
	resources["restores"], resources["restores/status"] = kurators.Restore, kurators.RestoreStatus
	resources["migrates"] = storage.NewHiddenREST(resources["migrates"].(*storage.PreviewedREST), config.Controllers)
}

// withoutProtobuf removes protobuf from the media types, because our types can't be encoded to
// it. A client that prefers it, such as kube-controller-manager's, would get an error instead of
// its second choice.
type withoutProtobuf struct {
	serializer.CodecFactory
}

// SupportedMediaTypes returns the media types of the factory without protobuf.
func (s withoutProtobuf) SupportedMediaTypes() []runtime.SerializerInfo {
	return slices.DeleteFunc(slices.Clone(s.CodecFactory.SupportedMediaTypes()), func(info runtime.SerializerInfo) bool {
		return info.MediaType == runtime.ContentTypeProtobuf
	})
}
