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
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	sigsyaml "sigs.k8s.io/yaml"
)

const (
	namespace       = "migrate-system"
	secret          = "migrate-apiserver-tls"
	etcdServersFlag = "--etcd-servers="

	// tenantsRole is the ClusterRole of what the server does where tenants are.
	tenantsRole = "migrate-apiserver:tenants"
)

// ServiceHost is the name by which the aggregator knows the server; its serving
// certificate must hold it.
const ServiceHost = "migrate-apiserver." + namespace + ".svc"

var (
	//go:embed 00-namespace.yaml 10-rbac.yaml
	permissions embed.FS
	//go:embed *.yaml
	all embed.FS
	//go:embed replicas/*.yaml
	replicas embed.FS
)

// embeddedEtcd is the manifest of the server on an etcd of its own; those in the
// folder replicas take its place.
const embeddedEtcd = "30-statefulset.yaml"

// Permissions are the namespace, the ServiceAccount and its RBAC: all that holds
// for a server that runs outside of the cluster too.
func Permissions() fs.FS { return permissions }

// Values are what an installation has of its own.
type Values struct {
	// Image is the server's image.
	Image string
	// EtcdServers are the URLs of an etcd cluster, comma-separated. With it there are
	// several replicas; empty: one, with an etcd of its own.
	EtcdServers string
	// Authority, Certificate and Key are PEM: the server's certificate for
	// ServiceHost, and who signed it.
	Authority, Certificate, Key []byte
	// Namespaces are the only ones whose fleets, clusters and Secrets the server may
	// read, and where it may write Events. They must exist.
	Namespaces []string
	// AllNamespaces grants the same in the whole cluster, every Secret of it included,
	// in place of Namespaces.
	AllNamespaces bool
}

// validate says whether it is told where the server may read Secrets: in the whole
// cluster only if that is asked for.
func (v Values) validate() error {
	switch {
	case len(v.Namespaces) == 0 && !v.AllNamespaces:
		return errors.New("name the namespaces of the fleets, whose Secrets the server may read, or ask for all namespaces")
	case len(v.Namespaces) > 0 && v.AllNamespaces:
		return fmt.Errorf("namespaces %s are named and all namespaces are asked for: choose one", strings.Join(v.Namespaces, ", "))
	}
	return nil
}

// Render returns the manifests with the values put in, by file name.
func Render(values Values) (map[string][]byte, error) {
	if err := values.validate(); err != nil {
		return nil, err
	}
	rendered := map[string][]byte{}
	err := renderAll(all, values, rendered)
	if err == nil && values.EtcdServers != "" {
		delete(rendered, embeddedEtcd)
		err = renderAll(replicas, values, rendered)
	}
	if err != nil {
		return nil, err
	}
	if rendered["15-serving-cert.yaml"], err = sigsyaml.Marshal(servingCert(values)); err != nil {
		return nil, fmt.Errorf("render the serving certificate: %w", err)
	}
	return rendered, nil
}

// renderAll renders all files of a tree.
func renderAll(files fs.FS, values Values, into map[string][]byte) error {
	return fs.WalkDir(files, ".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(files, file)
		if err != nil {
			return err
		}
		if into[entry.Name()], err = render(content, values); err != nil {
			return fmt.Errorf("render %s: %w", file, err)
		}
		return nil
	})
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
		for _, confined := range confine(object, values.Namespaces) {
			document, err := sigsyaml.Marshal(confined)
			if err != nil {
				return nil, err
			}
			documents = append(documents, document)
		}
	}
}

// confine returns in place of the binding of what the server does where tenants are,
// bindings in these namespaces alone. Any other object is returned as it is.
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

func fill(object map[string]any, values Values) error {
	switch object["kind"] {
	case "APIService":
		return unstructured.SetNestedField(object, base64.StdEncoding.EncodeToString(values.Authority), "spec", "caBundle")
	case "StatefulSet", "Deployment":
		containers, _, err := unstructured.NestedSlice(object, "spec", "template", "spec", "containers")
		if err != nil {
			return err
		}
		for _, container := range containers {
			container := container.(map[string]any)
			container["image"] = values.Image
			args, _ := container["args"].([]any)
			for i := range args {
				if strings.HasPrefix(args[i].(string), etcdServersFlag) {
					args[i] = etcdServersFlag + values.EtcdServers
				}
			}
			if len(values.Namespaces) > 0 {
				args = append(args, "--namespaces="+strings.Join(values.Namespaces, ","))
				container["args"] = args
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
