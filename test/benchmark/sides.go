// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/test/localfleet"
)

const serverName = "migrate-apiserver"

// side is one way to a type of Migrates.
type side struct {
	name  string
	group string
	// raw sends requests and returns what is answered undecoded, so that little of the time is the client's.
	raw rest.Interface
}

// path is that of the collection of Migrates in a namespace, or of one Migrate.
func (s *side) path(namespace string, name ...string) string {
	return "/apis/" + s.group + "/" + v1alpha1.SchemeGroupVersion.Version + "/namespaces/" + namespace + "/" + strings.Join(append([]string{"migrates"}, name...), "/")
}

func newSide(name, group string, config *rest.Config) (*side, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1
	config.GroupVersion = &schema.GroupVersion{}
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	client, err := rest.UnversionedRESTClientFor(config)
	return &side{name: name, group: group, raw: client}, err
}

// storageFlags have our server store its objects in the etcd of the host, as the API server of the CustomResourceDefinition does.
func storageFlags(fleet *localfleet.Fleet) []string {
	keys := filepath.Join(fleet.Dir(), "pki", "etcd")
	return []string{
		"--etcd-servers=" + fleet.EtcdURL(),
		"--etcd-cafile=" + filepath.Join(keys, "ca.crt"),
		"--etcd-certfile=" + filepath.Join(keys, "client.crt"), "--etcd-keyfile=" + filepath.Join(keys, "client.key"),
	}
}

// startSides has a fleet serve Migrates by our server, with its objects in the host's etcd, and the same type by a
// CustomResourceDefinition of the host. It returns three sides: ours through the aggregator, ours directly, and the CRD.
func startSides(ctx context.Context, fleet *localfleet.Fleet) ([]*side, error) {
	if err := fleet.StartServer(ctx, localfleet.ServerProgram(fleet.BinDir()), storageFlags(fleet)...); err != nil {
		return nil, err
	}
	host, err := fleet.HostConfig()
	if err != nil {
		return nil, err
	}
	if err := define(ctx, host); err != nil {
		return nil, err
	}
	direct, err := fleet.ServerConfig(serverName)
	if err != nil {
		return nil, err
	}
	var sides []*side
	for _, of := range []struct {
		name, group string
		config      *rest.Config
	}{{"aggregated", v1alpha1.GroupName, host}, {"direct", v1alpha1.GroupName, direct}, {"CRD", crdGroup, host}} {
		s, err := newSide(of.name, of.group, of.config)
		if err != nil {
			return nil, err
		}
		sides = append(sides, s)
	}
	crd := sides[len(sides)-1]
	return sides, wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		err := crd.raw.Get().AbsPath(crd.path("default")).Do(ctx).Error()
		return err == nil, ignoreNotFound(err)
	})
}

// define creates the CustomResourceDefinition.
func define(ctx context.Context, host *rest.Config) error {
	client, err := dynamic.NewForConfig(host)
	if err != nil {
		return err
	}
	crd, err := definition()
	if err != nil {
		return err
	}
	definitions := schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	if _, err := client.Resource(definitions).Create(ctx, crd, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("the CustomResourceDefinition: %w", err)
	}
	return nil
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
