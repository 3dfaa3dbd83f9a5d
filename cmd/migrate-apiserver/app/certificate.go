// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"

	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"kurator.dev/migrate-apiserver/cmd/migrate-apiserver/app/options"
	"kurator.dev/migrate-apiserver/pkg/servingcert"
)

// servingCertificate returns the provider of the certificate that this server issues itself, or nil if it is in files.
func servingCertificate(host *rest.Config, o *options.Options) (*servingcert.Provider, error) {
	if o.ServingCertificate.Secret == "" {
		return nil, nil
	}
	if host == nil {
		return nil, errors.New("--serving-certificate-secret requires a configuration of the host")
	}
	kube, objects, err := hostClients(host)
	if err != nil {
		return nil, err
	}
	secret, service := o.ServingCertificate.Names()
	return servingcert.New(kube.CoreV1(), objects, servingcert.Options{Secret: secret, Service: service, Clock: clock.RealClock{}}), nil
}
