// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package localfleet

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

const (
	serverName      = "migrate-apiserver"
	serverNamespace = "migrate-system"
	serverAccount   = "migrate-apiserver"
	serverService   = "migrate-apiserver"
	serverSecret    = "migrate-apiserver-tls"

	// tokenLifetime is longer than any fleet lives; in a cluster the kubelet renews
	// tokens.
	tokenLifetime = 365 * 24 * time.Hour
)

// server returns the command of our server with its embedded etcd.
func (f *Fleet) server() command {
	return f.serverCommand(serverName, "--data-dir="+f.EtcdDir())
}

// EtcdDir returns the data directory of the embedded etcd of our server.
func (f *Fleet) EtcdDir() string { return f.dataDir(serverName) + "/etcd" }

// serverCommand returns the command of our server with the flags of a usual
// installation and the flags in data, which configure its storage.
func (f *Fleet) serverCommand(name string, data ...string) command {
	kubeconfig := f.ServerKubeconfig()
	program, flags := f.serverProgram()
	args := []string{
		"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=127.0.0.1", "--secure-port=" + strconv.Itoa(f.state.Ports[name]),
		"--leader-elect-resource-namespace=" + serverNamespace,
		"--member-allow-local-addresses", // where the members of this fleet are
	}
	if f.state.IssuesCertificate {
		args = append(args, "--serving-certificate-secret="+serverNamespace+"/"+serverSecret)
	} else {
		keys := f.keys(serverName)
		args = append(args, "--tls-cert-file="+keys.certificate("server"), "--tls-private-key-file="+keys.key("server"))
	}
	return command{
		name:        name,
		program:     program,
		args:        append(append(args, data...), flags...),
		environment: []string{"GOMEMLIMIT=768MiB"}, // as in artifacts/deploy
		ready:       func(ctx context.Context, _ time.Time) error { return f.serverReady(ctx, name) },
	}
}

// serverReady returns nil if /readyz of our server, or of the replica with that name,
// answers 200.
func (f *Fleet) serverReady(ctx context.Context, name string) error {
	if f.state.IssuesCertificate {
		return f.issuingServerReady(ctx, name)
	}
	return get(ctx, "https://"+f.address(name)+"/readyz", f.keys(serverName).authority(), "", "")
}

// issuingServerReady is serverReady for a server that issues its certificate, by the CA in its Secret.
func (f *Fleet) issuingServerReady(ctx context.Context, name string) error {
	config, err := f.HostConfig()
	if err != nil {
		return err
	}
	host, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	secret, err := host.CoreV1().Secrets(serverNamespace).Get(ctx, serverSecret, metav1.GetOptions{})
	if err != nil {
		return err
	}
	client, err := discovery.NewDiscoveryClientForConfig(&rest.Config{
		Host:            "https://" + f.address(name),
		TLSClientConfig: rest.TLSClientConfig{CAData: secret.Data["ca.crt"], ServerName: serverService + "." + serverNamespace + ".svc"},
	})
	if err != nil {
		return err
	}
	return client.RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
}

// StartServer starts our server from the program at path, with flags added to its
// usual ones, and returns when the host serves its API. It restarts a server that runs
// with other flags.
func (f *Fleet) StartServer(ctx context.Context, path string, flags ...string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if err := f.setServer(path, flags); err != nil {
		return err
	}
	return f.upServer(ctx)
}

func (f *Fleet) setServer(path string, flags []string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state.Server, f.state.ServerFlags = path, flags
	return f.state.write(f.dir)
}

func (f *Fleet) serverProgram() (path string, flags []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state.Server, f.state.ServerFlags
}

// StopServer stops our server. Its APIService stays, as after a crash.
func (f *Fleet) StopServer(ctx context.Context) error { return f.process(f.server()).Stop(ctx) }

func (f *Fleet) upServer(ctx context.Context) error {
	if program, _ := f.serverProgram(); program == "" {
		return nil
	}
	config, err := f.HostConfig()
	if err != nil {
		return err
	}
	applier, err := newApplier(config)
	if err != nil {
		return err
	}
	if err := f.installServer(ctx, applier); err != nil {
		return fmt.Errorf("install %s: %w", serverName, err)
	}
	if err := f.upServers(ctx); err != nil {
		return err
	}
	service, err := f.apiService()
	if err != nil {
		return err
	}
	done := f.progress.step("APIService " + service.GetName())
	err = applier.awaitCondition(ctx, service, "Available")
	if err == nil {
		err = f.awaitAnswer(ctx, config)
	}
	done(err)
	return err
}

// awaitAnswer waits until the host proxies a request to the server and lists its
// resource in discovery. Condition Available of the APIService does not suffice: it may
// still describe an earlier run, and the host's aggregated discovery of a server that
// was down for a moment is marked as stale.
func (f *Fleet) awaitAnswer(ctx context.Context, config *rest.Config) error {
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return err
	}
	lastErr := errors.New("not requested yet")
	err = wait.PollUntilContextTimeout(ctx, pollInterval, answerDeadline, true, func(ctx context.Context) (bool, error) {
		lastErr = isServed(ctx, client)
		return lastErr == nil, nil
	})
	if err != nil {
		return f.process(f.servers()[0]).failure(fmt.Errorf("the host does not serve its API: %w", lastErr))
	}
	return nil
}

func isServed(ctx context.Context, client *discovery.DiscoveryClient) error {
	if err := client.RESTClient().Get().AbsPath("/apis/backup.kurator.dev/v1alpha1").Do(ctx).Error(); err != nil {
		return err
	}
	_, lists, err := client.ServerGroupsAndResourcesWithContext(ctx)
	if err != nil {
		return err
	}
	for _, list := range lists {
		if list.GroupVersion == "backup.kurator.dev/v1alpha1" && len(list.APIResources) > 0 {
			return nil
		}
	}
	return errors.New("discovery does not list backup.kurator.dev/v1alpha1")
}

// installServer applies the server's account and RBAC from artifacts/deploy, and a
// Service and an APIService by which the host reaches the local process.
func (f *Fleet) installServer(ctx context.Context, applier *applier) error {
	manifests, err := AccountManifests()
	if err != nil {
		return err
	}
	account, err := parse(manifests)
	if err != nil {
		return err
	}
	if err := applier.apply(ctx, account...); err != nil {
		return err
	}
	if err := f.writeServerKubeconfig(ctx); err != nil {
		return err
	}
	service, err := f.apiService()
	if err != nil {
		return err
	}
	return applier.apply(ctx, newObject("v1", "Service", serverNamespace, serverService, map[string]any{
		"spec": map[string]any{"type": "ExternalName", "externalName": "localhost"},
	}), service)
}

func (f *Fleet) apiService() (*unstructured.Unstructured, error) {
	spec := map[string]any{
		"group": "backup.kurator.dev", "version": "v1alpha1",
		"groupPriorityMinimum": int64(2000), "versionPriority": int64(10),
		"service": map[string]any{
			"namespace": serverNamespace, "name": serverService, "port": int64(f.state.Ports[serverName]),
		},
	}
	if !f.state.IssuesCertificate {
		authority, err := os.ReadFile(f.keys(serverName).authority())
		if err != nil {
			return nil, err
		}
		spec["caBundle"] = base64.StdEncoding.EncodeToString(authority)
	}
	return newObject("apiregistration.k8s.io/v1", "APIService", "", "v1alpha1.backup.kurator.dev", map[string]any{
		"metadata": map[string]any{"labels": map[string]any{"kube-aggregator.kubernetes.io/automanaged": "false"}},
		"spec":     spec,
	}), nil
}

// ServerKubeconfig returns the path of a kubeconfig of the host with the server's ServiceAccount.
func (f *Fleet) ServerKubeconfig() string { return f.kubeconfig(hostName, serverAccount) }

// writeServerKubeconfig writes a kubeconfig with a token of the ServiceAccount, unless
// there is one: a running server has read it.
func (f *Fleet) writeServerKubeconfig(ctx context.Context) error {
	if _, err := os.Stat(f.ServerKubeconfig()); err == nil {
		return nil
	}
	return f.writeAccountKubeconfig(ctx, f.ServerKubeconfig(), serverNamespace, serverAccount)
}

// writeAccountKubeconfig writes a kubeconfig with a token of a ServiceAccount of the
// host.
func (f *Fleet) writeAccountKubeconfig(ctx context.Context, path, namespace, account string) error {
	config, err := f.HostConfig()
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	seconds := int64(tokenLifetime / time.Second)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
	token, err := client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, account, request, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("token of ServiceAccount %s: %w", account, err)
	}
	content, err := kubeconfigFor(hostName, config.Host, config.CAData, clientcmdapi.AuthInfo{Token: token.Status.Token})
	if err != nil {
		return err
	}
	return writeFile(path, content)
}
