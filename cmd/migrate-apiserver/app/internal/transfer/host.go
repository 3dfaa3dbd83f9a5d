// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/pager"

	"kurator.dev/migrate-apiserver/pkg/aggregation"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// Host are the definitions of Kurator on a host.
type Host struct {
	Client dynamic.Interface
}

// Objects returns all objects of the definitions. It returns an error if the host does not serve them.
func (h Host) Objects(ctx context.Context) ([]unstructured.Unstructured, error) {
	if err := h.checkServes(ctx); err != nil {
		return nil, err
	}
	var objects []unstructured.Unstructured
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		of, err := h.list(ctx, kinds[kind])
		if err != nil {
			return nil, err
		}
		objects = append(objects, of...)
	}
	return objects, nil
}

// list returns the objects of a resource. A definition that is not there has none.
func (h Host) list(ctx context.Context, resource string) ([]unstructured.Unstructured, error) {
	client := h.Client.Resource(v1alpha1.SchemeGroupVersion.WithResource(resource))
	var objects []unstructured.Unstructured
	err := pager.New(func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		return client.List(ctx, options)
	}).EachListItem(ctx, metav1.ListOptions{}, func(obj runtime.Object) error {
		objects = append(objects, *obj.(*unstructured.Unstructured))
		return nil
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("list %s of the host: %w", resource, err)
	}
	return objects, nil
}

// checkServes returns an error, with what to do, unless the host serves the definitions: otherwise the objects that it
// returns are those of this server.
func (h Host) checkServes(ctx context.Context) error {
	switch server, err := aggregation.ServedBy(ctx, h.Client); {
	case err != nil:
		return err
	case server == aggregation.None:
		return errors.New("the host does not serve " + v1alpha1.SchemeGroupVersion.String() + ": it has no CustomResourceDefinitions of Kurator")
	case server == aggregation.Service:
		return fmt.Errorf("the host has an APIService for %s with a Service, which hides the objects of Kurator's CustomResourceDefinitions: "+
			"delete it (kubectl delete apiservice %s), and try again", v1alpha1.SchemeGroupVersion, aggregation.APIServiceName)
	}
	return nil
}

// Export writes the Backups and Restores of a storage to the definitions of the host, with their status. It deletes nothing,
// and reports what the host has besides them. It writes no Migrates: Kurator would migrate those of this server again.
func (h Host) Export(ctx context.Context, s *Storage, dryRun bool) ([]Result, error) {
	if err := h.checkServes(ctx); err != nil {
		return nil, err
	}
	objects, err := s.Objects(ctx)
	if err != nil {
		return nil, err
	}
	var results []Result
	exported := map[Result]bool{}
	for i := range objects {
		result, version, err := h.export(ctx, &objects[i], dryRun)
		if _, marked, _ := markOf(objects[i].GetAnnotations()); err == nil && version != "" && version != marked && !dryRun {
			err = s.MarkExported(ctx, &objects[i], version)
		}
		if status := apierrors.APIStatus(nil); errors.As(err, &status) {
			// The host refused this one.
			result, err = resultOf(&objects[i], NotTransferred, err.Error()), nil
		}
		if err != nil {
			return sorted(results), fmt.Errorf("export %s %s/%s: %w", objects[i].GetKind(), objects[i].GetNamespace(), objects[i].GetName(), err)
		}
		results = append(results, result)
		exported[keyOf(&objects[i])] = true
	}
	theirs, err := h.Objects(ctx)
	if err != nil {
		return sorted(results), err
	}
	for i := range theirs {
		if exported[keyOf(&theirs[i])] {
			continue
		}
		results = append(results, resultOf(&theirs[i], NotTransferred, messageOfMissing(&theirs[i])))
	}
	return sorted(results), nil
}

// messageOfMissing returns what to do with an object of the host that this server does not have.
func messageOfMissing(obj *unstructured.Unstructured) string {
	phase, _, _ := unstructured.NestedString(obj.Object, "status", "phase")
	if obj.GetKind() == "Migrate" && !migration.IsTerminal(v1alpha1.MigratePhase(phase)) {
		return "it is not in this server: Kurator goes on with it, unless you delete it on the host before Kurator's controller starts"
	}
	return "it is not in this server: if it was deleted there since the import, delete it on the host too"
}

func keyOf(obj *unstructured.Unstructured) Result { return resultOf(obj, "", "") }

// export writes an object. The version is its resourceVersion on the host; empty for a Migrate, which is not written.
func (h Host) export(ctx context.Context, obj *unstructured.Unstructured, dryRun bool) (result Result, version string, err error) {
	client := h.Client.Resource(v1alpha1.SchemeGroupVersion.WithResource(kinds[obj.GetKind()])).Namespace(obj.GetNamespace())
	existing, err := client.Get(ctx, obj.GetName(), metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return Result{}, "", err
	}
	isThere := err == nil
	switch {
	case obj.GetKind() == "Migrate":
		return resultOfMigrate(obj, isThere), "", nil
	case obj.GetDeletionTimestamp() != nil:
		return resultOf(obj, NotTransferred, "it is being deleted: export it once it is gone, or delete it on the host"), "", nil
	}
	var dry []string
	if dryRun {
		dry = []string{metav1.DryRunAll}
	}
	wanted := definedBy(obj, existing)
	outcome := Created
	switch {
	case !isThere:
		existing, err = client.Create(ctx, wanted, metav1.CreateOptions{DryRun: dry})
	case isSame(wanted, existing):
		outcome = Unchanged
	default:
		outcome = Updated
		existing, err = client.Update(ctx, wanted, metav1.UpdateOptions{DryRun: dry})
	}
	if err != nil {
		return Result{}, "", err
	}
	status := wanted.Object["status"]
	switch {
	case apiequality.Semantic.DeepEqual(existing.Object["status"], status):
	case !isThere && dryRun: // there is nothing whose status could be written
	default:
		if outcome == Unchanged {
			outcome = Updated
		}
		existing.Object["status"] = status
		if existing, err = client.UpdateStatus(ctx, existing, metav1.UpdateOptions{DryRun: dry}); err != nil {
			return Result{}, "", err
		}
	}
	return resultOf(obj, outcome, ""), existing.GetResourceVersion(), nil
}

// resultOfMigrate returns what becomes of a Migrate, which is not exported.
func resultOfMigrate(obj *unstructured.Unstructured, isThere bool) Result {
	phase, _, _ := unstructured.NestedString(obj.Object, "status", "phase")
	switch {
	case !migration.IsTerminal(v1alpha1.MigratePhase(phase)):
		return resultOf(obj, NotTransferred, "it is under way in this server ("+phase+"): wait for its end, or cancel it; Kurator would begin it again")
	case isThere:
		return resultOf(obj, Unchanged, "")
	}
	return resultOf(obj, NotTransferred, "Kurator would migrate it again: keep it in a file, by --filename")
}

// definedBy returns what the definitions get: the object without what belongs to the server that stores it. An existing object
// keeps its identity.
func definedBy(obj, existing *unstructured.Unstructured) *unstructured.Unstructured {
	wanted := obj.DeepCopy()
	for _, field := range []string{"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink"} {
		unstructured.RemoveNestedField(wanted.Object, "metadata", field)
	}
	unmark(wanted)
	// A new object has another UID on the host, where an owner that does not exist has its object deleted.
	wanted.SetOwnerReferences(slices.DeleteFunc(wanted.GetOwnerReferences(), func(owner metav1.OwnerReference) bool {
		return owner.APIVersion == v1alpha1.SchemeGroupVersion.String()
	}))
	if existing != nil {
		wanted.SetUID(existing.GetUID())
		wanted.SetResourceVersion(existing.GetResourceVersion())
	}
	if status, ok := wanted.Object["status"].(map[string]any); ok && len(status) == 0 {
		delete(wanted.Object, "status")
	}
	return wanted
}

// isSame reports whether an object has nothing to be changed but its status.
func isSame(wanted, existing *unstructured.Unstructured) bool {
	return apiequality.Semantic.DeepEqual(wanted.Object["spec"], existing.Object["spec"]) &&
		apiequality.Semantic.DeepEqual(wanted.GetLabels(), existing.GetLabels()) &&
		apiequality.Semantic.DeepEqual(wanted.GetAnnotations(), existing.GetAnnotations()) &&
		apiequality.Semantic.DeepEqual(wanted.GetFinalizers(), existing.GetFinalizers()) &&
		apiequality.Semantic.DeepEqual(wanted.GetOwnerReferences(), existing.GetOwnerReferences())
}
