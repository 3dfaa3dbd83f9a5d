// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package backup

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ImportedAnnotation is the annotation of an object that was imported; no request can set it.
const ImportedAnnotation = "backup.kurator.dev/imported"

// KeepImported sets ImportedAnnotation of an object that a request writes to that of the stored one; old is nil if there is
// none.
func KeepImported(meta, old *metav1.ObjectMeta) {
	imported, ok := "", false
	if old != nil {
		imported, ok = old.Annotations[ImportedAnnotation]
	}
	switch {
	case !ok:
		delete(meta.Annotations, ImportedAnnotation)
	case meta.Annotations == nil:
		meta.Annotations = map[string]string{ImportedAnnotation: imported}
	default:
		meta.Annotations[ImportedAnnotation] = imported
	}
}
