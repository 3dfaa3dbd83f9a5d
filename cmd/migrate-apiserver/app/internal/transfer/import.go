// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"kurator.dev/migrate-apiserver/pkg/apis/backup"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/registry/backup/migrate"
)

// ImportOptions are what an import may do besides creating objects, and updating those that have not changed here.
type ImportOptions struct {
	// FromHost is set if the objects are all that the host has; otherwise they are of a file, which may be an export of a server.
	FromHost bool
	// Overwrite also updates objects that have changed here since they were imported.
	Overwrite bool
	// Prune removes objects that were imported and that the host no longer has.
	Prune bool
	// DryRun changes nothing.
	DryRun bool
}

// Import stores objects of Kurator, or of an export of this server. The results are of all objects that it came to; the error is
// that of the storage, at which it ended.
func (s *Storage) Import(ctx context.Context, objects []unstructured.Unstructured, o ImportOptions, now time.Time) ([]Result, error) {
	var results []Result
	seen := map[Result]bool{}
	for i := range objects {
		result, err := s.importObject(ctx, &objects[i], o, now)
		if err != nil {
			return sorted(results), fmt.Errorf("import %s %s/%s: %w", objects[i].GetKind(), objects[i].GetNamespace(), objects[i].GetName(), err)
		}
		results = append(results, result)
		seen[keyOf(&objects[i])] = true
	}
	if !o.FromHost {
		return sorted(results), nil
	}
	stored, err := s.Objects(ctx)
	if err != nil {
		return sorted(results), err
	}
	for i := range stored {
		if originOf(&stored[i]) != originHost || seen[keyOf(&stored[i])] {
			continue
		}
		result, err := s.prune(ctx, &stored[i], o)
		if err != nil {
			return sorted(results), err
		}
		results = append(results, result)
	}
	return sorted(results), nil
}

// prune removes an object that the host no longer has.
func (s *Storage) prune(ctx context.Context, obj *unstructured.Unstructured, o ImportOptions) (Result, error) {
	typed, _, err := s.decode(obj)
	if err != nil {
		return Result{}, err
	}
	switch {
	case !o.Prune:
		return resultOf(obj, NotTransferred, "it was deleted on the host since it was imported: delete it here by --prune, or Kurator's controller works on it again"), nil
	case s.hasChanged(typed) && !o.Overwrite:
		return resultOf(obj, NotTransferred, "it was deleted on the host and has changed here since it was imported: --overwrite deletes it"), nil
	}
	err = s.stores[obj.GetKind()].Remove(ctx, obj.GetNamespace(), obj.GetName(), obj.GetUID(), o.DryRun)
	return resultOf(obj, Deleted, ""), err
}

func (s *Storage) importObject(ctx context.Context, object *unstructured.Unstructured, o ImportOptions, now time.Time) (Result, error) {
	from := object.DeepCopy()
	// Only a file can be an export: the annotation of an object on the host is that of whoever applied it there.
	isExport := !o.FromHost && (originOf(from) != "" || isOurs(from))
	if !isExport {
		unmark(from)
	}
	obj, dropped, err := s.decode(from)
	if err != nil {
		return resultOf(from, NotTransferred, err.Error()), nil
	}
	if m, ok := obj.(*backup.Migrate); ok {
		if err := s.finish(m, now); err != nil {
			return resultOf(from, NotTransferred, err.Error()), nil
		}
	}
	if !isExport {
		origin := originFile
		if o.FromHost {
			origin = originHost
		}
		if err := s.mark(obj, origin, from.GetResourceVersion()); err != nil {
			return Result{}, err
		}
	}

	conflict := ""
	outcome := Created
	stored, err := s.stores[from.GetKind()].Import(ctx, obj, o.DryRun, func(old runtime.Object) bool {
		outcome, conflict = s.compare(old, from, isExport, o.Overwrite)
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

// compare returns whether an object that is stored is replaced by another one, and why it can't be. What this server has is newer
// than an export, and than what it did not import.
func (s *Storage) compare(old runtime.Object, from *unstructured.Unstructured, isExport, overwrite bool) (outcome Outcome, conflict string) {
	accessor, err := meta.Accessor(old)
	if err != nil {
		return Unchanged, err.Error()
	}
	origin, version, _ := markOf(accessor.GetAnnotations())
	wasImported := origin != ""
	isSame := accessor.GetUID() == from.GetUID()
	switch {
	case isExport && isSame, wasImported && version == from.GetResourceVersion(), !wasImported && isSame:
		return Unchanged, ""
	case isExport || !wasImported:
		return Unchanged, "another object of this name was created in this server: delete one of them, and import again"
	case s.hasChanged(old) && !overwrite:
		return Unchanged, "it has changed both here and where it comes from since it was imported: --overwrite takes the latter"
	}
	return Updated, ""
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
	m.Finalizers = slices.DeleteFunc(m.Finalizers, func(f string) bool { return f == migrate.KuratorFinalizer })
	if m.DeletionTimestamp != nil {
		return errors.New("it is being deleted: let Kurator finish that")
	}
	versioned := &v1alpha1.Migrate{}
	if err := s.scheme.Convert(m, versioned, nil); err != nil {
		return err
	}
	if ours := versioned.Status.ObservedGeneration > 0; ours && migration.IsTerminal(versioned.Status.Phase) {
		return nil
	} else if ours {
		return fmt.Errorf("it is of another server like this one, where it is under way (%s): export it once it has ended", versioned.Status.Phase)
	}
	status, err := migration.Imported(versioned, now)
	if err != nil {
		return err
	}
	versioned.Status = *status
	return s.scheme.Convert(versioned, m, nil)
}

// isOurs reports whether a Migrate is one of this server, or of another like it: only these set the observed generation.
func isOurs(obj *unstructured.Unstructured) bool {
	generation, _, _ := unstructured.NestedInt64(obj.Object, "status", "observedGeneration")
	return obj.GetKind() == "Migrate" && generation > 0
}
