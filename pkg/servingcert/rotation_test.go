// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package servingcert

import (
	"bytes"
	"crypto/x509"
	"maps"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/cert"
)

const day = 24 * time.Hour

var (
	start   = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
	service = types.NamespacedName{Namespace: "migrate-system", Name: "migrate-apiserver"}
)

// issued returns the data of a Secret that was issued at start.
func issued(t *testing.T) map[string][]byte {
	t.Helper()
	data, reason, err := next(nil, trust{}, service, start)
	if err != nil {
		t.Fatal(err)
	}
	if reason != "tls.crt and tls.key are no certificate with its key" {
		t.Fatalf("reason %q", reason)
	}
	return data
}

func TestIssue(t *testing.T) {
	data := issued(t)
	if got := slices.Sorted(maps.Keys(data)); !slices.Equal(got, []string{"ca.crt", "ca.key", "tls.crt", "tls.key"}) {
		t.Errorf("keys %v", got)
	}
	c := parse(data)
	for _, name := range []string{"migrate-apiserver.migrate-system.svc", "migrate-apiserver.migrate-system.svc.cluster.local", "migrate-apiserver.migrate-system"} {
		if err := verify(data["ca.crt"], c.serving.leaf, name, start); err != nil {
			t.Error(err)
		}
	}
	if err := verify(data["ca.crt"], c.serving.leaf, "other.migrate-system.svc", start); err == nil {
		t.Error("it is for another Service too")
	}
	if got := c.serving.leaf.NotAfter; !got.Equal(start.Add(90 * day)) {
		t.Errorf("serving certificate until %s", got)
	}
	if got := c.bundle[0].NotAfter; !got.Equal(start.Add(3650 * day)) {
		t.Errorf("CA until %s", got)
	}
}

// verify checks a certificate as the host does.
func verify(bundle []byte, leaf *x509.Certificate, name string, now time.Time) error {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: now})
	return err
}

func TestNext(t *testing.T) {
	const caDue = 2434 * day // two thirds of 3650 days
	fresh := issued(t)
	trusting := func(data map[string][]byte, since time.Time) trust {
		bundle, err := cert.ParseCertsPEM(data["ca.crt"])
		if err != nil {
			t.Fatal(err)
		}
		return trust{bundle, since}
	}
	after := func(data map[string][]byte, host trust, now time.Time) map[string][]byte {
		result, _, err := next(data, host, service, now)
		if err != nil || result == nil {
			t.Fatalf("%v, %v", result, err)
		}
		return result
	}
	with := func(data map[string][]byte, key, value string) map[string][]byte {
		data = maps.Clone(data)
		if value == "" {
			delete(data, key)
		} else {
			data[key] = []byte(value)
		}
		return data
	}
	renewed := after(fresh, trust{}, start.Add(caDue-day))
	prepared := after(renewed, trusting(renewed, start), start.Add(caDue))
	followed := after(prepared, trusting(prepared, start.Add(caDue)), start.Add(caDue+10*time.Minute))
	other := types.NamespacedName{Namespace: "other", Name: "migrate-apiserver"}

	keptCA := func(was, is map[string][]byte) bool {
		return bytes.Equal(was["ca.crt"], is["ca.crt"]) && bytes.Equal(was["ca.key"], is["ca.key"]) && bytes.Equal(was["next-ca.key"], is["next-ca.key"]) &&
			!bytes.Equal(was["tls.crt"], is["tls.crt"])
	}
	newCA := func(was, is map[string][]byte) bool {
		return len(parse(is).bundle) == 1 && !bytes.Equal(was["ca.crt"], is["ca.crt"]) && !bytes.Equal(was["ca.key"], is["ca.key"])
	}
	for name, test := range map[string]struct {
		data    map[string][]byte
		host    trust
		service types.NamespacedName
		now     time.Time
		reason  string
		follows func(was, is map[string][]byte) bool
	}{
		"fresh":                {data: fresh, now: start},
		"59 days old":          {data: fresh, now: start.Add(59 * day)},
		"a clock that is late": {data: fresh, now: start.Add(-2*time.Hour + time.Second)},
		"60 days old":          {data: fresh, now: start.Add(60 * day), reason: "two thirds of its life are over", follows: keptCA},
		"expired": {
			data: fresh, now: start.Add(90 * day), follows: keptCA,
			reason: "it expired at 2026-04-01T00:00:00Z",
		},
		"from the future": {
			data: fresh, now: start.Add(-3 * time.Hour), follows: newCA,
			reason: "it is not valid before 2025-12-31T23:00:00Z",
		},
		"another Service": {
			data: fresh, now: start, service: other, follows: keptCA,
			reason: "a client that trusts ca.crt does not accept it: x509: certificate is valid for migrate-apiserver.migrate-system.svc, " +
				"migrate-apiserver.migrate-system.svc.cluster.local, migrate-apiserver.migrate-system, not migrate-apiserver.other.svc",
		},
		"damaged certificate": {
			data: with(fresh, "tls.crt", "rubbish"), now: start, follows: keptCA,
			reason: "tls.crt and tls.key are no certificate with its key",
		},
		"key of another certificate": {
			data: with(fresh, "tls.key", string(renewed["tls.key"])), now: start, follows: keptCA,
			reason: "tls.crt and tls.key are no certificate with its key",
		},
		"damaged CA": {
			data: with(fresh, "ca.crt", "rubbish"), now: start, follows: newCA,
			reason: "a client that trusts ca.crt does not accept it: x509: certificate signed by unknown authority",
		},
		"damaged CA, and the host has it": {
			data: with(fresh, "ca.crt", "rubbish"), host: trusting(fresh, start), now: start,
			reason:  "the Secret has no CA, that of its certificate is kept",
			follows: func(_, is map[string][]byte) bool { return maps.EqualFunc(fresh, is, bytes.Equal) },
		},
		"no key of the CA": {
			data: with(fresh, "ca.key", "rubbish"), now: start, reason: "a new CA is due",
			follows: func(was, is map[string][]byte) bool {
				return bytes.HasPrefix(is["ca.crt"], was["ca.crt"]) && len(parse(is).bundle) == 2 && bytes.Equal(was["tls.crt"], is["tls.crt"])
			},
		},
		"everything is damaged": {
			data: map[string][]byte{"ca.crt": []byte("a"), "ca.key": []byte("b"), "tls.crt": []byte("c"), "tls.key": []byte("d")}, now: start,
			follows: newCA, reason: "tls.crt and tls.key are no certificate with its key",
		},
		"the CA is nearly due": {data: renewed, host: trusting(renewed, start), now: start.Add(caDue - day)},
		"the CA is due": {
			data: renewed, host: trusting(renewed, start), now: start.Add(caDue), reason: "a new CA is due",
			follows: func(was, is map[string][]byte) bool {
				return bytes.HasPrefix(is["ca.crt"], was["ca.crt"]) && len(is["next-ca.key"]) > 0 &&
					bytes.Equal(was["ca.key"], is["ca.key"]) && bytes.Equal(was["tls.crt"], is["tls.crt"])
			},
		},
		"the host lacks the new CA":            {data: prepared, host: trusting(renewed, start), now: start.Add(caDue + 50*day)},
		"the host has had it for nine minutes": {data: prepared, host: trusting(prepared, start.Add(caDue)), now: start.Add(caDue + 9*time.Minute)},
		"the host has had it for ten minutes": {
			data: prepared, host: trusting(prepared, start.Add(caDue)), now: start.Add(caDue + 10*time.Minute), reason: "the host trusts the new CA",
			follows: func(was, is map[string][]byte) bool {
				return bytes.Equal(was["ca.crt"], is["ca.crt"]) && bytes.Equal(was["next-ca.key"], is["ca.key"]) && len(is["next-ca.key"]) == 0 &&
					parse(is).serving.leaf.CheckSignatureFrom(parse(was).bundle[1]) == nil
			},
		},
		"the host never gets it, and the certificate is due": {
			data: prepared, host: trusting(renewed, start), now: start.Add(caDue + 60*day), reason: "two thirds of its life are over", follows: keptCA,
		},
		"six days with the new CA": {data: followed, host: trusting(followed, start), now: start.Add(caDue + 6*day)},
		"seven days with the new CA": {
			data: followed, host: trusting(followed, start), now: start.Add(caDue + 7*day + 10*time.Minute),
			reason: "the former CA is not in use any more",
			follows: func(was, is map[string][]byte) bool {
				return bytes.HasSuffix(was["ca.crt"], is["ca.crt"]) && len(parse(is).bundle) == 1 && bytes.Equal(was["tls.crt"], is["tls.crt"]) && bytes.Equal(was["ca.key"], is["ca.key"])
			},
		},
		"forgotten for twenty years": {
			data: fresh, host: trusting(fresh, start), now: start.Add(20 * 365 * day), follows: newCA,
			reason: "it expired at 2026-04-01T00:00:00Z",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if test.service == (types.NamespacedName{}) {
				test.service = service
			}
			got, reason, err := next(test.data, test.host, test.service, test.now)
			if err != nil || reason != test.reason || (got == nil) != (test.follows == nil) {
				t.Fatalf("%v, %q, %v, want %q", slices.Sorted(maps.Keys(got)), reason, err, test.reason)
			}
			if got == nil {
				return
			}
			if !test.follows(test.data, got) {
				t.Errorf("%s follows", slices.Sorted(maps.Keys(got)))
			}
			if err := verify(got["ca.crt"], parse(got).serving.leaf, dnsNames(test.service)[0], test.now); err != nil {
				t.Error(err)
			}
			if again, reason, err := next(got, test.host, test.service, test.now); again != nil || err != nil {
				t.Errorf("once more: %q, %v", reason, err)
			}
		})
	}
}

// TestFormerManifests checks that the certificate of earlier manifests goes on to be served until the host trusts the new CA. Those
// had no CA in the Secret.
func TestFormerManifests(t *testing.T) {
	chain, key, err := cert.GenerateSelfSignedCertKeyWithOptions(cert.SelfSignedCertKeyOptions{Host: "migrate-apiserver.migrate-system.svc", MaxAge: 3650 * day})
	if err != nil {
		t.Fatal(err)
	}
	certificates, err := cert.ParseCertsPEM(chain)
	if err != nil {
		t.Fatal(err)
	}
	authority, now := certificates[len(certificates)-1:], certificates[0].NotBefore.Add(2*day)
	leaf, err := cert.EncodeCertificates(certificates[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		certificate []byte
		host        trust
	}{
		"the APIService has the CA": {leaf, trust{authority, now}},
		"tls.crt has the CA":        {chain, trust{}},
	} {
		former := map[string][]byte{"tls.crt": test.certificate, "tls.key": key}
		got, reason, err := next(former, test.host, service, now)
		if err != nil || reason != "the Secret has no CA, that of its certificate is kept; a new CA is due" {
			t.Fatalf("%s: %q, %v", name, reason, err)
		}
		c := parse(got)
		if !bytes.Equal(got["tls.crt"], test.certificate) || len(c.bundle) != 2 || !c.bundle[0].Equal(authority[0]) || c.signer != nil || c.next == nil {
			t.Errorf("%s: %v", name, slices.Sorted(maps.Keys(got)))
		}
		damaged := maps.Clone(got)
		damaged["tls.crt"] = []byte("rubbish")
		repaired, reason, err := next(damaged, trust{c.bundle, now}, service, now)
		if err != nil || reason != "tls.crt and tls.key are no certificate with its key" || !bytes.Equal(repaired["ca.key"], got["next-ca.key"]) {
			t.Errorf("%s, damaged: %v, %q, %v", name, slices.Sorted(maps.Keys(repaired)), reason, err)
		}
		got, reason, err = next(got, trust{c.bundle, now}, service, now.Add(10*time.Minute))
		if c = parse(got); err != nil || reason != "the host trusts the new CA" || c.signer == nil || c.serving.leaf.CheckSignatureFrom(c.signer.certificate) != nil {
			t.Errorf("%s: %q, %v", name, reason, err)
		}
	}
}

func TestForeignSecretsAreLeft(t *testing.T) {
	other, _, err := next(nil, trust{}, types.NamespacedName{Namespace: "other", Name: "etcd"}, start)
	if err != nil {
		t.Fatal(err)
	}
	delete(other, "ca.key")
	for name, data := range map[string]map[string][]byte{
		"a certificate of something else": other,
		"something else":                  {"password": []byte("secret")},
	} {
		if got, _, err := next(data, trust{}, service, start); got != nil || err == nil ||
			err.Error() != "it holds something else than the certificate of this server, and is left as it is: delete it, or name another Secret" {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}
