// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// +k8s:deepcopy-gen=package
// +k8s:conversion-gen=kurator.dev/migrate-apiserver/pkg/apis/backup
// +k8s:defaulter-gen=TypeMeta
// +k8s:openapi-gen=true
// +k8s:openapi-model-package=dev.kurator.migrate-apiserver.pkg.apis.backup.v1alpha1
// +groupName=backup.kurator.dev

// Package v1alpha1 has the types of version v1alpha1 of the API group
// backup.kurator.dev. Spec and status have Kurator's JSON names, so that a manifest for
// Kurator applies unchanged; all fields that Kurator does not have are optional.
package v1alpha1
