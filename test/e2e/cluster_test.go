// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"kurator.dev/migrate-apiserver/pkg/generated/clientset/versioned"
)

const (
	// deadline is many times longer than any wait on an idle machine.
	deadline     = 2 * time.Minute
	pollInterval = 50 * time.Millisecond
)

// cluster is the host or a member, with the credentials of its administrator.
type cluster struct {
	name, kubeconfig string
	kube             kubernetes.Interface
	dynamic          dynamic.Interface
	migrates         versioned.Interface
}

func newCluster(name, kubeconfig string, config *rest.Config) (*cluster, error) {
	c := &cluster{name: name, kubeconfig: kubeconfig}
	var err error
	if c.kube, err = kubernetes.NewForConfig(config); err != nil {
		return nil, err
	}
	if c.dynamic, err = dynamic.NewForConfig(config); err != nil {
		return nil, err
	}
	c.migrates, err = versioned.NewForConfig(config)
	return c, err
}

// kubectl runs kubectl and returns its output.
func (c *cluster) kubectl(t testing.TB, args ...string) string {
	t.Helper()
	output, err := fleet.Kubectl(t.Context(), c.kubeconfig, args...)
	if err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	return output
}

// apply runs kubectl apply with a manifest.
func (c *cluster) apply(t testing.TB, manifest string) string {
	t.Helper()
	return c.kubectl(t, "apply", "--filename", manifestFile(t, manifest))
}

func manifestFile(t testing.TB, manifest string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "manifest.yaml")
	if err := os.WriteFile(path, []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// restored lists the objects that a Restore created in the cluster, as Kind/namespace/name,
// sorted. Velero labels all of them except namespaces. It leaves out the objects that every
// namespace has.
func (c *cluster) restored(t *testing.T, restore string) []string {
	t.Helper()
	output := c.kubectl(t, "get", "--all-namespaces", "--selector=velero.io/restore-name="+restore,
		"--output=jsonpath={range .items[*]}{.kind}/{.metadata.namespace}/{.metadata.name}{\"\\n\"}{end}",
		"configmaps,secrets,services,serviceaccounts,deployments,ingresses,clusterroles,clusterrolebindings,priorityclasses")
	var found []string
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if !strings.HasSuffix(line, "/kube-root-ca.crt") && !strings.HasSuffix(line, "/default") {
			found = append(found, line)
		}
	}
	slices.Sort(found)
	return found
}

// configMap returns the data of a ConfigMap; nil if it does not exist.
func (c *cluster) configMap(t *testing.T, namespace, name string) map[string]string {
	t.Helper()
	found, err := c.kube.CoreV1().ConfigMaps(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	return found.Data
}

// ensureAbsent deletes namespaces that an earlier run may have left in any cluster, and waits
// until they are gone.
func ensureAbsent(t *testing.T, namespaces ...string) {
	t.Helper()
	clusters := append([]*cluster{host}, members[1:]...)
	errs := make([]error, len(clusters))
	var wg sync.WaitGroup
	for i, c := range clusters {
		wg.Go(func() { errs[i] = c.deleteNamespaces(t.Context(), namespaces) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func (c *cluster) deleteNamespaces(ctx context.Context, names []string) error {
	client := c.kube.CoreV1().Namespaces()
	for _, name := range names {
		if err := client.Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	for _, name := range names {
		if err := wait.PollUntilContextTimeout(ctx, pollInterval, deadline, true, func(ctx context.Context) (bool, error) {
			_, err := client.Get(ctx, name, metav1.GetOptions{})
			return apierrors.IsNotFound(err), nil
		}); err != nil {
			return fmt.Errorf("%s: wait for the end of namespace %s: %w", c.name, name, err)
		}
	}
	return nil
}

// eventually polls until a condition holds; last describes the state otherwise.
func eventually(t *testing.T, what string, holds func() (last string, ok bool)) {
	t.Helper()
	last := ""
	err := wait.PollUntilContextTimeout(t.Context(), pollInterval, deadline, true, func(context.Context) (ok bool, err error) {
		last, ok = holds()
		return ok, nil
	})
	if err != nil {
		t.Fatalf("waiting until %s: %v; last: %s", what, err, last)
	}
}
