// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package localfleet

import (
	"fmt"
	"path/filepath"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// HostKubeconfig returns the path of the host administrator's kubeconfig.
func (f *Fleet) HostKubeconfig() string { return f.kubeconfig(hostName, "admin") }

// MemberKubeconfig returns the path of the kubeconfig of the nth member's
// administrator, counted from 1.
func (f *Fleet) MemberKubeconfig(n int) string { return f.kubeconfig(MemberName(n), "admin") }

// HostConfig returns a client configuration of the host's administrator.
func (f *Fleet) HostConfig() (*rest.Config, error) { return f.config(cluster{name: hostName}) }

// MemberConfig returns a client configuration of the nth member's administrator.
func (f *Fleet) MemberConfig(n int) (*rest.Config, error) {
	return f.config(cluster{name: MemberName(n)})
}

func (f *Fleet) config(c cluster) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", f.kubeconfig(c.name, "admin"))
	if err != nil {
		return nil, fmt.Errorf("cluster %s: %w", c.name, err)
	}
	// The clusters have no other users, and client-side throttling would only distort
	// what tests measure.
	config.QPS = -1
	return config, nil
}

// kubeconfig returns the path of a user's kubeconfig. Those of administrators are in
// the fleet's top directory, where people find them.
func (f *Fleet) kubeconfig(cluster, user string) string {
	if user == "admin" {
		return filepath.Join(f.dir, cluster+".kubeconfig")
	}
	return filepath.Join(f.dir, "pki", cluster, user+".kubeconfig")
}

func (f *Fleet) writeKubeconfig(c cluster, user string) error {
	pair, err := f.keys(c.name).read(user)
	if err != nil {
		return fmt.Errorf("kubeconfig of %s in %s: %w", user, c.name, err)
	}
	authority, err := f.keys(c.name).read("ca")
	if err != nil {
		return fmt.Errorf("kubeconfig of %s in %s: %w", user, c.name, err)
	}
	content, err := kubeconfigFor(c.name, "https://"+f.address(c.name), authority.Certificate, clientcmdapi.AuthInfo{
		ClientCertificateData: pair.Certificate,
		ClientKeyData:         pair.Key,
	})
	if err != nil {
		return fmt.Errorf("kubeconfig of %s in %s: %w", user, c.name, err)
	}
	return writeFile(f.kubeconfig(c.name, user), content)
}

// kubeconfigFor returns a self-contained kubeconfig, as one in a Secret must be.
func kubeconfigFor(cluster, url string, authority []byte, user clientcmdapi.AuthInfo) ([]byte, error) {
	return clientcmd.Write(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{cluster: {Server: url, CertificateAuthorityData: authority}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{cluster: &user},
		Contexts:       map[string]*clientcmdapi.Context{cluster: {Cluster: cluster, AuthInfo: cluster}},
		CurrentContext: cluster,
	})
}
