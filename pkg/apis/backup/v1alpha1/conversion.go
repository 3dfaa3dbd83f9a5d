// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
)

// Fields by which Migrates can be selected, besides metadata.name and
// metadata.namespace.
const (
	FieldPhase       = "status.phase"
	FieldSourceFleet = "spec.sourceCluster.fleet"
	FieldTargetFleet = "spec.targetCluster.fleet"
)

// addFieldLabels registers the selectable fields; others are refused.
func addFieldLabels(scheme *runtime.Scheme) error {
	return scheme.AddFieldLabelConversionFunc(SchemeGroupVersion.WithKind("Migrate"),
		func(label, value string) (string, string, error) {
			switch label {
			case "metadata.name", "metadata.namespace", FieldPhase, FieldSourceFleet, FieldTargetFleet:
				return label, value, nil
			}
			return "", "", fmt.Errorf("%q is not a field that Migrates can be selected by: use metadata.name, metadata.namespace, %s, %s or %s",
				label, FieldPhase, FieldSourceFleet, FieldTargetFleet)
		})
}
