// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"encoding/json"
	"fmt"
	"path"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"kurator.dev/migrate-apiserver/pkg/member/internal/limits"
)

// Collection is where objects of a resource are listed.
type Collection struct {
	Resource schema.GroupVersionResource
	// Namespace is empty for the whole cluster.
	Namespace string
	// InVelero selects the namespace of Velero instead.
	InVelero bool
	// MetadataOnly requests the metadata of the objects only.
	MetadataOnly bool
}

func (o Collection) path(veleroNamespace string) string {
	root := path.Join("/apis", o.Resource.Group, o.Resource.Version)
	if o.Resource.Group == "" {
		root = path.Join("/api", o.Resource.Version)
	}
	namespace := o.Namespace
	if o.InVelero {
		namespace = veleroNamespace
	}
	if namespace != "" {
		root = path.Join(root, "namespaces", namespace)
	}
	return path.Join(root, o.Resource.Resource)
}

// ListInto decodes a page of a list into a value that has only the fields that are needed.
func ListInto(ctx context.Context, c *Client, objects Collection, opts metav1.ListOptions, into any) error {
	ctx = c.Allow(ctx, "a list of "+objects.Resource.Resource, limits.MaxPage)
	answer, err := Do(ctx, c, "list "+objects.Resource.Resource, func(ctx context.Context, conn *Connection) ([]byte, error) {
		request := conn.REST.Get().AbsPath(objects.path(conn.Namespace)).VersionedParams(&opts, metav1.ParameterCodec)
		if objects.MetadataOnly {
			request.SetHeader("Accept", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io")
		}
		return raw(request.Do(ctx))
	})
	if err != nil {
		return err
	}
	return json.Unmarshal(answer, into)
}

// Get returns the JSON of the object at a path, whose segments may depend on the namespace of Velero.
// what names it in the message of an error, as in "secret".
func Get(ctx context.Context, c *Client, what string, at func(veleroNamespace string) []string) ([]byte, error) {
	return Do(ctx, c, "get "+what, func(ctx context.Context, conn *Connection) ([]byte, error) {
		return raw(conn.REST.Get().AbsPath(at(conn.Namespace)...).Do(ctx))
	})
}

// Create creates an object of the core API group in the namespace of Velero.
func Create[T interface {
	runtime.Object
	metav1.Object
}](ctx context.Context, c *Client, resource string, object T) error {
	_, err := Do(ctx, c, fmt.Sprintf("create %s %q", resource, object.GetName()), func(ctx context.Context, conn *Connection) ([]byte, error) {
		body, err := json.Marshal(InNamespace(object, conn.Namespace))
		if err != nil {
			return nil, err
		}
		return raw(conn.REST.Post().AbsPath("/api/v1/namespaces", conn.Namespace, resource).SetHeader("Content-Type", "application/json").Body(body).Do(ctx))
	})
	return err
}

// raw returns the body of an answer. The error is the Status that the API server answers with, which
// Result.Raw leaves undecoded.
func raw(result rest.Result) ([]byte, error) {
	if err := result.Error(); err != nil {
		return nil, err
	}
	return result.Raw()
}
