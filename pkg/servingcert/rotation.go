// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package servingcert

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/cert"
)

const (
	// settled is how long the APIService must have a CA before it signs: every kube-apiserver of the host has noticed it then.
	settled = 10 * time.Minute
	// agreed is how long after a CA begins to sign its predecessor is trusted: every replica has read the Secret then.
	agreed = 7 * 24 * time.Hour
)

// trust is what the host trusts for this server.
type trust struct {
	bundle []*x509.Certificate
	// since is the time since when the bundle is known to be this one.
	since time.Time
}

// errForeign is returned for a Secret that has something else.
var errForeign = errors.New("it holds something else than the certificate of this server, and is left as it is: delete it, or name another Secret")

// next returns the data that must replace that of the Secret, and why; nil if the data is to stay.
func next(data map[string][]byte, host trust, service types.NamespacedName, now time.Time) (map[string][]byte, string, error) {
	c := parse(data)
	if isForeign(data, c, service) {
		return nil, "", errForeign
	}
	var reasons []string
	if adopted, ok := adopt(c, data, host, service, now); ok {
		c = adopted
		reasons = append(reasons, "the Secret has no CA, that of its certificate is kept")
	}
	for _, step := range []func(*content, trust, types.NamespacedName, time.Time) (string, error){
		(*content).followAuthority, (*content).repair, (*content).prepareAuthority, (*content).renew, (*content).dropFormer,
	} {
		reason, err := step(&c, host, service, now)
		if err != nil {
			return nil, "", err
		}
		if reason != "" {
			reasons = append(reasons, reason)
		}
	}
	if len(reasons) == 0 {
		return nil, "", nil
	}
	result, err := c.data()
	return result, strings.Join(reasons, "; "), err
}

// Issues reports whether the data of a Secret has the key of a CA, so that a server issues the certificate in it itself.
func Issues(data map[string][]byte) bool {
	_, signs := data[signerKey]
	_, follows := data[nextKey]
	return signs || follows
}

// isForeign reports whether a Secret was not made for this server. That of earlier manifests has a certificate for the Service.
func isForeign(data map[string][]byte, c content, service types.NamespacedName) bool {
	if len(data) == 0 || Issues(data) {
		return false
	}
	return c.serving == nil || c.serving.leaf.VerifyHostname(dnsNames(service)[0]) != nil
}

// adopt returns the content of a Secret without a CA, with the one that has signed its certificate: earlier manifests had it only in
// the APIService and after the certificate in tls.crt.
func adopt(c content, data map[string][]byte, host trust, service types.NamespacedName, now time.Time) (content, bool) {
	if len(c.bundle) > 0 || c.serving == nil {
		return c, false
	}
	chain, _ := cert.ParseCertsPEM(c.serving.certificate) // it has been parsed
	for _, bundle := range [][]*x509.Certificate{host.bundle, chain[1:]} {
		adopted := content{bundle: bundle, signer: authorityOf(bundle, data[signerKey]), serving: c.serving}
		if adopted.problem(service, now) == "" {
			return adopted, true
		}
	}
	return c, false
}

// followAuthority has the next CA sign if the host trusts it.
func (c *content) followAuthority(host trust, service types.NamespacedName, now time.Time) (string, error) {
	if !c.next.usable(now) || !contains(host.bundle, c.next.certificate) || now.Sub(host.since) < settled {
		return "", nil
	}
	return "the host trusts the new CA", c.promote(service, now)
}

// repair replaces a serving certificate that can't be used. Where no CA can sign, everything is made anew.
func (c *content) repair(_ trust, service types.NamespacedName, now time.Time) (string, error) {
	problem := c.problem(service, now)
	switch {
	case problem == "":
		return "", nil
	case c.signer.usable(now):
		return problem, c.issue(service, now)
	case c.next.usable(now):
		return problem, c.promote(service, now)
	}
	a, err := newAuthority(service, now)
	if err != nil {
		return "", err
	}
	*c = content{bundle: []*x509.Certificate{a.certificate}, signer: a}
	return problem, c.issue(service, now)
}

// prepareAuthority makes the next CA when two thirds of the life of the one that signs are over.
func (c *content) prepareAuthority(_ trust, service types.NamespacedName, now time.Time) (string, error) {
	if c.next != nil || c.signer != nil && !isDue(c.signer.certificate, now) {
		return "", nil
	}
	a, err := newAuthority(service, now)
	if err != nil {
		return "", err
	}
	c.next, c.bundle = a, append(slices.Clone(c.bundle), a.certificate)
	return "a new CA is due", nil
}

// renew issues the serving certificate again when two thirds of its life are over.
func (c *content) renew(_ trust, service types.NamespacedName, now time.Time) (string, error) {
	// A certificate of a CA that expires before it can't be renewed any more.
	if !isDue(c.serving.leaf, now) || !c.signer.usable(now) || !c.signer.certificate.NotAfter.After(c.serving.leaf.NotAfter) {
		return "", nil
	}
	return "two thirds of its life are over", c.issue(service, now)
}

// dropFormer drops the CAs that neither sign nor will.
func (c *content) dropFormer(_ trust, _ types.NamespacedName, now time.Time) (string, error) {
	if len(c.bundle) == 1 || !c.signer.signed(c.serving.leaf) || now.Sub(c.serving.leaf.NotBefore) < backdate+agreed {
		return "", nil
	}
	n := len(c.bundle)
	c.bundle = slices.DeleteFunc(slices.Clone(c.bundle), func(a *x509.Certificate) bool {
		return !a.Equal(c.signer.certificate) && (c.next == nil || !a.Equal(c.next.certificate))
	})
	if len(c.bundle) == n {
		return "", nil
	}
	return "the former CA is not in use any more", nil
}

func (c *content) issue(service types.NamespacedName, now time.Time) (err error) {
	c.serving, err = c.signer.issue(service, now)
	return err
}

func (c *content) promote(service types.NamespacedName, now time.Time) error {
	c.signer, c.next = c.next, nil
	return c.issue(service, now)
}

// problem returns why the serving certificate can't be used, or "".
func (c *content) problem(service types.NamespacedName, now time.Time) string {
	if c.serving == nil {
		return "tls.crt and tls.key are no certificate with its key"
	}
	leaf := c.serving.leaf
	switch {
	case !now.Before(leaf.NotAfter):
		return "it expired at " + leaf.NotAfter.UTC().Format(time.RFC3339)
	case now.Before(leaf.NotBefore.Add(-backdate)):
		return "it is not valid before " + leaf.NotBefore.UTC().Format(time.RFC3339)
	}
	roots := x509.NewCertPool()
	for _, a := range c.bundle {
		roots.AddCert(a)
	}
	at := now
	if at.Before(leaf.NotBefore) {
		at = leaf.NotBefore
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: dnsNames(service)[0], CurrentTime: at}); err != nil {
		return fmt.Sprintf("a client that trusts ca.crt does not accept it: %v", err)
	}
	return ""
}

func (a *authority) usable(now time.Time) bool {
	return a != nil && now.Before(a.certificate.NotAfter) && !now.Before(a.certificate.NotBefore.Add(-backdate))
}

func (a *authority) signed(leaf *x509.Certificate) bool {
	return a != nil && leaf.CheckSignatureFrom(a.certificate) == nil
}

// isDue reports whether two thirds of the life of a certificate are over.
func isDue(c *x509.Certificate, now time.Time) bool {
	return now.Sub(c.NotBefore) >= c.NotAfter.Sub(c.NotBefore)*2/3
}
