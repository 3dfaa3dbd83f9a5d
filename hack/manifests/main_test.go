// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"
)

func TestIssue(t *testing.T) {
	var v values
	if err := issue(&v); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(v.Certificate, v.Key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(v.Authority)
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{
		Roots: roots, DNSName: "migrate-apiserver.migrate-system.svc", CurrentTime: time.Now().AddDate(9, 0, 0),
	}); err != nil {
		t.Error(err)
	}
}
