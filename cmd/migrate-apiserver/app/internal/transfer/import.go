// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// kuratorsFinalizer is on every Migrate of Kurator, whose controller removes it.
const kuratorsFinalizer = "migrate.kurator.dev"

// Import stores objects of Kurator, or of an export of this server. The results are of all objects that it came to; the error is
// that of the storage, at which it ended.
func (s *Storage) Import(ctx context.Context, objects []unstructured.Unstructured, dryRun bool, now time.Time) ([]Result, error) {
	var results []Result
	for i := range objects {
		result, err := s.importObject(ctx, &objects[i], dryRun, now)
		if err != nil {
			return sorted(results), fmt.Errorf("import %s %s/%s: %w", objects[i].GetKind(), objects[i].GetNamespace(), objects[i].GetName(), err)
		}
		results = append(results, result)
	}
	return sorted(results), nil
}

func (s *Storage) importObject(ctx context.Context, from *unstructured.Unstructured, dryRun bool, now time.Time) (Result, error) {
	from = from.DeepCopy()
	version, isExport := annotate(from)
	obj, dropped, err := s.decode(from)
	if err != nil {
		return resultOf(from, NotTransferred, err.Error()), nil
	}
	if m, ok := obj.(*backup.Migrate); ok {
		if err := s.finish(m, now); err != nil {
			return resultOf(from, NotTransferred, err.Error()), nil
		}
	}

	outcome, conflict := Created, ""
	stored, err := s.stores[from.GetKind()].Import(ctx, obj, dryRun, func(old metav1.Object) bool {
		outcome, conflict = compare(old, from.GetUID() == old.GetUID(), version, isExport)
		return outcome == Updated
	})
	switch {
	case err != nil:
		return Result{}, err
	case conflict != "":
		return resultOf(from, NotTransferred, conflict), nil
	case !stored:
		return resultOf(from, Unchanged, ""), nil
	}
	return resultOf(from, outcome, dropped), nil
}

// compare returns whether an object that is stored is replaced by the one of a version, and why it can't be. What this server has
// is newer than any export of it, and than what it did not import.
func compare(old metav1.Object, isSame bool, version string, isExport bool) (outcome Outcome, conflict string) {
	imported, wasImported := old.GetAnnotations()[v1alpha1.ImportedVersionAnnotation]
	switch {
	case wasImported && !isExport && imported != version:
		return Updated, ""
	case isSame:
		return Unchanged, ""
	}
	return Unchanged, "another object of this name is in this server: delete one of them, and import again"
}

// annotate sets the version of an object as the one that is imported. It returns that, and whether the object is an export of this
// server, which has it already.
func annotate(obj *unstructured.Unstructured) (version string, isExport bool) {
	annotations := obj.GetAnnotations()
	if version, isExport = annotations[v1alpha1.ImportedVersionAnnotation]; isExport {
		return version, true
	}
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[v1alpha1.ImportedVersionAnnotation] = obj.GetResourceVersion()
	obj.SetAnnotations(annotations)
	return obj.GetResourceVersion(), false
}

// decode returns the internal object, and a message about the fields that its type does not have.
func (s *Storage) decode(from *unstructured.Unstructured) (obj runtime.Object, dropped string, err error) {
	encoded, err := from.MarshalJSON()
	if err != nil {
		return nil, "", err
	}
	obj, _, err = s.decoder.Decode(encoded, nil, nil)
	if strict, ok := runtime.AsStrictDecodingError(err); ok && obj != nil {
		return obj, fmt.Sprintf("fields that this server does not have were left out: %v", strict.Errors()), nil
	}
	return obj, "", err
}

// finish makes a Migrate of Kurator one of this server. The error is why it can't be imported.
func (s *Storage) finish(m *backup.Migrate, now time.Time) error {
	m.Finalizers = slices.DeleteFunc(m.Finalizers, func(f string) bool { return f == kuratorsFinalizer })
	if m.DeletionTimestamp != nil {
		return fmt.Errorf("it is being deleted: let Kurator finish that")
	}
	versioned := &v1alpha1.Migrate{}
	if err := s.scheme.Convert(m, versioned, nil); err != nil {
		return err
	}
	// Only this server sets it.
	if versioned.Status.ObservedGeneration > 0 && migration.IsTerminal(versioned.Status.Phase) {
		return nil
	}
	status, err := migration.Imported(versioned, now)
	if err != nil {
		return err
	}
	versioned.Status = *status
	return s.scheme.Convert(versioned, m, nil)
}
