// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"kurator.dev/migrate-apiserver/pkg/member/internal/limits"
)

// ErrInvalidName reports that a name is not one of Kubernetes. Names that a member or a storage provides
// become parts of a path, which must not lead to another resource.
var ErrInvalidName = errors.New("invalid name")

// TooManyError reports that a list has more than Most objects.
type TooManyError struct{ Most int }

func (e TooManyError) Error() string { return fmt.Sprintf("there are more than %d", e.Most) }

// Collection is the objects of a resource: of the whole cluster, of Velero's namespace, or of the one that
// In names.
type Collection struct {
	Resource schema.GroupVersionResource
	// InVelero selects the namespace of Velero.
	InVelero bool
	// MetadataOnly requests the metadata of the objects only.
	MetadataOnly bool

	namespace *string
}

// In returns the objects in a namespace.
func (o Collection) In(namespace string) Collection {
	o.namespace = &namespace
	return o
}

// validate returns ErrInvalidName unless all parts of the path are names.
func (o Collection) validate() error {
	invalid := len(validation.IsDNS1035Label(o.Resource.Version)) + len(validation.IsDNS1035Label(o.Resource.Resource))
	if o.Resource.Group != "" {
		invalid += len(validation.IsDNS1123Subdomain(o.Resource.Group))
	}
	if o.namespace != nil {
		invalid += len(validation.IsDNS1123Label(*o.namespace))
	}
	if invalid > 0 {
		return ErrInvalidName
	}
	return nil
}

// path returns the segments of the path.
func (o Collection) path(veleroNamespace string) []string {
	path := []string{"/apis", o.Resource.Group, o.Resource.Version}
	if o.Resource.Group == "" {
		path = []string{"/api", o.Resource.Version}
	}
	switch {
	case o.InVelero:
		path = append(path, "namespaces", veleroNamespace)
	case o.namespace != nil:
		path = append(path, "namespaces", *o.namespace)
	}
	return append(path, o.Resource.Resource)
}

// ListInto decodes a page of a list into a value that has only the fields that are needed.
func ListInto(ctx context.Context, c *Client, objects Collection, opts metav1.ListOptions, into any) error {
	if err := objects.validate(); err != nil {
		return err
	}
	ctx = c.Allow(ctx, "a list of "+objects.Resource.Resource, limits.MaxPage)
	answer, err := Do(ctx, c, "list "+objects.Resource.Resource, func(ctx context.Context, conn *Connection) ([]byte, error) {
		request := conn.REST.Get().AbsPath(objects.path(conn.Namespace)...).VersionedParams(&opts, metav1.ParameterCodec)
		if objects.MetadataOnly {
			request.SetHeader("Accept", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io")
		}
		return raw(request.Do(ctx))
	})
	if err != nil {
		return err
	}
	return decode(answer, into)
}

// Each calls f for each object of a list, which it reads in at most maxPages pages of opts.Limit objects. It
// returns an error of f, or a TooManyError if there are more pages. With Tentative, a page that is too large is
// read again with less objects.
func Each[T any](ctx context.Context, c *Client, objects Collection, opts metav1.ListOptions, maxPages int, f func(*T) error) error {
	most := maxPages * int(opts.Limit)
	for read := 0; read < most; {
		var page struct {
			metav1.ListMeta `json:"metadata"`
			Items           []T `json:"items"`
		}
		err := ListInto(ctx, c, objects, opts, &page)
		if exceeded := new(limits.Error); errors.As(err, &exceeded) && ctx.Value(tentativeKey{}) != nil && opts.Limit > 1 {
			const fewer = 4
			opts.Limit = max(opts.Limit/fewer, 1)
			continue
		}
		if err != nil {
			return err
		}
		read += max(len(page.Items), 1)
		for i := range page.Items {
			if err := f(&page.Items[i]); err != nil {
				return err
			}
		}
		if opts.Continue = page.Continue; opts.Continue == "" {
			return nil
		}
	}
	return TooManyError{most}
}

// Get returns the JSON of the object of a name.
func Get(ctx context.Context, c *Client, objects Collection, name string) ([]byte, error) {
	if objects.validate() != nil || len(validation.IsDNS1123Subdomain(name)) > 0 {
		return nil, ErrInvalidName
	}
	return Do(ctx, c, "get "+objects.Resource.Resource, func(ctx context.Context, conn *Connection) ([]byte, error) {
		request := conn.REST.Get().AbsPath(append(objects.path(conn.Namespace), name)...)
		if objects.MetadataOnly {
			request.SetHeader("Accept", "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io")
		}
		return raw(request.Do(ctx))
	})
}

// GetInto decodes the object of a name into a value that has only the fields that are needed.
func GetInto(ctx context.Context, c *Client, objects Collection, name string, into any) error {
	answer, err := Get(ctx, c, objects, name)
	if err != nil {
		return err
	}
	return decode(answer, into)
}

// Create creates an object in the namespace of Velero.
func Create[T interface {
	runtime.Object
	metav1.Object
}](ctx context.Context, c *Client, resource schema.GroupVersionResource, object T) error {
	objects := Collection{Resource: resource, InVelero: true}
	_, err := Do(ctx, c, fmt.Sprintf("create %s %q", resource.Resource, object.GetName()), func(ctx context.Context, conn *Connection) ([]byte, error) {
		body, err := json.Marshal(InNamespace(object, conn.Namespace))
		if err != nil {
			return nil, err
		}
		return raw(conn.REST.Post().AbsPath(objects.path(conn.Namespace)...).SetHeader("Content-Type", "application/json").Body(body).Do(ctx))
	})
	return err
}

// DryRunCreate asks the API server whether it would create an object, as JSON, without creating it, and returns the JSON that it
// would store.
func DryRunCreate(ctx context.Context, c *Client, objects Collection, body []byte) ([]byte, error) {
	if err := objects.validate(); err != nil {
		return nil, err
	}
	ctx = klog.NewContext(ctx, logr.Discard()) // client-go would log what the object has
	return Do(ctx, c, "create "+objects.Resource.Resource+" (dry run)", func(ctx context.Context, conn *Connection) ([]byte, error) {
		request := conn.REST.Post().AbsPath(objects.path(conn.Namespace)...).Param("dryRun", metav1.DryRunAll)
		return raw(request.SetHeader("Content-Type", "application/json").Body(body).Do(ctx))
	})
}

// decode decodes an answer, unless that could take too long.
func decode(answer []byte, into any) error {
	if err := limits.CheckAmounts(answer); err != nil {
		return err
	}
	return json.Unmarshal(answer, into)
}

// raw returns the body of an answer. The error is the Status that the API server answers with, which
// Result.Raw leaves undecoded.
func raw(result rest.Result) ([]byte, error) {
	if err := result.Error(); err != nil {
		return nil, err
	}
	return result.Raw()
}
