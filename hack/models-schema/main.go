// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Command models-schema prints the schemas of the API types as an OpenAPI v2 document, which
// applyconfiguration-gen needs for the merge strategies of lists and maps.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/util"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"kurator.dev/migrate-apiserver/pkg/generated/openapi"
)

func main() {
	if err := json.NewEncoder(os.Stdout).Encode(document()); err != nil {
		fmt.Fprintln(os.Stderr, "models-schema:", err)
		os.Exit(1)
	}
}

func document() *spec.Swagger {
	schemas := spec.Definitions{}
	for name, definition := range openapi.GetOpenAPIDefinitions(reference) {
		schema := definition.Schema
		if v2, ok := schema.Extensions[common.ExtensionV2Schema].(spec.Schema); ok {
			schema = v2
		}
		schemas[modelName(name)] = schema
	}
	return &spec.Swagger{SwaggerProps: spec.SwaggerProps{
		Swagger:     "2.0",
		Info:        &spec.Info{InfoProps: spec.InfoProps{Title: "Kurator Migrate", Version: "unversioned"}},
		Paths:       &spec.Paths{},
		Definitions: schemas,
	}}
}

func reference(name string) spec.Ref {
	return spec.MustCreateRef("#/definitions/" + modelName(name))
}

// modelName returns the name of a type's schema: the model name of the type, if it has one,
// or a name made from its import path.
func modelName(name string) string {
	if !strings.Contains(name, "/") {
		return name
	}
	return util.ToRESTFriendlyName(name)
}
