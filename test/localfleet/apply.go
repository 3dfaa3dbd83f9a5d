// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package localfleet

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
)

const fieldManager = "localfleet"

// applier applies objects of any kind to one cluster with server-side apply.
type applier struct {
	client dynamic.Interface
	mapper *restmapper.DeferredDiscoveryRESTMapper
}

// applier returns an applier for a cluster.
func (f *Fleet) applier(c cluster) (*applier, error) {
	config, err := f.config(c)
	if err != nil {
		return nil, err
	}
	return newApplier(config)
}

func newApplier(config *rest.Config) (*applier, error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	discoverer, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(discoverer))
	return &applier{client: client, mapper: mapper}, nil
}

// apply applies the objects in the given order.
func (a *applier) apply(ctx context.Context, objects ...*unstructured.Unstructured) error {
	for _, object := range objects {
		if err := a.applyTo(ctx, object); err != nil {
			return err
		}
	}
	return nil
}

// applyStatus applies the status of an object that has a status subresource.
func (a *applier) applyStatus(ctx context.Context, object *unstructured.Unstructured) error {
	return a.applyTo(ctx, object, "status")
}

func (a *applier) applyTo(ctx context.Context, object *unstructured.Unstructured, subresources ...string) error {
	resource, err := a.resource(ctx, object)
	if err != nil {
		return fmt.Errorf("apply %s: %w", describe(object), err)
	}
	options := metav1.ApplyOptions{FieldManager: fieldManager, Force: true}
	if _, err := resource.Apply(ctx, object.GetName(), object, options, subresources...); err != nil {
		return fmt.Errorf("apply %s: %w", describe(object), err)
	}
	return nil
}

// awaitCondition waits until a condition of an existing object is True.
func (a *applier) awaitCondition(ctx context.Context, object *unstructured.Unstructured, condition string) error {
	resource, err := a.resource(ctx, object)
	if err != nil {
		return err
	}
	lastErr := errors.New("not read yet")
	err = wait.PollUntilContextTimeout(ctx, pollInterval, startDeadline, true, func(ctx context.Context) (bool, error) {
		live, err := resource.Get(ctx, object.GetName(), metav1.GetOptions{})
		if err == nil {
			err = conditionTrue(live, condition)
		}
		if err != nil {
			lastErr = err
			return false, nil
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("wait for %s: %w (%w)", describe(object), err, lastErr)
	}
	return nil
}

// resource returns a client for the resource of the object's kind. It retries for
// answerDeadline, since discovery may not list a new kind at once.
func (a *applier) resource(ctx context.Context, object *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	kind := object.GroupVersionKind()
	var mapping *meta.RESTMapping
	var lastErr error
	err := wait.PollUntilContextTimeout(ctx, pollInterval, answerDeadline, true, func(context.Context) (bool, error) {
		if mapping, lastErr = a.mapper.RESTMapping(kind.GroupKind(), kind.Version); meta.IsNoMatchError(lastErr) {
			a.mapper.Reset()
			return false, nil
		}
		return true, lastErr
	})
	if err != nil {
		return nil, cmp.Or(lastErr, err)
	}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		return a.client.Resource(mapping.Resource), nil
	}
	return a.client.Resource(mapping.Resource).Namespace(object.GetNamespace()), nil
}

// define applies CustomResourceDefinitions and waits until they are established.
func (a *applier) define(ctx context.Context, definitions []*unstructured.Unstructured) error {
	if err := a.apply(ctx, definitions...); err != nil {
		return err
	}
	for _, definition := range definitions {
		if err := a.awaitCondition(ctx, definition, "Established"); err != nil {
			return err
		}
	}
	a.mapper.Reset()
	return nil
}

func conditionTrue(object *unstructured.Unstructured, name string) error {
	conditions, _, err := unstructured.NestedSlice(object.Object, "status", "conditions")
	if err != nil {
		return err
	}
	for _, c := range conditions {
		condition, ok := c.(map[string]any)
		if !ok || condition["type"] != name {
			continue
		}
		if condition["status"] == "True" {
			return nil
		}
		return fmt.Errorf("%s is %v: %v: %v", name, condition["status"], condition["reason"], condition["message"])
	}
	return fmt.Errorf("the object has no condition %s", name)
}

func describe(object *unstructured.Unstructured) string {
	if object.GetNamespace() == "" {
		return object.GetKind() + " " + object.GetName()
	}
	return object.GetKind() + " " + object.GetNamespace() + "/" + object.GetName()
}

// parse reads YAML documents. It returns the items of a List in place of the List.
func parse(content []byte) ([]*unstructured.Unstructured, error) {
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4<<10)
	var objects []*unstructured.Unstructured
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("parse manifest: %w", err)
		}
		if len(object.Object) == 0 {
			continue
		}
		if !object.IsList() {
			objects = append(objects, object)
			continue
		}
		if err := object.EachListItem(func(item runtime.Object) error {
			objects = append(objects, item.(*unstructured.Unstructured))
			return nil
		}); err != nil {
			return nil, fmt.Errorf("parse manifest: %w", err)
		}
	}
}

// newObject returns an object with this identity and content.
func newObject(apiVersion, kind, namespace, name string, content map[string]any) *unstructured.Unstructured {
	if content == nil {
		content = map[string]any{}
	}
	object := &unstructured.Unstructured{Object: content}
	object.SetAPIVersion(apiVersion)
	object.SetKind(kind)
	object.SetNamespace(namespace)
	object.SetName(name)
	return object
}

// notBefore reports whether timestamp, an RFC 3339 time of an object, is not before
// start. It ignores fractions of a second, which the times of objects don't have.
func notBefore(timestamp string, start time.Time) (bool, error) {
	at, err := time.Parse(time.RFC3339, timestamp)
	if err != nil {
		return false, err
	}
	return !at.Before(start.Truncate(time.Second)), nil
}
