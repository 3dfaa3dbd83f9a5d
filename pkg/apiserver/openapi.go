// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"strings"

	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/util"
	"k8s.io/kube-openapi/pkg/validation/spec"

	generatedopenapi "kurator.dev/migrate-apiserver/pkg/generated/openapi"
)

// openAPIDefinitions returns the generated definitions. Types of projects that give their models
// no name, as Velero's, get the name that Kubernetes gave them before 1.35, which has no "/": in a
// reference that would be "~1" (RFC 6901), which not every client decodes.
func openAPIDefinitions(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
	definitions := map[string]common.OpenAPIDefinition{}
	generated := generatedopenapi.GetOpenAPIDefinitions(func(name string) spec.Ref { return ref(modelName(name)) })
	for name, definition := range generated {
		for i, dependency := range definition.Dependencies {
			definition.Dependencies[i] = modelName(dependency)
		}
		definitions[modelName(name)] = definition
	}
	return definitions
}

// modelName returns the name of a model that is called by its Go path.
func modelName(name string) string {
	if strings.Contains(name, "/") {
		return util.ToRESTFriendlyName(name)
	}
	return name
}
