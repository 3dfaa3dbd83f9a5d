// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// compare returns an error unless both files have the same objects, but for the Namespace, which Helm
// creates by itself, and Helm's own annotation.
func compare(kustomize, helm string) error {
	want, err := read(kustomize)
	if err != nil {
		return err
	}
	got, err := read(helm)
	if err != nil {
		return err
	}
	if len(want) == 0 {
		return fmt.Errorf("%s has no objects", kustomize)
	}
	names := slices.Collect(maps.Keys(want))
	names = slices.AppendSeq(names, maps.Keys(got))
	slices.Sort(names)
	var differences []string
	for _, name := range slices.Compact(names) {
		if difference := cmp.Diff(want[name], got[name]); difference != "" {
			differences = append(differences, name+" (-kustomize +helm):\n"+difference)
		}
	}
	if len(differences) > 0 {
		return errors.New("the chart differs from the manifests: " + strings.Join(differences, "\n"))
	}
	fmt.Printf("%d objects are the same\n", len(want))
	return nil
}

// read returns the objects in a file, by kind, namespace and name.
func read(file string) (map[string]map[string]any, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	objects := map[string]map[string]any{}
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4<<10)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if object.Object == nil || object.GetKind() == "Namespace" {
			continue
		}
		unstructured.RemoveNestedField(object.Object, "metadata", "annotations", keep)
		if len(object.GetAnnotations()) == 0 {
			unstructured.RemoveNestedField(object.Object, "metadata", "annotations")
		}
		name := strings.Join([]string{object.GroupVersionKind().String(), object.GetNamespace(), object.GetName()}, " ")
		if _, twice := objects[name]; twice {
			return nil, fmt.Errorf("%s has %s twice", file, name)
		}
		objects[name] = object.Object
	}
}
