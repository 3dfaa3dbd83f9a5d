// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// hostConfig returns the configuration of the host for a subcommand: that of a kubeconfig or, if it is empty, as kubectl finds it,
// and in a pod that of its ServiceAccount.
func hostConfig(kubeconfig string) (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("configuration of the host: %w", err)
	}
	config.QPS = -1 // the host has priority and fairness
	config.WarningHandler = rest.NoWarnings{}
	return config, nil
}

// hostClients returns clients of the host, for the kinds that client-go knows and for all others.
func hostClients(host *rest.Config) (kubernetes.Interface, dynamic.Interface, error) {
	kube, err := kubernetes.NewForConfig(host)
	if err != nil {
		return nil, nil, fmt.Errorf("client of the host: %w", err)
	}
	objects, err := dynamic.NewForConfig(host)
	if err != nil {
		return nil, nil, fmt.Errorf("client of the host: %w", err)
	}
	return kube, objects, nil
}
