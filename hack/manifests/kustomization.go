// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

const (
	deploy = "artifacts/deploy"
	// tenants is the file with a RoleBinding in each namespace of the fleets.
	tenants = "tenants.yaml"
	// imageName is the name of the image in artifacts/deploy.
	imageName = "migrate-apiserver"
)

// values are the values of one installation.
type values struct {
	// Image is the server's image.
	Image string
	// EtcdServers are the comma-separated URLs of an etcd cluster for several replicas. If it
	// is empty, there is one replica with embedded etcd.
	EtcdServers string
	// Namespaces are the only namespaces where the server may read fleets, clusters and
	// Secrets, and write Events. They must exist.
	Namespaces []string
	// AllNamespaces grants this in all namespaces instead, including all Secrets.
	AllNamespaces bool
	// Kurator has the server also serve Kurator's own kinds of the group. Otherwise the kinds
	// of the inventory are defined, and the server asks the clusters whether they are ready.
	Kurator bool
	// KuratorNamespace is the namespace of Kurator's fleet-manager, or empty for Kurator's default.
	KuratorNamespace string
	// Components are the names of more components.
	Components []string
	// Flags are more flags of the server.
	Flags []string
}

// validate returns an error unless exactly one of Namespaces and AllNamespaces is set, so
// that nobody grants access to all Secrets by default.
func (v values) validate() error {
	switch {
	case v.Image == "":
		return errors.New("name the image")
	case len(v.Namespaces) == 0 && !v.AllNamespaces:
		return errors.New("name the namespaces of the fleets, whose Secrets the server may read, or ask for all namespaces")
	case len(v.Namespaces) > 0 && v.AllNamespaces:
		return fmt.Errorf("namespaces %s are named and all namespaces are asked for: choose one", strings.Join(v.Namespaces, ", "))
	}
	for _, component := range v.Components {
		if _, err := os.Stat(filepath.Join(deploy, "components", component)); err != nil {
			return fmt.Errorf("component %s: %w", component, err)
		}
	}
	return nil
}

// write writes the kustomization of an installation to directory out.
func write(out string, v values) error {
	if out == "" {
		return errors.New("name the directory to write to")
	}
	if err := v.validate(); err != nil {
		return err
	}
	root, err := relative(out)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	if len(v.Namespaces) > 0 {
		bindings, err := roleBindings(v.Namespaces)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(out, tenants), bindings, 0o644); err != nil {
			return err
		}
	}
	content, err := yaml.Marshal(kustomization(filepath.Join(root, deploy), v))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, "kustomization.yaml"), content, 0o644)
}

// relative returns the path of the working directory from directory out, because a kustomization has
// relative paths.
func relative(out string) (string, error) {
	working, err := os.Getwd()
	if err != nil {
		return "", err
	}
	target, err := filepath.Abs(out)
	if err != nil {
		return "", err
	}
	return filepath.Rel(target, working)
}

// roleBindings returns the RoleBinding of artifacts/deploy/tenant for each namespace.
func roleBindings(namespaces []string) ([]byte, error) {
	binding, err := os.ReadFile(filepath.Join(deploy, "tenant", "rolebinding.yaml"))
	if err != nil {
		return nil, err
	}
	var all [][]byte
	for _, namespace := range namespaces {
		all = append(all, bytes.Replace(binding, []byte("namespace: default\n"), []byte("namespace: "+namespace+"\n"), 1))
	}
	return bytes.Join(all, []byte("---\n")), nil
}

// kustomization returns the content of kustomization.yaml; deploy is the path of artifacts/deploy.
func kustomization(deploy string, v values) map[string]any {
	overlay := "standalone"
	if v.EtcdServers != "" {
		overlay = "ha"
	}
	resources := []string{filepath.Join(deploy, "overlays", overlay)}
	if len(v.Namespaces) > 0 {
		resources = append(resources, tenants)
	}
	var components []string
	for _, component := range v.components() {
		components = append(components, filepath.Join(deploy, "components", component))
	}
	k := map[string]any{
		"apiVersion": "kustomize.config.k8s.io/v1beta1",
		"kind":       "Kustomization",
		"resources":  resources,
		"components": components,
		"images":     []any{image(v.Image)},
	}
	if patches := v.patches(); len(patches) > 0 {
		k["patches"] = patches
	}
	return k
}

func (v values) components() []string {
	names := []string{"no-kurator"}
	if v.Kurator {
		names = []string{"kurator"}
	}
	if v.AllNamespaces {
		names = append(names, "all-namespaces")
	}
	for _, component := range v.Components {
		if !slices.Contains(names, component) {
			names = append(names, component)
		}
	}
	return names
}

// image returns the entry of images that replaces the image of artifacts/deploy.
func image(reference string) map[string]any {
	if name, digest, found := strings.Cut(reference, "@"); found {
		return map[string]any{"name": imageName, "newName": name, "digest": digest}
	}
	name, tag := reference, "latest"
	// A colon before a slash is that of a registry's port.
	if i := strings.LastIndex(reference, ":"); i > strings.LastIndex(reference, "/") {
		name, tag = reference[:i], reference[i+1:]
	}
	return map[string]any{"name": imageName, "newName": name, "newTag": tag}
}

func (v values) patches() []any {
	var patches []any
	if v.EtcdServers != "" {
		patches = append(patches, patch("Deployment", []any{map[string]any{
			"op": "replace", "path": "/spec/template/spec/containers/0/env/0", "value": map[string]any{"name": "ETCD_SERVERS", "value": v.EtcdServers},
		}}))
	}
	var flags []any
	for _, flag := range v.flags() {
		flags = append(flags, map[string]any{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": flag})
	}
	if len(flags) > 0 {
		patches = append(patches, patch("StatefulSet|Deployment", flags))
	}
	return patches
}

func (v values) flags() []string {
	var flags []string
	if v.Kurator && v.KuratorNamespace != "" {
		flags = append(flags, "--kurator-controllers=system:serviceaccount:"+v.KuratorNamespace+":kurator-fleet-manager")
	}
	if len(v.Namespaces) > 0 {
		flags = append(flags, "--namespaces="+strings.Join(v.Namespaces, ","))
	}
	return append(flags, v.Flags...)
}

func patch(kinds string, operations []any) map[string]any {
	content, _ := yaml.Marshal(operations)
	return map[string]any{"target": map[string]any{"kind": kinds, "name": imageName}, "patch": string(content)}
}
