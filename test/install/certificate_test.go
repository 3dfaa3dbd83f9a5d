// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"context"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/clock"

	"kurator.dev/migrate-apiserver/pkg/servingcert"
	"kurator.dev/migrate-apiserver/test/localfleet"
)

// checkCertificate checks the certificate of a server that issues it itself, to which requests have been forwarded: what people do to
// the APIService and to the Secret is repaired, and replicas agree.
func checkCertificate(t *testing.T, fleet *localfleet.Fleet) {
	t.Helper()
	host := func(args ...string) string {
		t.Helper()
		output, err := fleet.Kubectl(t.Context(), fleet.HostKubeconfig(), args...)
		if err != nil {
			t.Fatal(err)
		}
		return output
	}
	config, err := fleet.HostConfig()
	if err != nil {
		t.Fatal(err)
	}
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	secret := func() *corev1.Secret {
		t.Helper()
		found, err := kube.CoreV1().Secrets("migrate-system").Get(t.Context(), "migrate-apiserver-tls", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	trusted := func() {
		t.Helper()
		host("wait", "apiservice/v1alpha1.backup.kurator.dev", "--timeout=30s",
			"--for=jsonpath={.spec.caBundle}="+base64.StdEncoding.EncodeToString(secret().Data["ca.crt"]))
		var last error
		if err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
			_, last = fleet.Kubectl(ctx, fleet.HostKubeconfig(), "get", "migrates")
			return last == nil, nil
		}); err != nil {
			t.Fatal(last)
		}
	}
	trusted()

	// An apply of the manifest leaves caBundle; one of a manifest that has it is repaired.
	manifest, err := os.ReadFile("../../artifacts/deploy/base/apiservice.yaml")
	if err != nil {
		t.Fatal(err)
	}
	port := host("get", "apiservice", "v1alpha1.backup.kurator.dev", "--output=jsonpath={.spec.service.port}")
	content := strings.Replace(string(manifest), "port: 443", "port: "+port, 1)
	file := filepath.Join(t.TempDir(), "apiservice.yaml")
	for _, apply := range []struct{ content, flag string }{{content, "--server-side"}, {content + "  caBundle: \"\"\n", "--force-conflicts"}} {
		if err := os.WriteFile(file, []byte(apply.content), 0o600); err != nil {
			t.Fatal(err)
		}
		host("apply", "--server-side", apply.flag, "--filename="+file)
		trusted()
	}

	// The server and two more replicas find no Secret.
	before := secret()
	host("delete", "secret", "migrate-apiserver-tls", "--namespace=migrate-system")
	var running sync.WaitGroup
	providers := []*servingcert.Provider{newProvider(t, fleet), newProvider(t, fleet)}
	for _, p := range providers {
		running.Go(func() {
			if err := p.Load(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	trusted()
	after := secret()
	if string(after.Data["ca.key"]) == string(before.Data["ca.key"]) {
		t.Error("the CA is still that of the Secret that was deleted")
	}
	for _, p := range providers {
		if certificate, _ := p.CurrentCertKeyContent(); string(certificate) != string(after.Data["tls.crt"]) {
			t.Error("a replica serves another certificate than that of the Secret")
		}
	}
}

// newProvider returns what another replica of the server has.
func newProvider(t *testing.T, fleet *localfleet.Fleet) *servingcert.Provider {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", fleet.ServerKubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return servingcert.New(kube.CoreV1(), objects, servingcert.Options{
		Secret:  types.NamespacedName{Namespace: "migrate-system", Name: "migrate-apiserver-tls"},
		Service: types.NamespacedName{Namespace: "migrate-system", Name: "migrate-apiserver"},
		Clock:   clock.RealClock{},
	})
}
