// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// A mark is the annotation of an object that is both here and elsewhere: where that is, its resourceVersion there, and a hash of
// what it was here when the two were the same.

// The origins of marked objects.
const (
	originHost = "host"
	originFile = "file"
)

// mark sets the mark of an internal object.
func (s *Storage) mark(obj runtime.Object, origin, version string) error {
	accessor, err := meta.Accessor(obj)
	if err != nil {
		return err
	}
	hash, err := s.hash(obj)
	if err != nil {
		return err
	}
	annotations := accessor.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[backup.ImportedAnnotation] = origin + "/" + version + "/" + hash
	accessor.SetAnnotations(annotations)
	return nil
}

func unmark(obj *unstructured.Unstructured) {
	unstructured.RemoveNestedField(obj.Object, "metadata", "annotations", backup.ImportedAnnotation)
	if len(obj.GetAnnotations()) == 0 {
		unstructured.RemoveNestedField(obj.Object, "metadata", "annotations")
	}
}

// originOf returns the origin of a marked object; empty if it has no mark.
func originOf(obj *unstructured.Unstructured) string {
	origin, _, _ := markOf(obj.GetAnnotations())
	return origin
}

// markOf returns the parts of a mark; the origin is empty if there is none.
func markOf(annotations map[string]string) (origin, version, hash string) {
	origin, rest, _ := strings.Cut(annotations[backup.ImportedAnnotation], "/")
	version, hash, _ = strings.Cut(rest, "/")
	return origin, version, hash
}

// hasChanged reports whether an internal object has changed since it was marked.
func (s *Storage) hasChanged(obj runtime.Object) bool {
	accessor, err := meta.Accessor(obj)
	if err != nil {
		return true
	}
	origin, _, was := markOf(accessor.GetAnnotations())
	hash, err := s.hash(obj)
	return origin == "" || err != nil || hash != was
}

// hash returns a hash of what a person or a controller can change in an internal object.
func (s *Storage) hash(obj runtime.Object) (string, error) {
	versioned, err := s.scheme.ConvertToVersion(obj, v1alpha1.SchemeGroupVersion)
	if err != nil {
		return "", err
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(versioned)
	if err != nil {
		return "", err
	}
	u := &unstructured.Unstructured{Object: content}
	unmark(u)
	encoded, err := json.Marshal(struct {
		UID         any
		Labels      map[string]string
		Annotations map[string]string
		Finalizers  []string
		Owners      []metav1.OwnerReference
		Deleted     bool
		Spec        any
		Status      any
	}{
		u.GetUID(), u.GetLabels(), u.GetAnnotations(), u.GetFinalizers(), u.GetOwnerReferences(), u.GetDeletionTimestamp() != nil,
		content["spec"], content["status"],
	})
	return fmt.Sprintf("%x", sha256.Sum256(encoded))[:16], err
}
