// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// hurtAccess are the cases in which what the host says of the way into a member changes:
// the credentials of a target are renewed, made invalid, and removed, and annotations
// name other Veleros: of the source, where something is begun, and of the target. They are a ServiceAccount's token, which becomes invalid
// when the ServiceAccount is deleted.
func hurtAccess() []hurt {
	return []hurt{{
		name: "secret-renewed",
		steps: []step{
			{do(credentials(2, "first"), readAgain(2), stop(veleroOf(source)), apply), says{source: tells(backupNew), 2: tells("WaitingForBackup")}},
			{do(credentials(2, "second"), revoked(2, "first"), goOn(veleroOf(source))), nil},
		},
	}, {
		name: "secret-invalid-and-removed",
		steps: []step{
			{do(credentials(2, "first"), readAgain(2), stop(veleroOf(source)), apply), says{source: tells(backupNew), 2: tells("WaitingForBackup")}},
			{do(revoked(2, "first"), goOn(veleroOf(source))), says{2: tells("RestoreCreateFailed", "does not accept the credentials of the kubeconfig; renew them in its Secret")}},
			{secret(2, []byte("garbage")), says{2: tells("KubeconfigNotAccepted", "kubeconfig not accepted")}},
			{secretRemoved(2), says{2: tells("MemberUnreachable", `there is no Secret "kurator-member2" in namespace "hurt"`)}},
			{credentials(2, "second"), nil},
		},
	}, {
		name: "velero-namespace-changed",
		steps: []step{
			{do(stop(veleroOf(source)), apply), says{source: tells(backupNew)}},
			{do(veleroIn(source, "elsewhere"), veleroIn(2, "elsewhere")), says{source: tells(backupNew), 2: tells("StorageNotConfigured")}},
			{do(veleroIn(2, "velero"), goOn(veleroOf(source))), nil},
		},
	}}
}

// veleroIn says on the host where a member's Velero is.
func veleroIn(n int, namespace string) action {
	return func(t *testing.T, r *run) {
		t.Helper()
		annotate := func(value string) {
			host.kubectl(t, "annotate", "attachedcluster", members[n].name, "--namespace="+hurtNamespace, "--overwrite",
				v1alpha1.VeleroNamespaceAnnotation+value)
		}
		annotate("=" + namespace)
		r.later(func() { annotate("-") })
	}
}

// readAgain has our server read a member's kubeconfig now. A connection that works
// is kept for up to a minute when the Secret changes.
func readAgain(n int) action { return do(clusterReady(false, n), clusterReady(true, n)) }

// credentials gives the host a token of a new ServiceAccount of a member as its
// way in, until the end of the case.
func credentials(n int, account string) action {
	return func(t *testing.T, r *run) {
		t.Helper()
		name := r.name + "-" + account
		accounts := members[n].kube.CoreV1().ServiceAccounts(metav1.NamespaceDefault)
		if err := accounts.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			t.Fatal(err)
		}
		members[n].apply(t, fmt.Sprintf(`
apiVersion: v1
kind: ServiceAccount
metadata: {name: %[1]s, namespace: default}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: %[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: %[1]s, namespace: default}]
`, name))
		token, err := accounts.CreateToken(t.Context(), name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		r.tokens[name] = token.Status.Token
		secret(n, kubeconfigOf(t, r, n, token.Status.Token))(t, r)
		r.later(func() { secret(n, kubeconfigThrough(t, n, r.network.to[n]))(t, r) })
	}
}

// revoked makes a token invalid, and returns when the member no longer accepts
// it.
func revoked(n int, account string) action {
	return func(t *testing.T, r *run) {
		name := r.name + "-" + account
		if err := members[n].kube.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		config, err := fleet.MemberConfig(n)
		if err != nil {
			t.Fatal(err)
		}
		config = rest.AnonymousClientConfig(config)
		config.BearerToken = r.tokens[name]
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "the token is invalid", func() (string, bool) {
			_, err := client.CoreV1().Namespaces().Get(t.Context(), metav1.NamespaceDefault, metav1.GetOptions{})
			return fmt.Sprint(err), apierrors.IsUnauthorized(err)
		})
	}
}

// kubeconfigOf is a member's kubeconfig with a token as the only credentials.
func kubeconfigOf(t *testing.T, r *run, n int, token string) []byte {
	t.Helper()
	config, err := clientcmd.Load(kubeconfigThrough(t, n, r.network.to[n]))
	if err != nil {
		t.Fatal(err)
	}
	for name := range config.AuthInfos {
		config.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: token}
	}
	kubeconfig, err := clientcmd.Write(*config)
	if err != nil {
		t.Fatal(err)
	}
	return kubeconfig
}

// secret is what the host's Secret of a member has from now on.
func secret(n int, kubeconfig []byte) action {
	return func(t *testing.T, _ *run) {
		t.Helper()
		secrets := host.kube.CoreV1().Secrets(hurtNamespace)
		s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: members[n].name}, Data: map[string][]byte{"value": kubeconfig}}
		_, err := secrets.Update(t.Context(), s, metav1.UpdateOptions{})
		if apierrors.IsNotFound(err) {
			_, err = secrets.Create(t.Context(), s, metav1.CreateOptions{})
		}
		if err != nil {
			t.Error(err)
		}
	}
}

// secretRemoved removes a member's Secret.
func secretRemoved(n int) action {
	return func(t *testing.T, _ *run) {
		if err := host.kube.CoreV1().Secrets(hurtNamespace).Delete(t.Context(), members[n].name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}
