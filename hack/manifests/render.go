// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	sigsyaml "sigs.k8s.io/yaml"
)

const (
	namespace       = "migrate-system"
	secret          = "migrate-apiserver-tls"
	etcdServersFlag = "--etcd-servers="

	// tenantsRole is the ClusterRole for the namespaces of tenants.
	tenantsRole = "migrate-apiserver:tenants"
)

// serviceHost is the server name that the aggregator verifies; the serving certificate must
// have it.
const serviceHost = "migrate-apiserver." + namespace + ".svc"

// embeddedEtcd is the manifest of the server with embedded etcd. Those in directory replicas
// replace it.
const embeddedEtcd = "30-statefulset.yaml"

// values are the values of one installation.
type values struct {
	// Image is the server's image.
	Image string
	// EtcdServers are the comma-separated URLs of an etcd cluster for several replicas. If it
	// is empty, there is one replica with embedded etcd.
	EtcdServers string
	// Authority, Certificate and Key are the CA, the serving certificate for serviceHost and
	// its key, as PEM.
	Authority, Certificate, Key []byte
	// Namespaces are the only namespaces where the server may read fleets, clusters and
	// Secrets, and write Events. They must exist.
	Namespaces []string
	// AllNamespaces grants this in all namespaces instead, including all Secrets.
	AllNamespaces bool
	// WithoutKurator defines the kinds of the inventory, and has the server ask the clusters whether
	// they are ready. Otherwise the server also serves Kurator's own kinds of the group.
	WithoutKurator bool
	// Flags are more flags of the server.
	Flags []string
	// KuratorNamespace is the namespace of Kurator's fleet-manager.
	KuratorNamespace string
}

// validate returns an error unless exactly one of Namespaces and AllNamespaces is set, so
// that nobody grants access to all Secrets by default.
func (v values) validate() error {
	switch {
	case len(v.Namespaces) == 0 && !v.AllNamespaces:
		return errors.New("name the namespaces of the fleets, whose Secrets the server may read, or ask for all namespaces")
	case len(v.Namespaces) > 0 && v.AllNamespaces:
		return fmt.Errorf("namespaces %s are named and all namespaces are asked for: choose one", strings.Join(v.Namespaces, ", "))
	case v.KuratorNamespace == "" && !v.WithoutKurator:
		return errors.New("name the namespace of Kurator, whose controllers must not see Migrates, or say that the host has no Kurator")
	}
	return nil
}

// render returns the manifests in files with the values of v, by file name.
func render(files fs.FS, v values) (map[string][]byte, error) {
	if err := v.validate(); err != nil {
		return nil, err
	}
	rendered := map[string][]byte{}
	err := renderDir(files, ".", v, rendered)
	if err == nil && v.EtcdServers != "" {
		delete(rendered, embeddedEtcd)
		err = renderDir(files, "replicas", v, rendered)
	}
	overlay := "kurator"
	if v.WithoutKurator {
		overlay = "no-kurator"
	}
	if err == nil {
		err = renderDir(files, overlay, v, rendered)
	}
	if err != nil {
		return nil, err
	}
	if rendered["15-serving-cert.yaml"], err = sigsyaml.Marshal(servingCert(v)); err != nil {
		return nil, fmt.Errorf("render the serving certificate: %w", err)
	}
	return rendered, nil
}

// renderDir renders the manifests of a directory into a map.
func renderDir(files fs.FS, dir string, v values, into map[string][]byte) error {
	names, err := fs.Glob(files, path.Join(dir, "*.yaml"))
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return fmt.Errorf("%s has no manifests", dir)
	}
	for _, name := range names {
		content, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		if into[path.Base(name)], err = renderFile(content, v); err != nil {
			return fmt.Errorf("render %s: %w", name, err)
		}
	}
	return nil
}

func renderFile(content []byte, v values) ([]byte, error) {
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4<<10)
	var documents [][]byte
	for {
		object := map[string]any{}
		err := decoder.Decode(&object)
		if errors.Is(err, io.EOF) {
			return bytes.Join(documents, []byte("---\n")), nil
		}
		if err != nil {
			return nil, err
		}
		if err := fill(object, v); err != nil {
			return nil, err
		}
		for _, confined := range confine(object, v.Namespaces) {
			document, err := sigsyaml.Marshal(confined)
			if err != nil {
				return nil, err
			}
			documents = append(documents, document)
		}
	}
}

// confine replaces the ClusterRoleBinding of tenantsRole by RoleBindings in these namespaces,
// if there are any. It returns any other object unchanged.
func confine(object map[string]any, namespaces []string) []map[string]any {
	u := unstructured.Unstructured{Object: object}
	if len(namespaces) == 0 || u.GetKind() != "ClusterRoleBinding" || u.GetName() != tenantsRole {
		return []map[string]any{object}
	}
	var confined []map[string]any
	for _, namespace := range namespaces {
		binding := u.DeepCopy()
		binding.SetKind("RoleBinding")
		binding.SetNamespace(namespace)
		confined = append(confined, binding.Object)
	}
	return confined
}

// fill sets the values in an object.
func fill(object map[string]any, v values) error {
	switch object["kind"] {
	case "APIService":
		return unstructured.SetNestedField(object, base64.StdEncoding.EncodeToString(v.Authority), "spec", "caBundle")
	case "StatefulSet", "Deployment":
		containers, _, err := unstructured.NestedSlice(object, "spec", "template", "spec", "containers")
		if err != nil {
			return err
		}
		for _, container := range containers {
			container := container.(map[string]any)
			container["image"] = v.Image
			args, _ := container["args"].([]any)
			for i := range args {
				if strings.HasPrefix(args[i].(string), etcdServersFlag) {
					args[i] = etcdServersFlag + v.EtcdServers
				}
			}
			if v.WithoutKurator {
				args = append(args, "--cluster-readiness=probe")
			} else {
				args = append(args, "--kurator-compatibility", "--kurator-controllers=system:serviceaccount:"+v.KuratorNamespace+":kurator-fleet-manager")
			}
			if len(v.Namespaces) > 0 {
				args = append(args, "--namespaces="+strings.Join(v.Namespaces, ","))
			}
			for _, flag := range v.Flags {
				args = append(args, flag)
			}
			container["args"] = args
		}
		return unstructured.SetNestedSlice(object, containers, "spec", "template", "spec", "containers")
	}
	return nil
}

func servingCert(v values) map[string]any {
	return map[string]any{
		"apiVersion": "v1",
		"kind":       "Secret",
		"metadata":   map[string]any{"name": secret, "namespace": namespace},
		"type":       "kubernetes.io/tls",
		"data": map[string]any{
			"tls.crt": base64.StdEncoding.EncodeToString(v.Certificate),
			"tls.key": base64.StdEncoding.EncodeToString(v.Key),
		},
	}
}
