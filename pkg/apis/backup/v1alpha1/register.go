// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group.
const GroupName = "backup.kurator.dev"

// SchemeGroupVersion is this version of the group.
var SchemeGroupVersion = schema.GroupVersion{Group: GroupName, Version: "v1alpha1"}

// These names are used by generated code and clients.
var (
	// SchemeBuilder collects the functions that register this version.
	SchemeBuilder      = runtime.NewSchemeBuilder(addKnownTypes, addDefaultingFuncs, addFieldLabels)
	localSchemeBuilder = &SchemeBuilder
	// AddToScheme registers the types, defaults, conversions and field labels of
	// this version.
	AddToScheme = SchemeBuilder.AddToScheme
)

// Resource is the group-qualified resource.
func Resource(resource string) schema.GroupResource {
	return SchemeGroupVersion.WithResource(resource).GroupResource()
}

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(SchemeGroupVersion, &Migrate{}, &MigrateList{}, &MigratePreview{}, &MigrateLogOptions{}, &MigrateResultsOptions{}, &MigrateCancelOptions{}, &MigrateRetryOptions{}, &MigrateResults{},
		&Backup{}, &BackupList{}, &Restore{}, &RestoreList{})
	metav1.AddToGroupVersion(scheme, SchemeGroupVersion)
	return nil
}

func addDefaultingFuncs(scheme *runtime.Scheme) error {
	return RegisterDefaults(scheme)
}
