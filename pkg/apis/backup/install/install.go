// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"k8s.io/apimachinery/pkg/runtime"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// AddToScheme registers the internal and the versioned types.
func AddToScheme(scheme *runtime.Scheme) error {
	if err := backup.AddToScheme(scheme); err != nil {
		return err
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return err
	}
	return scheme.SetVersionPriority(v1alpha1.SchemeGroupVersion)
}
