// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package modelvelero

import (
	"context"
	"reflect"
	"strings"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// Client is the Store of one namespace of a kube-apiserver that serves Velero's kinds.
type Client struct {
	namespace string
	rest      rest.Interface
}

var _ Store = &Client{}

// NewClient returns the Store of a namespace. Clients with the same config share
// connections.
func NewClient(config *rest.Config, namespace string) (*Client, error) {
	config = rest.CopyConfig(config)
	scheme := runtime.NewScheme()
	if err := velerov1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	config.APIPath = "/apis"
	config.GroupVersion = &velerov1.SchemeGroupVersion
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	config.QPS = -1
	client, err := rest.RESTClientFor(config)
	return &Client{namespace, client}, err
}

// Read lists all objects of the namespace, one kind at a time.
func (c *Client) Read(ctx context.Context) (*Cluster, error) {
	var backups velerov1.BackupList
	var restores velerov1.RestoreList
	var volumes velerov1.PodVolumeBackupList
	var locations velerov1.BackupStorageLocationList
	var requests velerov1.ServerStatusRequestList
	for resource, list := range map[string]runtime.Object{
		"backups": &backups, "restores": &restores, "podvolumebackups": &volumes,
		"backupstoragelocations": &locations, "serverstatusrequests": &requests,
	} {
		if err := c.rest.Get().Namespace(c.namespace).Resource(resource).Do(ctx).Into(list); err != nil {
			return nil, err
		}
	}
	return &Cluster{
		Backups:          pointers(backups.Items),
		Restores:         pointers(restores.Items),
		PodVolumeBackups: pointers(volumes.Items),
		Locations:        pointers(locations.Items),
		Requests:         pointers(requests.Items),
	}, nil
}

func pointers[T any](items []T) []*T {
	all := make([]*T, len(items))
	for i := range items {
		all[i] = &items[i]
	}
	return all
}

// resource returns the resource name of an object's kind.
func resource(object Object) string { return strings.ToLower(KeyOf(object).Kind) + "s" }

// Create creates an object in the namespace.
func (c *Client) Create(ctx context.Context, object Object) (Object, error) {
	object = object.DeepCopyObject().(Object)
	object.SetNamespace(c.namespace)
	created := object.DeepCopyObject().(Object)
	err := c.rest.Post().Namespace(c.namespace).Resource(resource(object)).Body(object).Do(ctx).Into(created)
	return created, err
}

// Patch sends the difference as a JSON merge patch.
func (c *Client) Patch(ctx context.Context, before, after Object) error {
	_, err := c.patch(ctx, before, after)
	return err
}

// patch is like Patch and returns the stored object.
func (c *Client) patch(ctx context.Context, before, after Object) (Object, error) {
	patch, err := mergePatch(before, after)
	if err != nil {
		return nil, err
	}
	patched := reflect.New(reflect.TypeOf(after).Elem()).Interface().(Object)
	err = c.rest.Patch(types.MergePatchType).Namespace(c.namespace).Resource(resource(after)).Name(after.GetName()).
		Body(patch).Do(ctx).Into(patched)
	return patched, err
}

// Delete deletes an object.
func (c *Client) Delete(ctx context.Context, object Object) error {
	return c.rest.Delete().Namespace(c.namespace).Resource(resource(object)).Name(object.GetName()).Do(ctx).Error()
}
