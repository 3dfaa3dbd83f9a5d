// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"bytes"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	sigsyaml "sigs.k8s.io/yaml"
)

const (
	namespace = "migrate-system"
	secret    = "migrate-apiserver-tls"
)

// ServiceHost is the name by which the aggregator knows the server; its serving
// certificate must hold it.
const ServiceHost = "migrate-apiserver." + namespace + ".svc"

var (
	//go:embed 00-namespace.yaml 10-rbac.yaml
	permissions embed.FS
	//go:embed *.yaml
	all embed.FS
)

// Permissions are the namespace, the ServiceAccount and its RBAC: all that holds
// for a server that runs outside of the cluster too.
func Permissions() fs.FS { return permissions }

// Values are what an installation has of its own.
type Values struct {
	// Image is the server's image.
	Image string
	// Authority, Certificate and Key are PEM: the server's certificate for
	// ServiceHost, and who signed it.
	Authority, Certificate, Key []byte
}

// Render returns the manifests with the values put in, by file name.
func Render(values Values) (map[string][]byte, error) {
	entries, err := all.ReadDir(".")
	if err != nil {
		return nil, err
	}
	rendered := map[string][]byte{}
	for _, entry := range entries {
		content, err := all.ReadFile(entry.Name())
		if err != nil {
			return nil, err
		}
		if rendered[entry.Name()], err = render(content, values); err != nil {
			return nil, fmt.Errorf("render %s: %w", entry.Name(), err)
		}
	}
	if rendered["15-serving-cert.yaml"], err = sigsyaml.Marshal(servingCert(values)); err != nil {
		return nil, fmt.Errorf("render the serving certificate: %w", err)
	}
	return rendered, nil
}

func render(content []byte, values Values) ([]byte, error) {
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
		if err := fill(object, values); err != nil {
			return nil, err
		}
		document, err := sigsyaml.Marshal(object)
		if err != nil {
			return nil, err
		}
		documents = append(documents, document)
	}
}

func fill(object map[string]any, values Values) error {
	switch object["kind"] {
	case "APIService":
		return unstructured.SetNestedField(object, base64.StdEncoding.EncodeToString(values.Authority), "spec", "caBundle")
	case "StatefulSet":
		containers, _, err := unstructured.NestedSlice(object, "spec", "template", "spec", "containers")
		if err != nil {
			return err
		}
		for _, container := range containers {
			if err := unstructured.SetNestedField(container.(map[string]any), values.Image, "image"); err != nil {
				return err
			}
		}
		return unstructured.SetNestedSlice(object, containers, "spec", "template", "spec", "containers")
	}
	return nil
}

func servingCert(values Values) map[string]any {
	return map[string]any{
		"apiVersion": "v1",
		"kind":       "Secret",
		"metadata":   map[string]any{"name": secret, "namespace": namespace},
		"type":       "kubernetes.io/tls",
		"data": map[string]any{
			"tls.crt": base64.StdEncoding.EncodeToString(values.Certificate),
			"tls.key": base64.StdEncoding.EncodeToString(values.Key),
		},
	}
}
