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

// accessFaults returns the cases in which the kubeconfig or the annotation of a member changes
// on the host: the credentials of a target are renewed, revoked or removed, and annotations
// name another Velero of the source, where objects exist already, and of the target. The
// credentials are the token of a ServiceAccount, which deleting the ServiceAccount revokes.
func accessFaults() []faultCase {
	return []faultCase{{
		name: "secret-renewed",
		steps: []step{
			{do(setCredentials(2, "first"), reloadKubeconfig(2), stop(veleroOf(source)), apply), expectation{source: reports(backupNew), 2: reports("WaitingForBackup")}},
			{do(setCredentials(2, "second"), revokeToken(2, "first"), resume(veleroOf(source))), nil},
		},
	}, {
		name: "secret-invalid-and-removed",
		steps: []step{
			{do(setCredentials(2, "first"), reloadKubeconfig(2), stop(veleroOf(source)), apply), expectation{source: reports(backupNew), 2: reports("WaitingForBackup")}},
			{do(revokeToken(2, "first"), resume(veleroOf(source))), expectation{2: reports("RestoreCreateFailed", "does not accept the credentials of the kubeconfig; renew them in its Secret")}},
			{setSecret(2, []byte("garbage")), expectation{2: reports("KubeconfigNotAccepted", "kubeconfig not accepted")}},
			{removeSecret(2), expectation{2: reports("MemberUnreachable", `there is no Secret "kurator-member2" in namespace "faults"`)}},
			{setCredentials(2, "second"), nil},
		},
	}, {
		name: "velero-namespace-changed",
		steps: []step{
			{do(stop(veleroOf(source)), apply), expectation{source: reports(backupNew)}},
			{do(setVeleroNamespace(source, "elsewhere"), setVeleroNamespace(2, "elsewhere")), expectation{source: reports(backupNew), 2: reports("StorageNotConfigured")}},
			{do(setVeleroNamespace(2, "velero"), resume(veleroOf(source))), nil},
		},
	}}
}

// setVeleroNamespace sets the annotation with the namespace of a member's Velero.
func setVeleroNamespace(n int, namespace string) action {
	return func(t *testing.T, r *run) {
		t.Helper()
		annotate := func(value string) {
			host.kubectl(t, "annotate", "attachedcluster", members[n].name, "--namespace="+faultsNamespace, "--overwrite",
				v1alpha1.VeleroNamespaceAnnotation+value)
		}
		annotate("=" + namespace)
		r.addCleanup(func() { annotate("-") })
	}
}

// reloadKubeconfig makes our server read a member's kubeconfig now. It otherwise keeps a working
// connection for up to a minute after the Secret has changed.
func reloadKubeconfig(n int) action { return do(setClusterReady(false, n), setClusterReady(true, n)) }

// setCredentials makes the token of a new ServiceAccount of a member its kubeconfig on the host,
// until the end of the case.
func setCredentials(n int, account string) action {
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
		setSecret(n, kubeconfigOf(t, r, n, token.Status.Token))(t, r)
		r.addCleanup(func() { setSecret(n, kubeconfigThrough(t, n, r.network.to[n]))(t, r) })
	}
}

// revokeToken revokes a token, and waits until the member no longer accepts it.
func revokeToken(n int, account string) action {
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

// kubeconfigOf returns a member's kubeconfig with a token as its only credentials.
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

// setSecret replaces the kubeconfig in the host's Secret of a member.
func setSecret(n int, kubeconfig []byte) action {
	return func(t *testing.T, _ *run) {
		t.Helper()
		secrets := host.kube.CoreV1().Secrets(faultsNamespace)
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

// removeSecret removes a member's Secret.
func removeSecret(n int) action {
	return func(t *testing.T, _ *run) {
		if err := host.kube.CoreV1().Secrets(faultsNamespace).Delete(t.Context(), members[n].name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}
