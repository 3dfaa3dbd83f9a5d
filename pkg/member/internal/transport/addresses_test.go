// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

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

func TestAddressRanges(t *testing.T) {
	prefixes := func(texts ...string) (all []netip.Prefix) {
		for _, text := range texts {
			all = append(all, netip.MustParsePrefix(text))
		}
		return all
	}
	services := func() ([]netip.Prefix, error) { return prefixes("10.96.0.0/12", "fd00:1::/112"), nil }
	const (
		service   = "it is in the range of the Services of the host, which the operator of this server may allow by a range within theirs in --member-address-ranges"
		elsewhere = "it is in none of the ranges that the operator of this server names with --member-address-ranges"
	)
	for _, tt := range []struct {
		name, address string
		allowed       Addresses
		want          string
	}{
		{name: "a private address", address: "10.1.2.3", allowed: Addresses{HostServices: services}},
		{name: "a Service", address: "10.96.0.1", allowed: Addresses{HostServices: services}, want: service},
		{name: "a Service by IPv6", address: "fd00:1::1", allowed: Addresses{HostServices: services}, want: service},
		{name: "a Service in disguise", address: "::ffff:10.96.0.1", allowed: Addresses{HostServices: services}, want: service},
		{name: "a Service behind NAT64", address: "64:ff9b::a60:1", allowed: Addresses{HostServices: services}, want: service},
		{name: "a Service, also on one machine", address: "10.96.0.1", allowed: Addresses{HostServices: services, AllowLocal: true}, want: service},
		{name: "a Service that is allowed", address: "10.96.0.1", allowed: Addresses{HostServices: services, Ranges: prefixes("10.96.0.1/32")}},
		{name: "a Service in a wider range", address: "10.96.0.1", allowed: Addresses{HostServices: services, Ranges: prefixes("10.0.0.0/8")}, want: service},
		{name: "one of the Service range itself", address: "10.96.0.1", allowed: Addresses{HostServices: services, Ranges: prefixes("10.96.0.0/12")}},
		{name: "in a wide range, and no Service", address: "10.1.2.3", allowed: Addresses{HostServices: services, Ranges: prefixes("10.0.0.0/8")}},
		{name: "in a range", address: "10.1.2.3", allowed: Addresses{Ranges: prefixes("10.0.0.0/8")}},
		{name: "in no range", address: "11.1.2.3", allowed: Addresses{Ranges: prefixes("10.0.0.0/8", "fd00::/8")}, want: elsewhere},
		{
			name: "in a range, and refused all the same", address: "127.0.0.1", allowed: Addresses{Ranges: prefixes("127.0.0.0/8")},
			want: "it is a loopback address, which the operator of this server may allow with --member-allow-local-addresses",
		},
		{
			name: "a host that does not say", address: "10.1.2.3", allowed: Addresses{HostServices: func() ([]netip.Prefix, error) { return nil, errors.New("connection refused") }},
			want: "the ranges of the host's Services are not known yet: connection refused",
		},
	} {
		a := tt.allowed
		for how, err := range map[string]error{
			"dialled":        a.control("tcp", netip.AddrPortFrom(netip.MustParseAddr(tt.address), 443).String(), nil),
			"behind a proxy": a.checkHost(t.Context(), tt.address),
		} {
			got := ""
			if err != nil {
				got = strings.TrimPrefix(err.Error(), migration.ErrAddressNotAllowed.Error()+": ")
			}
			if got != tt.want {
				t.Errorf("%s, %s: %q, want %q", tt.name, how, got, tt.want)
			}
		}
	}
}
