// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	cliflag "k8s.io/component-base/cli/flag"
)

// defaultService is the name of the Service of the manifests.
const defaultService = "migrate-apiserver"

// ServingCertificate are the options of a serving certificate that this server issues itself.
type ServingCertificate struct {
	// Secret is the namespace and name of the Secret with the certificate and its CA. Empty: the certificate is in files.
	Secret string
	// Service is the namespace and name of the Service that the certificate is for. Empty: migrate-apiserver in the namespace of
	// the Secret.
	Service string
}

func (c *ServingCertificate) addFlags(sets *cliflag.NamedFlagSets) {
	fs := sets.FlagSet("secure serving")
	fs.StringVar(&c.Secret, "serving-certificate-secret", c.Secret,
		"Secret, as NAMESPACE/NAME, in which this server keeps a serving certificate that it issues and renews itself, with the CA that signs it. It creates the Secret, and keeps spec.caBundle of its APIService current. "+
			"All replicas must name the same Secret. Not with --tls-cert-file or --cert-dir.")
	fs.StringVar(&c.Service, "serving-certificate-service", c.Service,
		"With --serving-certificate-secret, the Service, as NAMESPACE/NAME, that the certificate is for and the APIService refers to. If empty, "+defaultService+" in the namespace of the Secret.")
}

// Names returns the names of the Secret and the Service. They must be valid.
func (c *ServingCertificate) Names() (secret, service types.NamespacedName) {
	secret, _ = namespacedName(c.Secret)
	if c.Service == "" {
		return secret, types.NamespacedName{Namespace: secret.Namespace, Name: defaultService}
	}
	service, _ = namespacedName(c.Service)
	return secret, service
}

// validateServingCertificate requires a place for the serving certificate: a generated
// key must not be written to, or read from, the working directory.
func (o *Options) validateServingCertificate() []error {
	cert := o.Recommended.SecureServing.ServerCert
	inFiles := cert.CertDirectory != "" || cert.CertKey.CertFile != "" || cert.CertKey.KeyFile != ""
	if o.ServingCertificate.Secret == "" {
		switch {
		case o.ServingCertificate.Service != "":
			return []error{errors.New("--serving-certificate-service requires --serving-certificate-secret")}
		case !inFiles:
			return []error{errors.New("no serving certificate: set --serving-certificate-secret to have this server issue it, or --tls-cert-file and --tls-private-key-file, or --cert-dir to a directory that contains one or in which a self-signed one is generated")}
		}
		return nil
	}
	var errs []error
	if inFiles {
		errs = append(errs, errors.New("--serving-certificate-secret can't be set with --tls-cert-file, --tls-private-key-file or --cert-dir: the certificate would be in two places"))
	}
	if _, err := namespacedName(o.ServingCertificate.Secret); err != nil {
		errs = append(errs, fmt.Errorf("--serving-certificate-secret: %w", err))
	}
	if o.ServingCertificate.Service != "" {
		if _, err := namespacedName(o.ServingCertificate.Service); err != nil {
			errs = append(errs, fmt.Errorf("--serving-certificate-service: %w", err))
		}
	}
	return errs
}

// namespacedName parses NAMESPACE/NAME.
func namespacedName(text string) (types.NamespacedName, error) {
	namespace, name, _ := strings.Cut(text, "/")
	if len(validation.IsDNS1123Label(namespace)) > 0 || len(validation.IsDNS1123Subdomain(name)) > 0 {
		return types.NamespacedName{}, fmt.Errorf("%q is not NAMESPACE/NAME", text)
	}
	return types.NamespacedName{Namespace: namespace, Name: name}, nil
}
