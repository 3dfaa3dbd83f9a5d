// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package servingcert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

const (
	authorityLifetime = 10 * 365 * 24 * time.Hour
	servingLifetime   = 90 * 24 * time.Hour
	// backdate is how far clocks may differ: a certificate is valid that long before it is made.
	backdate = time.Hour
)

// dnsNames returns the names by which a Service is reached. The host uses the first one.
func dnsNames(service types.NamespacedName) []string {
	name := service.Name + "." + service.Namespace
	return []string{name + ".svc", name + ".svc.cluster.local", name}
}

// newAuthority returns a new CA.
func newAuthority(service types.NamespacedName, now time.Time) (*authority, error) {
	key, pem, err := newKey()
	if err != nil {
		return nil, err
	}
	certificate, err := sign(&x509.Certificate{
		// The time keeps the names of two CAs apart.
		Subject:               pkix.Name{CommonName: fmt.Sprintf("%s-ca@%d", service.Name, now.Unix())},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(authorityLifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}, key, nil)
	if err != nil {
		return nil, err
	}
	return &authority{certificate, key, pem}, nil
}

// issue returns a new serving certificate for a Service, which expires no later than its CA.
func (a *authority) issue(service types.NamespacedName, now time.Time) (*serving, error) {
	key, pem, err := newKey()
	if err != nil {
		return nil, err
	}
	end := now.Add(servingLifetime)
	if end.After(a.certificate.NotAfter) {
		end = a.certificate.NotAfter
	}
	leaf, err := sign(&x509.Certificate{
		Subject:               pkix.Name{CommonName: service.Name},
		DNSNames:              dnsNames(service),
		NotBefore:             now.Add(-backdate),
		NotAfter:              end,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}, key, a)
	if err != nil {
		return nil, err
	}
	encoded, err := cert.EncodeCertificates(leaf)
	if err != nil {
		return nil, err
	}
	return &serving{leaf, encoded, pem}, nil
}

func newKey() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("generate a key: %w", err)
	}
	pem, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return nil, nil, fmt.Errorf("encode a key: %w", err)
	}
	return key, pem, nil
}

// sign returns a certificate for a key, signed by a CA or, if that is nil, by the key itself.
func sign(template *x509.Certificate, key *ecdsa.PrivateKey, by *authority) (*x509.Certificate, error) {
	if by == nil {
		by = &authority{certificate: template, key: key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.certificate, key.Public(), by.key)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}
