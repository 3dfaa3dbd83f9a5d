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

	// tokenLifetime outlives every fleet; in a cluster the kubelet renews tokens.
	tokenLifetime = 365 * 24 * time.Hour
)

// server is our server on its embedded etcd.
func (f *Fleet) server() command {
	return f.serverCommand(serverName, "--data-dir="+f.dataDir(serverName)+"/etcd")
}

// serverCommand is our server, with the flags a person would give it and those
// that say where its data is.
func (f *Fleet) serverCommand(name string, data ...string) command {
	keys, kubeconfig := f.keys(serverName), f.serverKubeconfig()
	program, flags := f.serverProgram()
	args := []string{
		"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=127.0.0.1", "--secure-port=" + strconv.Itoa(f.state.Ports[name]),
		"--tls-cert-file=" + keys.certificate("server"), "--tls-private-key-file=" + keys.key("server"),
		"--leader-elect-resource-namespace=" + serverNamespace,
		"--member-allow-local-addresses", // where the members of this fleet are
	}
	return command{
		name:    name,
		program: program,
		args:    append(append(args, data...), flags...),
		ready:   func(ctx context.Context, _ time.Time) error { return f.serverReady(ctx, name) },
	}
}

// serverReady returns nil if our server, or the replica of that name, says that it
// is ready.
func (f *Fleet) serverReady(ctx context.Context, name string) error {
	return get(ctx, "https://"+f.address(name)+"/readyz", f.keys(serverName).authority(), "", "")
}

// StartServer runs our server from the program at path, with flags added to its
// usual ones, and returns when the host serves its API. One that runs with other
// flags is started again.
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

// StopServer ends our server. Its APIService stays, as after a crash.
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

// awaitAnswer returns when the host passes a request on to the server and back, and
// tells kubectl of its resource: the condition of an APIService may still tell of a
// server that ran before, and what the host has collected of one that was away for a
// moment is taken for stale.
func (f *Fleet) awaitAnswer(ctx context.Context, config *rest.Config) error {
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return err
	}
	missing := errors.New("not asked yet")
	err = wait.PollUntilContextTimeout(ctx, pollInterval, answerDeadline, true, func(ctx context.Context) (bool, error) {
		missing = isServed(ctx, client)
		return missing == nil, nil
	})
	if err != nil {
		return f.process(f.servers()[0]).failure(fmt.Errorf("the host does not reach it: %w", missing))
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
	return errors.New("backup.kurator.dev/v1alpha1 is not among what it serves")
}

// installServer applies what artifacts/deploy grants the server, and in place of
// what it runs there as a pod, the way from the host to the process here.
func (f *Fleet) installServer(ctx context.Context, applier *applier) error {
	granted, err := grantedObjects()
	if err != nil {
		return err
	}
	if err := applier.apply(ctx, granted...); err != nil {
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
	authority, err := os.ReadFile(f.keys(serverName).authority())
	if err != nil {
		return nil, err
	}
	return newObject("apiregistration.k8s.io/v1", "APIService", "", "v1alpha1.backup.kurator.dev", map[string]any{
		"spec": map[string]any{
			"group": "backup.kurator.dev", "version": "v1alpha1",
			"groupPriorityMinimum": int64(2000), "versionPriority": int64(10),
			"caBundle": base64.StdEncoding.EncodeToString(authority),
			"service": map[string]any{
				"namespace": serverNamespace, "name": serverService, "port": int64(f.state.Ports[serverName]),
			},
		},
	}), nil
}

func (f *Fleet) serverKubeconfig() string { return f.kubeconfig(hostName, serverAccount) }

// writeServerKubeconfig makes a kubeconfig with a token of the ServiceAccount.
// One that is there stays: the server that runs has read it.
func (f *Fleet) writeServerKubeconfig(ctx context.Context) error {
	if _, err := os.Stat(f.serverKubeconfig()); err == nil {
		return nil
	}
	return f.writeAccountKubeconfig(ctx, f.serverKubeconfig(), serverNamespace, serverAccount)
}

// writeAccountKubeconfig makes a kubeconfig with a token of a ServiceAccount of the
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
