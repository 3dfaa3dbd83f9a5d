// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/generated/openapi"
)

// crdGroup is the group of the CustomResourceDefinition that Migrates are compared with.
const crdGroup = "benchmark.kurator.dev"

// definition returns a CustomResourceDefinition of Migrates, with a structural schema that has the types of our OpenAPI.
func definition() (*unstructured.Unstructured, error) {
	definitions := openapi.GetOpenAPIDefinitions(func(path string) spec.Ref { return spec.MustCreateRef("#/" + escaped.Replace(path)) })
	migrate, err := structural(definitions, definitions[v1alpha1.Migrate{}.OpenAPIModelName()].Schema)
	if err != nil {
		return nil, err
	}
	properties := migrate["properties"].(map[string]any)
	properties["metadata"] = map[string]any{"type": "object"}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1",
		"kind":       "CustomResourceDefinition",
		"metadata":   map[string]any{"name": "migrates." + crdGroup},
		"spec": map[string]any{
			"group": crdGroup,
			"scope": "Namespaced",
			"names": map[string]any{"kind": "Migrate", "listKind": "MigrateList", "plural": "migrates", "singular": "migrate"},
			"versions": []any{map[string]any{
				"name": v1alpha1.SchemeGroupVersion.Version, "served": true, "storage": true,
				"schema":       map[string]any{"openAPIV3Schema": migrate},
				"subresources": map[string]any{"status": map[string]any{}},
			}},
		},
	}}, nil
}

var (
	escaped   = strings.NewReplacer("~", "~0", "/", "~1")
	unescaped = strings.NewReplacer("~1", "/", "~0", "~")
)

// structural returns a schema with its references replaced by what they refer to, and of what a CustomResourceDefinition may have only
// what its server works with: types, formats, enums, required fields, and how lists and maps are merged.
func structural(definitions map[string]common.OpenAPIDefinition, schema spec.Schema) (map[string]any, error) {
	for ref := reference(schema); ref != ""; ref = reference(schema) {
		definition, ok := definitions[unescaped.Replace(strings.TrimPrefix(ref, "#/"))]
		if !ok {
			return nil, fmt.Errorf("no schema %s", ref)
		}
		schema = definition.Schema
	}
	result := map[string]any{}
	for name, value := range schema.Extensions {
		if strings.HasPrefix(name, "x-kubernetes-list-") || name == "x-kubernetes-map-type" {
			result[name] = value
		}
	}
	switch {
	case schema.Format == "int-or-string" || len(schema.OneOf) > 0:
		return map[string]any{"x-kubernetes-int-or-string": true}, nil
	case len(schema.Type) != 1:
		return nil, fmt.Errorf("a schema of the types %v", schema.Type)
	}
	result["type"] = schema.Type[0]
	if schema.Format != "" {
		result["format"] = schema.Format
	}
	if len(schema.Enum) > 0 {
		result["enum"] = schema.Enum
	}
	if len(schema.Required) > 0 {
		result["required"] = schema.Required
	}
	properties := map[string]any{}
	for name, property := range schema.Properties {
		inlined, err := structural(definitions, property)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		properties[name] = inlined
	}
	switch additional := schema.AdditionalProperties; {
	case len(properties) > 0:
		result["properties"] = properties
	case additional != nil && additional.Schema != nil:
		inlined, err := structural(definitions, *additional.Schema)
		if err != nil {
			return nil, err
		}
		result["additionalProperties"] = inlined
	case schema.Type[0] == "object":
		result["x-kubernetes-preserve-unknown-fields"] = true
	}
	if schema.Items != nil && schema.Items.Schema != nil {
		inlined, err := structural(definitions, *schema.Items.Schema)
		if err != nil {
			return nil, err
		}
		result["items"] = inlined
	}
	return normal(result)
}

// reference returns what a schema refers to, or "". One with a default does so by allOf.
func reference(schema spec.Schema) string {
	if ref := schema.Ref.String(); ref != "" || len(schema.AllOf) != 1 {
		return ref
	}
	return schema.AllOf[0].Ref.String()
}

// normal returns a schema with the types of decoded JSON.
func normal(schema map[string]any) (map[string]any, error) {
	encoded, err := json.Marshal(schema)
	if err != nil {
		return nil, err
	}
	var decoded map[string]any
	return decoded, json.Unmarshal(encoded, &decoded)
}
