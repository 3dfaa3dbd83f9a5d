// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	velerov1 "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	"kurator.dev/migrate-apiserver/test/netproxy"
)

// namespace is where the fleets and Migrates are on the host.
const namespace = "default"

// The members by number: ten each are behind a proxy that takes connections and
// stays silent, that refuses them, and that delays; the others are well. Those in
// trouble come first in every order that there is.
const (
	silentMembers = 10
	deadMembers   = 20
	firstWell     = 30
	members       = 100
)

// The fleets: that of those who are well, and that of all.
const (
	seventy = "seventy"
	hundred = "hundred"
)

func memberName(n int) string { return fmt.Sprintf("member%03d", n) }

func veleroNamespace(n int) string { return fmt.Sprintf("velero-%03d", n) }

// troubled are the proxies before the thirty: ten members behind each.
type troubled struct {
	silent, refused, slow *netproxy.Proxy
}

// of is the proxy before a member; nil if there is none.
func (p troubled) of(n int) *netproxy.Proxy {
	switch {
	case n < silentMembers:
		return p.silent
	case n < deadMembers:
		return p.refused
	case n < firstWell:
		return p.slow
	}
	return nil
}

func (p troubled) set(t *testing.T, silent, refused, slow netproxy.Mode) {
	t.Helper()
	if err := errors.Join(p.silent.Set(silent), p.refused.Set(refused), p.slow.Set(slow)); err != nil {
		t.Fatal(err)
	}
}

// enroll makes the hundred members and both fleets, and a namespace with a storage
// location in the cluster that they share for each.
func enroll(t *testing.T) troubled {
	t.Helper()
	kubeconfig, err := clientcmd.LoadFromFile(fleet.MemberKubeconfig(1))
	if err != nil {
		t.Fatal(err)
	}
	server := &kubeconfig.Clusters[kubeconfig.Contexts[kubeconfig.CurrentContext].Cluster].Server
	direct := *server
	proxies := troubled{listen(t, direct), listen(t, direct), listen(t, direct)}
	there, here := client(t, fleet.MemberKubeconfig(1)), client(t, fleet.HostKubeconfig())

	var group errgroup.Group
	group.SetLimit(8)
	for n := range members {
		*server = direct
		if p := proxies.of(n); p != nil {
			*server = "https://" + p.Addr()
		}
		way, err := clientcmd.Write(*kubeconfig)
		if err != nil {
			t.Fatal(err)
		}
		group.Go(func() error {
			return errors.Join(makeVelero(t.Context(), there, n), attach(t.Context(), here, n, way))
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(makeFleet(t.Context(), here, seventy, firstWell), makeFleet(t.Context(), here, hundred, 0)); err != nil {
		t.Fatal(err)
	}
	return proxies
}

func listen(t *testing.T, url string) *netproxy.Proxy {
	t.Helper()
	p, err := netproxy.Listen(url[len("https://"):])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func client(t *testing.T, kubeconfig string) dynamic.Interface {
	t.Helper()
	if _, err := os.Stat(kubeconfig); err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	c, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func makeVelero(ctx context.Context, there dynamic.Interface, n int) error {
	ns := object("v1", "Namespace", "", veleroNamespace(n), nil)
	if _, err := there.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}).Create(ctx, ns, metav1.CreateOptions{}); err != nil {
		return err
	}
	location := object("velero.io/v1", "BackupStorageLocation", veleroNamespace(n), "default", map[string]any{
		"spec": map[string]any{
			"provider": "aws", "default": true,
			"objectStorage": map[string]any{"bucket": "model"},
			"config":        map[string]any{"region": "local", "s3ForcePathStyle": "true", "s3Url": "https://storage.invalid"},
		},
	})
	_, err := there.Resource(velerov1.SchemeGroupVersion.WithResource("backupstoragelocations")).Namespace(veleroNamespace(n)).
		Create(ctx, location, metav1.CreateOptions{})
	return err
}

func attach(ctx context.Context, here dynamic.Interface, n int, kubeconfig []byte) error {
	secret := object("v1", "Secret", namespace, memberName(n), map[string]any{"stringData": map[string]any{"value": string(kubeconfig)}})
	if _, err := here.Resource(schema.GroupVersionResource{Version: "v1", Resource: "secrets"}).Namespace(namespace).Create(ctx, secret, metav1.CreateOptions{}); err != nil {
		return err
	}
	cluster := object("cluster.kurator.dev/v1alpha1", "AttachedCluster", namespace, memberName(n), map[string]any{
		"spec": map[string]any{"kubeconfig": map[string]any{"name": memberName(n)}},
	})
	cluster.SetAnnotations(map[string]string{"backup.kurator.dev/velero-namespace": veleroNamespace(n)})
	clusters := here.Resource(schema.GroupVersionResource{Group: "cluster.kurator.dev", Version: "v1alpha1", Resource: "attachedclusters"}).Namespace(namespace)
	cluster, err := clusters.Create(ctx, cluster, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	cluster.Object["status"] = map[string]any{"ready": true}
	_, err = clusters.UpdateStatus(ctx, cluster, metav1.UpdateOptions{})
	return err
}

// makeFleet makes the fleet of all members from the given one on.
func makeFleet(ctx context.Context, here dynamic.Interface, name string, first int) error {
	clusters := []any{}
	for n := first; n < members; n++ {
		clusters = append(clusters, map[string]any{"kind": "AttachedCluster", "name": memberName(n)})
	}
	f := object("fleet.kurator.dev/v1alpha1", "Fleet", namespace, name, map[string]any{"spec": map[string]any{"clusters": clusters}})
	_, err := here.Resource(schema.GroupVersionResource{Group: "fleet.kurator.dev", Version: "v1alpha1", Resource: "fleets"}).Namespace(namespace).
		Create(ctx, f, metav1.CreateOptions{})
	return err
}

func object(apiVersion, kind, namespace, name string, content map[string]any) *unstructured.Unstructured {
	if content == nil {
		content = map[string]any{}
	}
	o := &unstructured.Unstructured{Object: content}
	o.SetAPIVersion(apiVersion)
	o.SetKind(kind)
	o.SetNamespace(namespace)
	o.SetName(name)
	return o
}
