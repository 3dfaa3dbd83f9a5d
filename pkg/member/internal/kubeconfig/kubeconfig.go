// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeconfig

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"kurator.dev/migrate-apiserver/pkg/migration"
	"kurator.dev/migrate-apiserver/pkg/yamlalias"
)

// maxSize is the largest size of a kubeconfig, in bytes: that of a Secret.
const maxSize = 1 << 20

// Options are the rules that the operator of this server can change.
type Options struct {
	// AllowInsecureTLS accepts insecure-skip-tls-verify.
	AllowInsecureTLS bool
}

// ClientConfig returns a client configuration for the current context of a kubeconfig.
//
// Its author may not be trusted, so it must not run a program, read a file, name a proxy or
// impersonate another user. Errors are migration.ErrKubeconfigNotAccepted and never repeat any
// content. ClientConfig does not check the address of the cluster.
func ClientConfig(kubeconfig []byte, o Options) (*rest.Config, error) {
	if len(kubeconfig) > maxSize {
		return nil, refuse("it is larger than 1 MiB")
	}
	if err := yamlalias.Check(kubeconfig); errors.Is(err, yamlalias.ErrAlias) {
		return nil, refuse(err.Error())
	} else if err != nil {
		return nil, refuse("it can't be parsed as the YAML or JSON of a kubeconfig")
	}
	config, err := clientcmd.Load(kubeconfig)
	if err != nil {
		// The parser's error may repeat the content.
		return nil, refuse("it can't be parsed as the YAML or JSON of a kubeconfig")
	}
	context := config.Contexts[config.CurrentContext]
	if context == nil {
		return nil, refuse("its current-context is none of its contexts")
	}
	cluster := config.Clusters[context.Cluster]
	if cluster == nil {
		return nil, refuse("the cluster of its current context is not in it")
	}
	user := config.AuthInfos[context.AuthInfo]
	if user == nil {
		return nil, refuse("the user of its current context is not in it")
	}
	if err := errors.Join(checkCluster(cluster, o), checkUser(user)); err != nil {
		return nil, err
	}
	client := &rest.Config{
		Host:        cluster.Server,
		BearerToken: user.Token,
		Username:    user.Username,
		Password:    user.Password,
		TLSClientConfig: rest.TLSClientConfig{
			Insecure:   cluster.InsecureSkipTLSVerify,
			ServerName: cluster.TLSServerName,
			CAData:     cluster.CertificateAuthorityData,
			CertData:   user.ClientCertificateData,
			KeyData:    user.ClientKeyData,
		},
	}
	if _, err := rest.TLSConfigFor(client); err != nil {
		return nil, refuse("its certificate-authority-data, client-certificate-data or client-key-data is not valid PEM, or they don't belong together")
	}
	return client, nil
}

func checkCluster(cluster *clientcmdapi.Cluster, o Options) error {
	return errors.Join(
		checkServer(cluster.Server),
		refuseIf(cluster.CertificateAuthority != "", "certificate-authority is a file; use certificate-authority-data"),
		refuseIf(cluster.InsecureSkipTLSVerify && !o.AllowInsecureTLS, "insecure-skip-tls-verify is not allowed; use certificate-authority-data, or have the operator of this server allow it with --member-allow-insecure-tls"),
		refuseIf(cluster.InsecureSkipTLSVerify && len(cluster.CertificateAuthorityData) > 0, "insecure-skip-tls-verify and certificate-authority-data exclude each other"),
		refuseIf(cluster.ProxyURL != "", "proxy-url is not allowed"),
	)
}

func checkServer(server string) error {
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "" || !validPort(u.Port()) {
		return refuse("server must be a URL that starts with https:// and a host, and a port if it is not 443")
	}
	return refuseIf(u.User != nil || u.RawQuery != "" || u.Fragment != "", "server must have no user, query or fragment")
}

func validPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return port == "" || err == nil && n > 0
}

func checkUser(user *clientcmdapi.AuthInfo) error {
	impersonates := user.Impersonate != "" || user.ImpersonateUID != "" ||
		len(user.ImpersonateGroups) > 0 || len(user.ImpersonateUserExtra) > 0
	return errors.Join(
		refuseIf(user.Exec != nil, "exec is not allowed; use a token or client certificate"),
		refuseIf(user.AuthProvider != nil, "auth-provider is not allowed; use a token or client certificate"),
		refuseIf(user.ClientCertificate != "", "client-certificate is a file; use client-certificate-data"),
		refuseIf(user.ClientKey != "", "client-key is a file; use client-key-data"),
		refuseIf(user.TokenFile != "", "tokenFile is a file; use token"),
		refuseIf(impersonates, "as, as-uid, as-groups and as-user-extra are not allowed"),
		refuseIf(user.Token != "" && (user.Username != "" || user.Password != ""), "token and username with password exclude each other"),
	)
}

func refuseIf(bad bool, why string) error {
	if !bad {
		return nil
	}
	return refuse(why)
}

func refuse(why string) error {
	return fmt.Errorf("%w: %s", migration.ErrKubeconfigNotAccepted, why)
}
