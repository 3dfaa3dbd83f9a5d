// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package migrate

import (
	"fmt"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// Match returns a predicate that selects Migrates by label and field.
func Match(label labels.Selector, field fields.Selector) storage.SelectionPredicate {
	return storage.SelectionPredicate{Label: label, Field: field, GetAttrs: GetAttrs}
}

// GetAttrs returns the labels and the selectable fields of a Migrate. The field label conversions
// of the versions accept the same fields.
func GetAttrs(obj runtime.Object) (labels.Set, fields.Set, error) {
	m, ok := obj.(*backup.Migrate)
	if !ok {
		return nil, nil, fmt.Errorf("%T is not a Migrate", obj)
	}
	selectable := generic.ObjectMetaFieldsSet(&m.ObjectMeta, true)
	selectable[v1alpha1.FieldPhase] = string(m.Status.Phase)
	selectable[v1alpha1.FieldSourceFleet] = m.Spec.SourceCluster.Fleet
	selectable[v1alpha1.FieldTargetFleet] = m.Spec.TargetCluster.Fleet
	return m.Labels, selectable, nil
}
