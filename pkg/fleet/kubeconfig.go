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
	// ErrNotSynced reports that the host has not been read yet.
	ErrNotSynced = errors.New("not read yet")
	// ErrNotServed reports that the Inventory does not have this namespace.
	ErrNotServed = errors.New("this server does not drive Migrates of the namespace")
	// ErrClusterNotFound reports that the cluster object does not exist.
	ErrClusterNotFound = errors.New("cluster not found")
	// ErrSecretNotFound reports that the Secret of a kubeconfig does not exist, or that the
	// cluster object names none.
	ErrSecretNotFound = errors.New("kubeconfig Secret not found")
	// ErrKubeconfigMissing reports that the Secret does not have the key.
	ErrKubeconfigMissing = errors.New("no kubeconfig in the Secret")
)

// Kubeconfig returns the kubeconfig of a cluster, by live calls. It returns one of the errors
// above if an object is missing or incomplete; any other error means that the host did not
// answer.
func (i *Inventory) Kubeconfig(ctx context.Context, namespace string, c migration.Cluster) (kubeconfig []byte, err error) {
	sources, err := i.sourcesOf(namespace)
	if err != nil {
		return nil, err
	}
	object, err := sourceOf(sources, c.Kind).read(ctx, namespace, c.Name)
	if err != nil {
		return nil, fmt.Errorf("read %s %s/%s on the host: %w", c.Kind, namespace, c.Name, err)
	}
	k, isCluster := clusterKindOf(c.Kind)
	if object == nil || !isCluster {
		return nil, fmt.Errorf("%w: there is no %s %q in namespace %q", ErrClusterNotFound, c.Kind, c.Name, namespace)
	}

	return k.kubeconfig(i, ctx, namespace, k.cluster(object))
}

// Refused reports that a cluster refused its kubeconfig with 401: credentials that were cached are not used again.
func (i *Inventory) Refused(namespace string, c migration.Cluster) {
	if c.Kind == migration.KindClusterProfile {
		i.access.Forget(accessKey(namespace, c.Name))
	}
}

// defaultKey is the key of the kubeconfig in a Secret of Cluster API, and of Kurator if the
// reference names none.
const defaultKey = "value"

// kubeconfigInSecret returns the kubeconfig in the Secret that a cluster refers to.
func (i *Inventory) kubeconfigInSecret(ctx context.Context, namespace string, ref *cluster) ([]byte, error) {
	if ref.secret == "" {
		return nil, fmt.Errorf("%w: spec.kubeconfig.name of %s %s/%s is empty; set it to the name of a Secret", ErrSecretNotFound, ref.kind, namespace, ref.name)
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	secret, err := i.secrets.Get(ctx, namespace, ref.secret)
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("%w: there is no Secret %q in namespace %q, which %s %q refers to", ErrSecretNotFound, ref.secret, namespace, ref.kind, ref.name)
	}
	if err != nil {
		return nil, fmt.Errorf("read Secret %s/%s on the host: %w", namespace, ref.secret, err)
	}
	kubeconfig := secret.Data[ref.key]
	if len(kubeconfig) == 0 {
		return nil, fmt.Errorf("%w: key %q of Secret %s/%s, which %s %q refers to, is missing or empty", ErrKubeconfigMissing, ref.key, namespace, ref.secret, ref.kind, ref.name)
	}
	return kubeconfig, nil
}

// Secrets returns a SecretGetter that uses a client of the host. It disables client-go's
// logging, which includes response bodies at the highest verbosity.
func Secrets(client corev1client.SecretsGetter) SecretGetter {
	return secretGetter{client}
}

type secretGetter struct{ client corev1client.SecretsGetter }

func (g secretGetter) Get(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	ctx = klog.NewContext(ctx, logr.Discard())
	return g.client.Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
}
