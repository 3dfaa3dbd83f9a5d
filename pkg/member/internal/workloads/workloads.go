// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"kurator.dev/migrate-apiserver/pkg/member/internal/client"
	"kurator.dev/migrate-apiserver/pkg/member/internal/pods"
	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/recovery"
	"kurator.dev/migrate-apiserver/pkg/velero"
)

const (
	// pageSize is the number of objects in a page, maxPages how many pages of a resource are read,
	// and maxPods how many pods of a workload.
	pageSize, maxPages, maxPods = 100, 50, 50
	// maxExplained is how many workloads that are not ready are explained.
	maxExplained = 3
)

var errUnexpected = errors.New("unexpected format")

// kinds are the kinds of workloads, and claims, with their resources.
var kinds = []struct {
	kind     schema.GroupVersionKind
	resource string
}{
	{appsv1.SchemeGroupVersion.WithKind("Deployment"), "deployments"},
	{appsv1.SchemeGroupVersion.WithKind("StatefulSet"), "statefulsets"},
	{appsv1.SchemeGroupVersion.WithKind("DaemonSet"), "daemonsets"},
	{appsv1.SchemeGroupVersion.WithKind("ReplicaSet"), "replicasets"},
	{corev1.SchemeGroupVersion.WithKind("ReplicationController"), "replicationcontrollers"},
	{batchv1.SchemeGroupVersion.WithKind("Job"), "jobs"},
	{corev1.SchemeGroupVersion.WithKind("Pod"), "pods"},
	{corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim"), "persistentvolumeclaims"},
}

// Read returns which workloads of Restores are ready. Velero labels what a Restore has created or
// changed with its name.
func Read(ctx context.Context, c *client.Client, restores []string) migration.Workloads {
	var found migration.Workloads
	selector := velero.RestoredBy(restores...)
	for _, k := range kinds {
		objects := client.Collection{Resource: k.kind.GroupVersion().WithResource(k.resource)}
		err := each(ctx, c, objects, k.kind, metav1.ListOptions{LabelSelector: selector, Limit: pageSize}, func(object *unstructured.Unstructured) error {
			return add(ctx, c, &found, object)
		})
		if err != nil {
			return migration.Workloads{Err: fmt.Errorf("reading the %s: %w", k.resource, err)}
		}
	}
	return found
}

// each calls f for each object of a list.
func each(ctx context.Context, c *client.Client, objects client.Collection, kind schema.GroupVersionKind, opts metav1.ListOptions, f func(*unstructured.Unstructured) error) error {
	return client.Each(ctx, c, objects, opts, maxPages, func(item *json.RawMessage) error {
		object := &unstructured.Unstructured{}
		// The items of a list have no kind, without which Unstructured can't decode them.
		if err := utiljson.Unmarshal(*item, &object.Object); err != nil {
			return errUnexpected
		}
		object.SetGroupVersionKind(kind)
		return f(object)
	})
}

// add counts a workload, and explains why it is not ready.
func add(ctx context.Context, c *client.Client, found *migration.Workloads, object *unstructured.Unstructured) error {
	if isChecked(metav1.GetControllerOf(object)) {
		return nil // with its controller
	}
	result, err := compute(ctx, object)
	if err != nil {
		return errUnexpected
	}
	if object.GetKind() == "PersistentVolumeClaim" && result.Status != status.CurrentStatus && waitsForConsumer(ctx, c, object) {
		return nil // it is bound as soon as a pod uses it, which is checked itself
	}
	found.Counts.Total++
	if result.Status == status.CurrentStatus {
		found.Counts.Ready++
		return nil
	}
	if len(found.NotReady) < maxExplained {
		why := cmp.Or(explain(ctx, c, object), result.Message, string(result.Status))
		found.NotReady = append(found.NotReady, fmt.Sprintf("%s %s/%s (%s)", object.GetKind(), object.GetNamespace(), object.GetName(), why))
	}
	return nil
}

// isChecked reports whether a controller is of one of the kinds.
func isChecked(controller *metav1.OwnerReference) bool {
	if controller == nil {
		return false
	}
	of := schema.FromAPIVersionAndKind(controller.APIVersion, controller.Kind).GroupKind()
	for _, k := range kinds {
		if k.kind.GroupKind() == of {
			return true
		}
	}
	return false
}

// compute returns the status of a workload. A suspended Job is as ready as it can be. Kstatus panics if
// a status has another format.
func compute(ctx context.Context, object *unstructured.Unstructured) (result *status.Result, err error) {
	if suspended, _, _ := unstructured.NestedBool(object.Object, "spec", "suspend"); suspended && object.GetKind() == "Job" {
		return &status.Result{Status: status.CurrentStatus}, nil
	}
	err = recovery.Do(ctx, func() (err error) {
		result, err = status.Compute(object)
		return err
	})
	return result, err
}

// waitsForConsumer reports whether a claim is not bound before a pod uses it.
func waitsForConsumer(ctx context.Context, c *client.Client, object *unstructured.Unstructured) bool {
	class, err := storageClassOf(ctx, c, object)
	return err == nil && class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer
}

// explain returns why a workload is not ready; empty if there is no better reason than its status.
func explain(ctx context.Context, c *client.Client, object *unstructured.Unstructured) string {
	switch object.GetKind() {
	case "Pod":
		return explainPod(ctx, object)
	case "PersistentVolumeClaim":
		return explainClaim(ctx, c, object)
	}
	var workload struct {
		Spec struct {
			Selector *metav1.LabelSelector `json:"selector"`
		} `json:"spec"`
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &workload); err != nil {
		return ""
	}
	selector, err := metav1.LabelSelectorAsSelector(workload.Spec.Selector)
	if err != nil || selector.Empty() {
		return ""
	}
	// The pods of the workload, not only those of the Restore.
	ofWorkload := client.Collection{Resource: corev1.SchemeGroupVersion.WithResource("pods")}.In(object.GetNamespace())
	why, found := "", errors.New("found")
	_ = each(ctx, c, ofWorkload, corev1.SchemeGroupVersion.WithKind("Pod"), metav1.ListOptions{LabelSelector: selector.String(), Limit: maxPods}, func(pod *unstructured.Unstructured) error {
		if reason := explainPod(ctx, pod); reason != "" {
			why = "Pod " + pod.GetName() + ": " + reason
			return found
		}
		return nil
	})
	return why
}

// explainPod returns why a pod is not ready; empty if it is.
func explainPod(ctx context.Context, object *unstructured.Unstructured) string {
	result, err := compute(ctx, object)
	if err == nil && result.Status == status.CurrentStatus {
		return ""
	}
	var pod corev1.Pod
	if runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &pod) == nil {
		if why := pods.Hindrance(&pod); why != "" {
			return why
		}
	}
	if err != nil {
		return "unexpected format"
	}
	return cmp.Or(result.Message, string(result.Status))
}

// explainClaim returns why a claim is not bound, if its StorageClass does not exist.
func explainClaim(ctx context.Context, c *client.Client, object *unstructured.Unstructured) string {
	if _, err := storageClassOf(ctx, c, object); apierrors.IsNotFound(err) {
		class, _, _ := unstructured.NestedString(object.Object, "spec", "storageClassName")
		return fmt.Sprintf("StorageClass %s does not exist in the cluster", class)
	}
	return ""
}

// storageClass has the field of a StorageClass that matters here.
type storageClass struct {
	VolumeBindingMode storagev1.VolumeBindingMode `json:"volumeBindingMode"`
}

// storageClassOf returns the StorageClass of a claim.
func storageClassOf(ctx context.Context, c *client.Client, object *unstructured.Unstructured) (class storageClass, err error) {
	name, _, _ := unstructured.NestedString(object.Object, "spec", "storageClassName")
	classes := client.Collection{Resource: storagev1.SchemeGroupVersion.WithResource("storageclasses")}
	err = client.GetInto(ctx, c, classes, name, &class)
	return class, err
}
