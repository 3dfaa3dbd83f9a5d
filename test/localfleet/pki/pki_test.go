// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
	"testing"
)

func TestAuthorityIssuesValidCertificates(t *testing.T) {
	authority, err := NewAuthority("fleet")
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := LoadAuthority(authority.Pair)
	if err != nil {
		t.Fatal(err)
	}
	otherAuthority, err := NewAuthority("fleet")
	if err != nil {
		t.Fatal(err)
	}

	for name, issue := range map[string]struct {
		sign  func() (Pair, error)
		usage x509.ExtKeyUsage
	}{
		"client":      {func() (Pair, error) { return loaded.Client("ada", "admins") }, x509.ExtKeyUsageClientAuth},
		"server":      {func() (Pair, error) { return loaded.Server("ada", "localhost", "127.0.0.1") }, x509.ExtKeyUsageServerAuth},
		"peer serves": {func() (Pair, error) { return loaded.Peer("ada", "localhost") }, x509.ExtKeyUsageServerAuth},
		"peer dials":  {func() (Pair, error) { return loaded.Peer("ada", "localhost") }, x509.ExtKeyUsageClientAuth},
	} {
		t.Run(name, func(t *testing.T) {
			pair, err := issue.sign()
			if err != nil {
				t.Fatal(err)
			}
			leaf := parse(t, pair)
			if leaf.Subject.CommonName != "ada" {
				t.Errorf("common name = %q, want ada", leaf.Subject.CommonName)
			}
			if err := verify(leaf, authority, issue.usage); err != nil {
				t.Errorf("the certificate is not valid for its authority: %v", err)
			}
			if err := verify(leaf, otherAuthority, issue.usage); err == nil {
				t.Error("the certificate is valid for another authority of the same name")
			}
		})
	}
}

func TestCertificateHasSubjectAndHosts(t *testing.T) {
	authority, err := NewAuthority("fleet")
	if err != nil {
		t.Fatal(err)
	}
	client, err := authority.Client("ada", "system:masters")
	if err != nil {
		t.Fatal(err)
	}
	if got := parse(t, client).Subject.Organization; !slices.Equal(got, []string{"system:masters"}) {
		t.Errorf("groups = %v, want [system:masters]", got)
	}
	server, err := authority.Server("api", "localhost", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"localhost", "127.0.0.1"} {
		if err := parse(t, server).VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
}

func TestLoadAuthorityRejectsInvalidPEM(t *testing.T) {
	if _, err := LoadAuthority(Pair{Certificate: []byte("x"), Key: []byte("y")}); err == nil {
		t.Fatal("LoadAuthority accepted invalid PEM")
	}
}

func parse(t *testing.T, pair Pair) *x509.Certificate {
	t.Helper()
	// X509KeyPair also proves that the key belongs to the certificate.
	loaded, err := tls.X509KeyPair(pair.Certificate, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	return loaded.Leaf
}

func verify(leaf *x509.Certificate, authority *Authority, usage x509.ExtKeyUsage) error {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.Certificate)
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{usage}})
	return err
}
