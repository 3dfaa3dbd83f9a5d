// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

// Package aggregation reports who serves our group version on the host: a Service, as an aggregated API server, or the
// host itself, by CustomResourceDefinitions, and sets the CA by which the host trusts that Service. It imports nothing of ours
// but the API types.
package aggregation

import (
	"context"
	"encoding/base64"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// APIServices are the resource by which a host aggregates API servers.
var APIServices = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}

// APIServiceName is the name of the APIService of our group version.
const APIServiceName = "v1alpha1." + v1alpha1.GroupName

// fieldManager is the manager of the fields of the APIService that this server sets.
const fieldManager = "migrate-apiserver"

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
	service, err := Get(ctx, host)
	if err != nil {
		return "", err
	}
	if service == nil {
		return None, nil
	}
	return ServerOf(service), nil
}

// Get returns the APIService of our group version, or nil if the host has none.
func Get(ctx context.Context, host dynamic.Interface) (*unstructured.Unstructured, error) {
	service, err := host.Resource(APIServices).Get(ctx, APIServiceName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read APIService %s: %w", APIServiceName, err)
	}
	return service, nil
}

// ServerOf returns who serves the group version of an APIService. The host makes one without a service for what it serves itself.
func ServerOf(service *unstructured.Unstructured) Server {
	if reference, ok, _ := unstructured.NestedMap(service.Object, "spec", "service"); !ok || reference == nil {
		return Definitions
	}
	return Service
}

// Backend returns the Service that an APIService refers to. It is empty if the host serves the group version itself.
func Backend(service *unstructured.Unstructured) types.NamespacedName {
	namespace, _, _ := unstructured.NestedString(service.Object, "spec", "service", "namespace")
	name, _, _ := unstructured.NestedString(service.Object, "spec", "service", "name")
	return types.NamespacedName{Namespace: namespace, Name: name}
}

// SkipsVerification reports whether the host does not verify the certificate of the Service. Such an APIService can't have a CA.
func SkipsVerification(service *unstructured.Unstructured) bool {
	skips, _, _ := unstructured.NestedBool(service.Object, "spec", "insecureSkipTLSVerify")
	return skips
}

// CABundle returns the certificates, as PEM, by which the host trusts the Service of an APIService; empty if there are none.
func CABundle(service *unstructured.Unstructured) []byte {
	encoded, _, _ := unstructured.NestedString(service.Object, "spec", "caBundle")
	bundle, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil
	}
	return bundle
}

// SetCABundle sets the certificates, as PEM, by which the host trusts the Service of an APIService. The error is a conflict if
// the APIService is not the one that was read any more.
//
// It applies this one field, so that an apply of the manifest, which does not have the field, keeps it.
func SetCABundle(ctx context.Context, host dynamic.Interface, read *unstructured.Unstructured, bundle []byte) error {
	service := &unstructured.Unstructured{Object: map[string]any{
		"spec": map[string]any{"caBundle": base64.StdEncoding.EncodeToString(bundle)},
	}}
	service.SetAPIVersion(read.GetAPIVersion())
	service.SetKind(read.GetKind())
	service.SetName(read.GetName())
	service.SetResourceVersion(read.GetResourceVersion())
	_, err := host.Resource(APIServices).Apply(ctx, read.GetName(), service, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	if err != nil {
		return fmt.Errorf("set spec.caBundle of APIService %s: %w", read.GetName(), err)
	}
	return nil
}
