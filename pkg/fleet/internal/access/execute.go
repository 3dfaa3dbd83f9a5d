// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientauthentication "k8s.io/client-go/pkg/apis/clientauthentication/v1"
	clientcmdv1 "k8s.io/client-go/tools/clientcmd/api/v1"
)

const (
	// infoVariable has the input of a program, as in client-go.
	infoVariable = "KUBERNETES_EXEC_INFO"
	// configExtension is the extension of a cluster whose content a program gets as the cluster's config, as in client-go.
	configExtension = "client.authentication.k8s.io/exec"
	// maxOutput bounds what a program may return, in bytes.
	maxOutput = 1 << 20
	// waitDelay bounds the wait for a program that was killed, whose children may keep its output open.
	waitDelay = time.Second
)

// execute runs a program and returns the credentials that it writes. What it writes to its standard error goes to that of this
// process, as in client-go: it may have secrets, which an error must not have.
func execute(ctx context.Context, config *clientcmdv1.ExecConfig, cluster clientcmdv1.Cluster) (*clientauthentication.ExecCredentialStatus, error) {
	info, err := infoFor(config, cluster)
	if err != nil {
		return nil, err
	}
	output := &bounded{}
	command := exec.CommandContext(ctx, config.Command, config.Args...)
	command.Env = os.Environ()
	for _, v := range config.Env {
		command.Env = append(command.Env, v.Name+"="+v.Value)
	}
	command.Env = append(command.Env, infoVariable+"="+string(info))
	command.Stdout, command.Stderr, command.WaitDelay = output, os.Stderr, waitDelay
	// A group of its own, so that its children end with it.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	kill := func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	command.Cancel = kill
	err = command.Run()
	if command.Process != nil {
		_ = kill() // what it left behind, if anything
		go reap(command.Process.Pid)
	}
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s did not end within %s", config.Command, timeout)
	case output.exceeded:
		return nil, fmt.Errorf("%s wrote more than 1 MiB", config.Command)
	case errors.Is(err, exec.ErrNotFound) && config.InstallHint != "":
		return nil, fmt.Errorf("run %s: %w: %s", config.Command, err, config.InstallHint)
	case err != nil:
		return nil, fmt.Errorf("run %s: %w; the log of this server has what it printed", config.Command, err)
	}
	return parse(config, output.buffer.Bytes())
}

// reap waits for the processes of a group that was killed, of which this process is the parent if it is the first one of its
// container.
func reap(group int) {
	for {
		if _, err := syscall.Wait4(-group, nil, 0, nil); err != nil && !errors.Is(err, syscall.EINTR) {
			return
		}
	}
}

// infoFor returns the input of a program.
func infoFor(config *clientcmdv1.ExecConfig, cluster clientcmdv1.Cluster) ([]byte, error) {
	info := clientauthentication.ExecCredential{TypeMeta: metav1.TypeMeta{APIVersion: config.APIVersion, Kind: "ExecCredential"}}
	if config.ProvideClusterInfo {
		info.Spec.Cluster = &clientauthentication.Cluster{
			Server: cluster.Server, TLSServerName: cluster.TLSServerName, InsecureSkipTLSVerify: cluster.InsecureSkipTLSVerify,
			CertificateAuthorityData: cluster.CertificateAuthorityData, ProxyURL: cluster.ProxyURL,
		}
		for _, e := range cluster.Extensions {
			if e.Name == configExtension {
				info.Spec.Cluster.Config = runtime.RawExtension{Raw: e.Extension.Raw}
			}
		}
	}
	return json.Marshal(info)
}

func parse(config *clientcmdv1.ExecConfig, output []byte) (*clientauthentication.ExecCredentialStatus, error) {
	var credential clientauthentication.ExecCredential
	if err := json.Unmarshal(output, &credential); err != nil {
		return nil, fmt.Errorf("%s wrote no ExecCredential in JSON", config.Command) // err may repeat what it wrote
	}
	status := credential.Status
	switch {
	case credential.Kind != "ExecCredential" || credential.APIVersion != config.APIVersion:
		return nil, fmt.Errorf("%s wrote no ExecCredential of %s", config.Command, config.APIVersion)
	case status == nil || status.Token == "" && status.ClientCertificateData == "":
		return nil, fmt.Errorf("%s returned neither a token nor a client certificate", config.Command)
	case (status.ClientCertificateData == "") != (status.ClientKeyData == ""):
		return nil, fmt.Errorf("%s returned a client certificate without its key, or the reverse", config.Command)
	}
	return status, nil
}

// bounded is a buffer of at most maxOutput bytes.
type bounded struct {
	buffer   bytes.Buffer
	exceeded bool
}

// Write returns an error once the buffer would be too large, which ends the program.
func (b *bounded) Write(p []byte) (int, error) {
	if b.buffer.Len()+len(p) > maxOutput {
		b.exceeded = true
		return 0, errors.New("it wrote too much")
	}
	return b.buffer.Write(p)
}
