// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"fmt"
	"time"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"kurator.dev/migrate-apiserver/pkg/generated/clientset/versioned"
)

// Result is the result of a check.
type Result string

const (
	// OK means that nothing is wrong.
	OK Result = "OK"
	// Warning means that something will be wrong, or may be.
	Warning Result = "Warning"
	// Failed means that something must be fixed.
	Failed Result = "Failed"
	// Skipped means that it could not be checked; the message says why.
	Skipped Result = "Skipped"
)

// Finding is the result of one check of one object.
type Finding struct {
	// Check is the name of the check, and Object what it looked at.
	Check  string `json:"check"`
	Object string `json:"object"`
	Result Result `json:"result"`
	// Message is what is wrong and what to do, or what was found.
	Message string `json:"message"`
}

// Options are where the server is installed.
type Options struct {
	// Namespace is that of the server, ServiceAccount its account, and Secret that of its serving certificate.
	Namespace, ServiceAccount, Secret string
	// Namespaces are those of the fleets. Empty: all that have one.
	Namespaces []string
}

// Doctor checks an installation.
type Doctor struct {
	options   Options
	kube      kubernetes.Interface
	dynamic   dynamic.Interface
	discovery discovery.DiscoveryInterface
	previews  versioned.Interface
	now       func() time.Time

	findings []Finding
}

// New returns a Doctor for a host.
func New(host *rest.Config, o Options) (*Doctor, error) {
	kube, err := kubernetes.NewForConfig(host)
	if err != nil {
		return nil, fmt.Errorf("client of the host: %w", err)
	}
	objects, err := dynamic.NewForConfig(host)
	if err != nil {
		return nil, fmt.Errorf("client of the host: %w", err)
	}
	previews, err := versioned.NewForConfig(host)
	if err != nil {
		return nil, fmt.Errorf("client of the host: %w", err)
	}
	return &Doctor{options: o, kube: kube, dynamic: objects, discovery: kube.Discovery(), previews: previews, now: time.Now}, nil
}

// Run makes all checks, in the order in which their failures cause others. It returns an error if the host does not answer.
func (d *Doctor) Run(ctx context.Context) ([]Finding, error) {
	if err := d.checkHost(ctx); err != nil {
		return nil, err
	}
	service, served := d.checkAPIService(ctx)
	d.checkCertificate(ctx, service, served)
	fleets := d.served(ctx, d.checkInventory(ctx))
	d.checkPermissions(ctx, fleets)
	if served == no {
		d.add("Clusters", "all fleets", Skipped, "the server does not answer through the host: fix the APIService first")
		return d.findings, nil
	}
	d.checkDiscovery(ctx)
	d.checkClusters(ctx, fleets)
	return d.findings, nil
}

// answer is whether something is so.
type answer int

const (
	unknown answer = iota
	no
	yes
)

func (d *Doctor) add(check, object string, result Result, format string, args ...any) {
	d.findings = append(d.findings, Finding{Check: check, Object: object, Result: result, Message: fmt.Sprintf(format, args...)})
}
