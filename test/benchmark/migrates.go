// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
	"kurator.dev/migrate-apiserver/pkg/generated/clientset/versioned"
	"kurator.dev/migrate-apiserver/test/localfleet"
)

const (
	// shards is the number of values of the label by which Migrates are selected.
	shards     = 100
	shardLabel = "shard"
	// writers fill the storages.
	writers = 32
)

// created returns the manifest of a Migrate that waits, because its fleet does not exist.
func created(group, name string) []byte {
	return fmt.Appendf(nil, `{"apiVersion": "%s/v1alpha1", "kind": "Migrate", "metadata": {"name": %q, "labels": {%q: "none"}}, "spec": {
		"sourceCluster": {"fleet": "absent", "clusters": [{"kind": "AttachedCluster", "name": "one"}]},
		"targetCluster": {"fleet": "absent", "clusters": [{"kind": "AttachedCluster", "name": "two"}, {"kind": "AttachedCluster", "name": "three"}, {"kind": "AttachedCluster", "name": "four"}]},
		"policy": {"resourceFilter": {"includedNamespaces": ["default"]}}}}`, group, name, shardLabel)
}

// migrated migrates an application from member 1 to all others and returns the Migrate, as an example of those that have ended.
func migrated(ctx context.Context, fleet *localfleet.Fleet) (*unstructured.Unstructured, error) {
	const namespace = "example"
	if err := fill(ctx, fleet, 1, namespace, 10); err != nil {
		return nil, err
	}
	host, err := fleet.HostConfig()
	if err != nil {
		return nil, err
	}
	migrates := versioned.NewForConfigOrDie(host).BackupV1alpha1().Migrates(metav1.NamespaceDefault)
	m, err := migrates.Create(ctx, migrateOf("example", namespace, members-1), metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	if err := wait.PollUntilContextTimeout(ctx, pollInterval, 2*time.Minute, false, func(ctx context.Context) (bool, error) {
		m, err = migrates.Get(ctx, m.Name, metav1.GetOptions{})
		return err == nil && m.Status.Phase == v1alpha1.MigratePhaseCompleted, err
	}); err != nil {
		return nil, fmt.Errorf("the example is %s: %w", m.Status.Phase, err)
	}
	m.SetGroupVersionKind(v1alpha1.SchemeGroupVersion.WithKind("Migrate"))
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(m)
	return &unstructured.Unstructured{Object: object}, err
}

// finishedName is that of the ith Migrate that has ended.
func finishedName(i int) string { return fmt.Sprintf("finished-%05d", i) }

// finished returns the ith Migrate like an example, in a namespace.
func finished(example *unstructured.Unstructured, namespace string, i int) *unstructured.Unstructured {
	m := example.DeepCopy()
	m.SetNamespace(namespace)
	m.SetName(finishedName(i))
	m.SetUID(uuid.NewUUID())
	m.SetLabels(map[string]string{shardLabel: strconv.Itoa(i % shards)})
	return m
}

// importFinished has count Migrates that have ended imported into the storage of our server, as from Kurator.
func importFinished(ctx context.Context, fleet *localfleet.Fleet, example *unstructured.Unstructured, namespace string, count int) error {
	path := filepath.Join(fleet.Dir(), "finished.json")
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(path) }() // the fleet's directory is removed in any case
	encoder := json.NewEncoder(file)
	for i := range count {
		if err := encoder.Encode(finished(example, namespace, i)); err != nil {
			return err
		}
	}
	if err := file.Close(); err != nil {
		return err
	}
	command := exec.CommandContext(ctx, localfleet.ServerProgram(fleet.BinDir()), append([]string{"import", "--kubeconfig=" + fleet.HostKubeconfig(), "--filename=" + path}, storageFlags(fleet)...)...)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("import: %w: %.2000s", err, output)
	}
	return nil
}

// createFinished creates count custom resources that have ended, as a controller would: first the object, then its status.
func createFinished(ctx context.Context, crd *side, example *unstructured.Unstructured, namespace string, count int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(writers)
	for i := range count {
		group.Go(func() error {
			m := finished(example, namespace, i)
			m.SetAPIVersion(crd.group + "/" + v1alpha1.SchemeGroupVersion.Version)
			m.SetResourceVersion("")
			m.SetManagedFields(nil)
			body, err := m.MarshalJSON()
			if err != nil {
				return err
			}
			if err := crd.raw.Post().AbsPath(crd.path(namespace)).Body(body).Do(ctx).Error(); err != nil {
				return err
			}
			status, err := json.Marshal(map[string]any{"status": m.Object["status"]})
			if err != nil {
				return err
			}
			return crd.raw.Patch(types.MergePatchType).AbsPath(crd.path(namespace, m.GetName(), "status")).Body(status).Do(ctx).Error()
		})
	}
	return group.Wait()
}

// createNamespace creates a namespace in a cluster.
func createNamespace(ctx context.Context, cluster *rest.Config, name string) error {
	client, err := kubernetes.NewForConfig(cluster)
	if err != nil {
		return err
	}
	_, err = client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	return err
}
