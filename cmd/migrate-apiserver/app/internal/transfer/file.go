// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	sigsyaml "sigs.k8s.io/yaml"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// Read reads objects of the group, as kubectl get -o yaml or json writes them. Other kinds are an error.
func Read(from io.Reader) ([]unstructured.Unstructured, error) {
	var objects []unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(bufio.NewReader(from), 4<<10)
	for {
		var document unstructured.Unstructured
		err := decoder.Decode(&document.Object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		if len(document.Object) == 0 {
			continue
		}
		if !document.IsList() {
			objects = append(objects, document)
		} else if err := document.EachListItem(func(item runtime.Object) error {
			objects = append(objects, *item.(*unstructured.Unstructured))
			return nil
		}); err != nil {
			return nil, err
		}
		for i := range objects {
			if err := checkRead(&objects[i]); err != nil {
				return nil, err
			}
		}
	}
}

// checkRead returns an error unless an object is one of the group that a server has stored.
func checkRead(u *unstructured.Unstructured) error {
	if _, ok := kinds[u.GetKind()]; !ok || u.GroupVersionKind().GroupVersion() != v1alpha1.SchemeGroupVersion {
		return fmt.Errorf("%s %q of %q is not a Backup, Restore or Migrate of %s", u.GetKind(), u.GetName(), u.GetAPIVersion(), v1alpha1.SchemeGroupVersion)
	}
	created := u.GetCreationTimestamp()
	if u.GetName() == "" || u.GetNamespace() == "" || u.GetUID() == "" || u.GetResourceVersion() == "" || created.IsZero() {
		return fmt.Errorf("%s %s/%s lacks its name, namespace, uid, resourceVersion or creationTimestamp: import what kubectl get -o yaml writes; a new object is created by kubectl apply",
			u.GetKind(), u.GetNamespace(), u.GetName())
	}
	return nil
}

// Write writes objects as a list that Read and kubectl read.
func Write(to io.Writer, objects []unstructured.Unstructured) error {
	items := make([]any, len(objects))
	for i := range objects {
		items[i] = objects[i].Object
	}
	encoded, err := sigsyaml.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
	if err != nil {
		return err
	}
	_, err = to.Write(encoded)
	return err
}
