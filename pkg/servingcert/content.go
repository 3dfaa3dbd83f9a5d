// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package servingcert

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// The keys of the data of the Secret.
const (
	bundleKey      = "ca.crt"
	signerKey      = "ca.key"
	nextKey        = "next-ca.key"
	certificateKey = corev1.TLSCertKey
	privateKey     = corev1.TLSPrivateKeyKey
)

// content is the content of the Secret.
type content struct {
	// bundle are the CAs that the host is to trust, with those of signer and next.
	bundle []*x509.Certificate
	// signer is the CA that signs, and next the one that follows it; nil if there is none.
	signer, next *authority
	// serving is the serving certificate; nil if there is none.
	serving *serving
}

// authority is a CA.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
	pem         []byte
}

// serving is a serving certificate with its key.
type serving struct {
	leaf             *x509.Certificate
	certificate, key []byte
}

// parse returns what can be read of the data of the Secret.
func parse(data map[string][]byte) content {
	var c content
	if bundle, err := cert.ParseCertsPEM(data[bundleKey]); err == nil {
		c.bundle = bundle
	}
	c.signer = authorityOf(c.bundle, data[signerKey])
	c.next = authorityOf(c.bundle, data[nextKey])
	if pair, err := tls.X509KeyPair(data[certificateKey], data[privateKey]); err == nil {
		c.serving = &serving{pair.Leaf, data[certificateKey], data[privateKey]}
	}
	return c
}

// authorityOf returns the CA of a bundle that a key belongs to, or nil.
func authorityOf(bundle []*x509.Certificate, pem []byte) *authority {
	parsed, err := keyutil.ParsePrivateKeyPEM(pem)
	if err != nil {
		return nil
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return nil
	}
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		return nil
	}
	i := slices.IndexFunc(bundle, func(c *x509.Certificate) bool { return c.IsCA && public.Equal(c.PublicKey) })
	if i < 0 {
		return nil
	}
	return &authority{bundle[i], key, pem}
}

// data returns the data of the Secret.
func (c content) data() (map[string][]byte, error) {
	bundle, err := cert.EncodeCertificates(c.bundle...)
	if err != nil {
		return nil, err
	}
	data := map[string][]byte{bundleKey: bundle, certificateKey: c.serving.certificate, privateKey: c.serving.key}
	if c.signer != nil {
		data[signerKey] = c.signer.pem
	}
	if c.next != nil {
		data[nextKey] = c.next.pem
	}
	return data, nil
}

func contains(bundle []*x509.Certificate, c *x509.Certificate) bool {
	return slices.ContainsFunc(bundle, c.Equal)
}
