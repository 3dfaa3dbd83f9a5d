// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Restorable returns an object of a cluster, as JSON, in the form in which Velero would create it in a namespace:
// without its status and without what belongs to its cluster (resetMetadata and the restore item actions of Velero
// v1.18.3, as far as they matter for whether two objects are the same and whether a cluster accepts one).
func Restorable(object []byte, namespace string) (*unstructured.Unstructured, error) {
	o, err := reset(object, namespace)
	if err != nil {
		return nil, err
	}
	switch o.GetKind() {
	case "Service":
		dropServiceAddresses(o.Object)
	case "PersistentVolumeClaim":
		unstructured.RemoveNestedField(o.Object, "spec", "volumeName")
	case "ServiceAccount":
		delete(o.Object, "secrets")
	case "Job":
		unstructured.RemoveNestedField(o.Object, "spec", "selector")
		for _, label := range []string{"controller-uid", "batch.kubernetes.io/controller-uid"} {
			unstructured.RemoveNestedField(o.Object, "spec", "template", "metadata", "labels", label)
		}
	case "Pod":
		unstructured.RemoveNestedField(o.Object, "spec", "nodeName")
		unstructured.RemoveNestedField(o.Object, "spec", "priority")
		dropTokens(o.Object)
	}
	return o, nil
}

// reset returns an object without its status, and of its metadata what a Restore keeps.
func reset(object []byte, namespace string) (*unstructured.Unstructured, error) {
	o := &unstructured.Unstructured{}
	if err := json.Unmarshal(object, &o.Object); err != nil {
		return nil, fmt.Errorf("parsing an object failed: %w", err)
	}
	if o.Object == nil {
		return nil, errors.New("parsing an object failed: it is null")
	}
	metadata := map[string]any{"name": o.GetName()}
	if o.GetNamespace() != "" {
		metadata["namespace"] = namespace
	}
	if labels := without(o.GetLabels(), velerov1.BackupNameLabel, velerov1.RestoreNameLabel); len(labels) > 0 {
		metadata["labels"] = labels
	}
	if annotations := without(o.GetAnnotations(),
		"pv.kubernetes.io/bind-completed", "pv.kubernetes.io/bound-by-controller", "volume.kubernetes.io/selected-node",
		"volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner"); len(annotations) > 0 {
		metadata["annotations"] = annotations
	}
	o.Object["metadata"] = metadata
	delete(o.Object, "status")
	return o, nil
}

func without(values map[string]string, keys ...string) map[string]any {
	values = maps.Clone(values)
	for _, key := range keys {
		delete(values, key)
	}
	kept := map[string]any{}
	for key, value := range values {
		kept[key] = value
	}
	return kept
}

// dropServiceAddresses removes what a cluster assigns to a Service.
func dropServiceAddresses(service map[string]any) {
	spec, _, _ := unstructured.NestedMap(service, "spec")
	if spec == nil {
		return
	}
	if spec["clusterIP"] != "None" {
		delete(spec, "clusterIP")
		delete(spec, "clusterIPs")
	}
	delete(spec, "healthCheckNodePort")
	ports, _ := spec["ports"].([]any)
	for _, port := range ports {
		if port, ok := port.(map[string]any); ok {
			delete(port, "nodePort")
		}
	}
	service["spec"] = spec
}

// dropTokens removes the volumes that a cluster adds to a Pod for the token of its ServiceAccount.
func dropTokens(pod map[string]any) {
	spec, _, _ := unstructured.NestedMap(pod, "spec")
	if spec == nil {
		return
	}
	isToken := func(value any, key string) bool {
		named, _ := value.(map[string]any)
		name, _ := named[key].(string)
		return strings.HasPrefix(name, "kube-api-access-") || strings.Contains(name, "-token-")
	}
	drop := func(of map[string]any, field, key string) {
		all, _ := of[field].([]any)
		var kept []any
		for _, value := range all {
			if !isToken(value, key) {
				kept = append(kept, value)
			}
		}
		if delete(of, field); len(kept) > 0 {
			of[field] = kept
		}
	}
	drop(spec, "volumes", "name")
	for _, containers := range []string{"containers", "initContainers"} {
		all, _ := spec[containers].([]any)
		for _, container := range all {
			if container, ok := container.(map[string]any); ok {
				drop(container, "volumeMounts", "name")
			}
		}
	}
	pod["spec"] = spec
}

// IsSame reports whether a Restore takes an object of the target for the same as that of the source: restoreItem in
// pkg/restore/restore.go of Velero v1.18.3 changes only the latter, so a Service that has an address is another one. It
// merges ServiceAccounts, and so keeps none.
func IsSame(source, target []byte) (bool, error) {
	a, err := Restorable(source, "")
	if err != nil {
		return false, err
	}
	b, err := reset(target, "")
	if err != nil {
		return false, err
	}
	return a.GetKind() == "ServiceAccount" || equality.Semantic.DeepEqual(a.Object, b.Object), nil
}
