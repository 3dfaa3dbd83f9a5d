// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/klog/v2"

	"kurator.dev/migrate-apiserver/pkg/migration"
)

var (
	// ErrNotSynced says that the host has not been read yet.
	ErrNotSynced = errors.New("not read yet")
	// ErrNotServed says that the Inventory is not of this namespace.
	ErrNotServed = errors.New("this server is not for Migrates of the namespace")
	// ErrClusterNotFound says that the host has no such cluster object.
	ErrClusterNotFound = errors.New("cluster not found")
	// ErrSecretNotFound says that the Secret with a cluster's kubeconfig does not
	// exist, or that the cluster object names none.
	ErrSecretNotFound = errors.New("kubeconfig Secret not found")
	// ErrKubeconfigMissing says that the Secret has nothing under the key.
	ErrKubeconfigMissing = errors.New("no kubeconfig in the Secret")
)

// Kubeconfig reads the kubeconfig of a cluster from the host, by live calls.
// What is wrong with the host's objects is one of this package's errors; any
// other error means that the host could not be asked.
func (i *Inventory) Kubeconfig(ctx context.Context, namespace string, c migration.Cluster) (kubeconfig []byte, err error) {
	sources, err := i.sourcesOf(namespace)
	if err != nil {
		return nil, err
	}
	object, err := sourceOf(sources, c.Kind).ask(ctx, namespace, c.Name)
	if err != nil {
		return nil, fmt.Errorf("read %s %s/%s on the host: %w", c.Kind, namespace, c.Name, err)
	}
	if object == nil || c.Kind == migration.KindFleet {
		return nil, fmt.Errorf("%w: there is no %s %q in namespace %q", ErrClusterNotFound, c.Kind, c.Name, namespace)
	}

	ref := readCluster(c.Kind, object)
	if ref.secret == "" {
		return nil, fmt.Errorf("%w: spec.kubeconfig.name of %s %s/%s is empty; set it to the name of a Secret", ErrSecretNotFound, c.Kind, namespace, c.Name)
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	secret, err := i.secrets.Get(ctx, namespace, ref.secret)
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("%w: there is no Secret %q in namespace %q, which %s %q refers to", ErrSecretNotFound, ref.secret, namespace, c.Kind, c.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("read Secret %s/%s on the host: %w", namespace, ref.secret, err)
	}
	kubeconfig = secret.Data[ref.key]
	if len(kubeconfig) == 0 {
		return nil, fmt.Errorf("%w: key %q of Secret %s/%s, which %s %q refers to, is missing or empty", ErrKubeconfigMissing, ref.key, namespace, ref.secret, c.Kind, c.Name)
	}
	return kubeconfig, nil
}

// Secrets reads Secrets through a client of the host. At its highest verbosity
// client-go logs the bodies of answers, so it does not log here.
func Secrets(client corev1client.SecretsGetter) SecretGetter {
	return secretGetter{client}
}

type secretGetter struct{ client corev1client.SecretsGetter }

func (g secretGetter) Get(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	ctx = klog.NewContext(ctx, logr.Discard())
	return g.client.Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
}
