// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"kurator.dev/migrate-apiserver/pkg/member/internal/membertest"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

func TestRefusedKind(t *testing.T) {
	for address, want := range map[string]string{
		"10.0.0.1":                 "",
		"192.168.1.1":              "",
		"203.0.113.7":              "",
		"2001:db8::1":              "",
		"fd00::1":                  "",
		"64:ff9b::203.0.113.7":     "",
		"127.0.0.1":                "a loopback address",
		"127.255.255.254":          "a loopback address",
		"::1":                      "a loopback address",
		"::ffff:127.0.0.1":         "a loopback address",
		"::127.0.0.1":              "a loopback address",
		"64:ff9b::127.0.0.1":       "a loopback address",
		"64:ff9b:1::127.0.0.1":     "a loopback address",
		"2002:7f00:1::":            "a loopback address",
		"::ffff:0:127.0.0.1":       "a loopback address",
		"2001:0:1:2:3:4:80ff:fffe": "an address behind a tunnel",
		"fd00:ec2::23":             "the address of a cloud's metadata service",
		"0.0.0.0":                  "an unspecified address",
		"0.1.2.3":                  "an unspecified address",
		"::":                       "an unspecified address",
		"::ffff:0.0.0.0":           "an unspecified address",
		"169.254.169.254":          "a link-local address",
		"::ffff:169.254.0.1":       "a link-local address",
		"fe80::1":                  "a link-local address",
		"fe80::1%eth0":             "a link-local address",
		"2002:a9fe:a9fe::":         "a link-local address",
		"224.0.0.1":                "a multicast or broadcast address",
		"ff02::1":                  "a multicast or broadcast address",
		"255.255.255.255":          "a multicast or broadcast address",
		"100.100.100.200":          "the address of a cloud's metadata service",
		"168.63.129.16":            "the address of a cloud's metadata service",
		"192.0.0.192":              "the address of a cloud's metadata service",
		"fd00:ec2::254":            "the address of a cloud's metadata service",
		"fd20:ce::254":             "the address of a cloud's metadata service",
	} {
		if got := refusedKind(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: got %q, want %q", address, got, want)
		}
	}
}

// TestLocalAddressesAreNotCalled has kubeconfigs that lead to a server on this
// machine, by every spelling that leads there.
func TestLocalAddressesAreNotCalled(t *testing.T) {
	server := membertest.NewAPIServer(t)
	listening := server.Address()
	_, port, _ := strings.Cut(listening, ":")
	for _, name := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "0.0.0.0", "[::]"} {
		t.Run(name, func(t *testing.T) {
			pool := NewPool(membertest.NewHost(strings.ReplaceAll(server.Kubeconfig(), listening, name+":"+port)), quick())
			t.Cleanup(pool.Close)
			seen := pool.Member("default", velero1).Ask(t.Context(), objectsOf("u1"))
			if !errors.Is(seen.Err, migration.ErrAddressRefused) {
				t.Fatalf("got %v, want a refusal", seen.Err)
			}
			if strings.Contains(seen.Err.Error(), port) {
				t.Errorf("repeats the address: %v", seen.Err)
			}
		})
	}
	// Spellings that C libraries take for 127.0.0.1 are names here, which do not exist.
	for _, name := range []string{"0x7f.1", "0177.0.0.1", "2130706433"} {
		pool := NewPool(membertest.NewHost(strings.ReplaceAll(server.Kubeconfig(), listening, name+":"+port)), quick())
		t.Cleanup(pool.Close)
		if seen := pool.Member("default", velero1).Ask(t.Context(), objectsOf("u1")); seen.Err == nil {
			t.Errorf("%s: it was asked", name)
		}
	}
	if asked := server.Requests(); len(asked) > 0 {
		t.Errorf("the server was asked: %v", asked)
	}
}

// TestBehindAProxy has a proxy on this machine, which is its operator's choice, and
// looks at what it is asked for.
func TestBehindAProxy(t *testing.T) {
	var asked atomic.Value
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.Method + " " + r.Host)
		w.WriteHeader(http.StatusBadGateway)
	}))
	t.Cleanup(proxy.Close)
	at, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	through := quick()
	through.Proxy = func(*http.Request) (*url.URL, error) { return at, nil }
	server := membertest.NewAPIServer(t)
	for target, want := range map[string]string{
		"192.0.2.1:6443":        "CONNECT 192.0.2.1:6443",
		"127.0.0.1:6443":        "",
		"[::ffff:a9fe:a9fe]:80": "",
		"localhost:6443":        "",
		"0x7f.1:6443":           "",
		"member.invalid:6443":   "",
	} {
		t.Run(target, func(t *testing.T) {
			asked.Store("")
			pool := NewPool(membertest.NewHost(strings.ReplaceAll(server.Kubeconfig(), server.Address(), target)), through)
			t.Cleanup(pool.Close)
			seen := pool.Member("default", velero1).Ask(t.Context(), objectsOf("u1"))
			if got := asked.Load(); got != want {
				t.Errorf("the proxy was asked %q, want %q", got, want)
			}
			if refused := errors.Is(seen.Err, migration.ErrAddressRefused); refused != (want == "") {
				t.Errorf("got %v", seen.Err)
			}
		})
	}
}

func TestAProxyThatIsInvalid(t *testing.T) {
	o := quick()
	o.Proxy = func(*http.Request) (*url.URL, error) { return nil, errors.New("invalid proxy address s3cret") }
	pool := NewPool(membertest.NewHost(membertest.NewAPIServer(t).Kubeconfig()), o)
	t.Cleanup(pool.Close)
	seen := pool.Member("default", velero1).Ask(t.Context(), objectsOf("u1"))
	if seen.Err == nil || strings.Contains(seen.Err.Error(), "s3cret") {
		t.Errorf("got %v", seen.Err)
	}
}

// TestDownloadsOfLocalAddresses has a Velero that names URLs to read from.
func TestDownloadsOfLocalAddresses(t *testing.T) {
	reached := false
	local := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	t.Cleanup(local.Close)
	read := func(io.Reader) error { return nil }
	strict := Options{}.withDefaults().addresses()
	for _, from := range []string{
		local.URL, strings.ReplaceAll(local.URL, "127.0.0.1", "localhost"), strings.ReplaceAll(local.URL, "127.0.0.1", "[::ffff:7f00:1]"),
		"http://169.254.169.254/latest/meta-data/",
	} {
		if err := strict.fetch(t.Context(), from, nil, read); !errors.Is(err, migration.ErrAddressRefused) {
			t.Errorf("%s: got %v", from, err)
		}
	}
	for _, from := range []string{"file:///etc/passwd", "unix:///run/s3cret", "ftp://192.0.2.1/", "//192.0.2.1", "https://u:s3cret@\x00"} {
		if err := strict.fetch(t.Context(), from, nil, read); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: got %v", from, err)
		}
	}
	if reached {
		t.Error("the local server was reached")
	}

	redirecting := httptest.NewServer(http.RedirectHandler(local.URL, http.StatusFound))
	t.Cleanup(redirecting.Close)
	allowed := Options{AllowLocalAddresses: true}.withDefaults().addresses()
	if err := allowed.fetch(t.Context(), redirecting.URL, nil, read); err == nil || err.Error() != "the storage answers 302 Found" {
		t.Errorf("a redirect: got %v", err)
	}
	if reached {
		t.Error("a redirect was followed")
	}
}

func TestAddressRanges(t *testing.T) {
	prefixes := func(texts ...string) (all []netip.Prefix) {
		for _, text := range texts {
			all = append(all, netip.MustParsePrefix(text))
		}
		return all
	}
	services := func() ([]netip.Prefix, error) { return prefixes("10.96.0.0/12", "fd00:1::/112"), nil }
	const (
		service   = "it is that of a Service of the host, which the operator of this server may allow by a range within theirs in --member-address-ranges"
		elsewhere = "it is in none of the ranges that the operator of this server names with --member-address-ranges"
	)
	for _, tt := range []struct {
		name, address string
		options       Options
		want          string
	}{
		{name: "a private address", address: "10.1.2.3", options: Options{HostServices: services}},
		{name: "a Service", address: "10.96.0.1", options: Options{HostServices: services}, want: service},
		{name: "a Service by IPv6", address: "fd00:1::1", options: Options{HostServices: services}, want: service},
		{name: "a Service in disguise", address: "::ffff:10.96.0.1", options: Options{HostServices: services}, want: service},
		{name: "a Service behind NAT64", address: "64:ff9b::a60:1", options: Options{HostServices: services}, want: service},
		{name: "a Service, also on one machine", address: "10.96.0.1", options: Options{HostServices: services, AllowLocalAddresses: true}, want: service},
		{name: "a Service that is allowed", address: "10.96.0.1", options: Options{HostServices: services, AddressRanges: prefixes("10.96.0.1/32")}},
		{name: "a Service in a wider range", address: "10.96.0.1", options: Options{HostServices: services, AddressRanges: prefixes("10.0.0.0/8")}, want: service},
		{name: "one of the Service range itself", address: "10.96.0.1", options: Options{HostServices: services, AddressRanges: prefixes("10.96.0.0/12")}},
		{name: "in a wide range, and no Service", address: "10.1.2.3", options: Options{HostServices: services, AddressRanges: prefixes("10.0.0.0/8")}},
		{name: "in a range", address: "10.1.2.3", options: Options{AddressRanges: prefixes("10.0.0.0/8")}},
		{name: "in no range", address: "11.1.2.3", options: Options{AddressRanges: prefixes("10.0.0.0/8", "fd00::/8")}, want: elsewhere},
		{
			name: "in a range, and refused all the same", address: "127.0.0.1", options: Options{AddressRanges: prefixes("127.0.0.0/8")},
			want: "it is a loopback address, which the operator of this server may allow with --member-allow-local-addresses",
		},
		{
			name: "a host that does not say", address: "10.1.2.3", options: Options{HostServices: func() ([]netip.Prefix, error) { return nil, errors.New("connection refused") }},
			want: "it can't be told yet whether it is that of a Service of the host: connection refused",
		},
	} {
		a := tt.options.withDefaults().addresses()
		for how, err := range map[string]error{
			"dialled":        a.control("tcp", netip.AddrPortFrom(netip.MustParseAddr(tt.address), 443).String(), nil),
			"behind a proxy": a.checkHost(t.Context(), tt.address),
		} {
			got := ""
			if err != nil {
				got = strings.TrimPrefix(err.Error(), migration.ErrAddressRefused.Error()+": ")
			}
			if got != tt.want {
				t.Errorf("%s, %s: %q, want %q", tt.name, how, got, tt.want)
			}
		}
	}
}
