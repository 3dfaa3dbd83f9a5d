// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package aggregation reports who serves our group version on the host: a Service, as an aggregated API server, or the
// host itself, by CustomResourceDefinitions. It imports nothing of ours but the API types.
package aggregation

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// APIServices are the resource by which a host aggregates API servers.
var APIServices = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}

// APIServiceName is the name of the APIService of our group version.
const APIServiceName = "v1alpha1." + v1alpha1.GroupName

// Server is who serves our group version.
type Server string

const (
	// None means that nobody serves it.
	None Server = "None"
	// Definitions means that the host serves it, by CustomResourceDefinitions.
	Definitions Server = "CustomResourceDefinitions"
	// Service means that an aggregated API server serves it.
	Service Server = "Service"
)

// ServedBy returns who serves our group version on a host.
func ServedBy(ctx context.Context, host dynamic.Interface) (Server, error) {
	service, err := host.Resource(APIServices).Get(ctx, APIServiceName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return None, nil
	}
	if err != nil {
		return "", fmt.Errorf("read APIService %s: %w", APIServiceName, err)
	}
	return ServerOf(service), nil
}

// ServerOf returns who serves the group version of an APIService. The host makes one without a service for what it serves itself.
func ServerOf(service *unstructured.Unstructured) Server {
	if reference, ok, _ := unstructured.NestedMap(service.Object, "spec", "service"); !ok || reference == nil {
		return Definitions
	}
	return Service
}
