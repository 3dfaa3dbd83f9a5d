// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"syscall"

	"kurator.dev/migrate-apiserver/pkg/migration"
)

// addresses says where a member, or its storage, may be. Who writes a kubeconfig
// writes the address that this server calls, and so could have it call itself, what
// else runs on its machine, or a cloud's metadata service.
type addresses struct {
	// all lifts the restrictions to certain kinds of addresses.
	all bool
	// ranges are the only ones where a member may be; all where there are none.
	ranges []netip.Prefix
	// hostServices tells where the Services of the host are; nil if that does not matter.
	hostServices func() ([]netip.Prefix, error)
	// proxyFor tells the proxy of the environment.
	proxyFor func(*http.Request) (*url.URL, error)
}

func (o Options) addresses() addresses {
	return addresses{all: o.AllowLocalAddresses, ranges: o.AddressRanges, hostServices: o.HostServices, proxyFor: o.Proxy}
}

// addressError says why an address is refused, without the address: it is part of a
// kubeconfig, or what a name in it stands for.
type addressError struct{ why string }

func (e *addressError) Error() string {
	return fmt.Sprintf("%v: %s", migration.ErrAddressRefused, e.why)
}

func (e *addressError) Unwrap() error { return migration.ErrAddressRefused }

// transportTo is a transport for what is at one URL. The address is looked at when a
// connection is opened, so neither the spelling of an address nor what a name stands
// for at another time matters. Where a proxy leads there, whose address is the
// operator's choice, the host's is looked at before each request.
func (a addresses) transportTo(target *url.URL, dialer *net.Dialer) (*http.Transport, error) {
	proxy, err := a.proxyFor(&http.Request{URL: target})
	if err != nil {
		// The error repeats the proxy's URL, which may hold a password.
		return nil, errors.New("the environment of this server names a proxy that is invalid")
	}
	transport := &http.Transport{DialContext: dialer.DialContext, TLSHandshakeTimeout: dialTimeout, MaxResponseHeaderBytes: maxHeader}
	if proxy == nil {
		dialer.Control = a.control
		return transport, nil
	}
	transport.Proxy = func(request *http.Request) (*url.URL, error) {
		return proxy, a.checkHost(request.Context(), request.URL.Hostname())
	}
	return transport, nil
}

// control is called with the address of every connection that is to be opened.
func (a addresses) control(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return &addressError{"it can't be told what it is"}
	}
	return a.check(at.Addr())
}

// checkHost checks what a proxy is about to be asked for. What this server can't
// resolve is refused: nobody else looks at it.
func (a addresses) checkHost(ctx context.Context, host string) error {
	if a.all && len(a.ranges) == 0 && a.hostServices == nil {
		return nil
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return a.check(ip)
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return &addressError{"it is behind a proxy, and its name can't be resolved here; have this server resolve it, or use its address"}
	}
	for _, ip := range ips {
		if err := a.check(ip); err != nil {
			return err
		}
	}
	return nil
}

func (a addresses) check(ip netip.Addr) error {
	if kind := refusedKind(ip); kind != "" && !a.all {
		return &addressError{"it is " + kind + ", which the operator of this server may allow with --member-allow-local-addresses"}
	}
	if len(a.ranges) > 0 && !contains(a.ranges, ip) {
		return &addressError{"it is in none of the ranges that the operator of this server names with --member-address-ranges"}
	}
	return a.checkHostServices(ip)
}

// checkHostServices refuses what only the host's own pods are to reach, unless the
// operator named a range within that of the Services which has it. A wide range such as
// 10.0.0.0/8 has them by chance.
func (a addresses) checkHostServices(ip netip.Addr) error {
	if a.hostServices == nil {
		return nil
	}
	services, err := a.hostServices()
	if err != nil {
		return &addressError{fmt.Sprintf("it can't be told yet whether it is that of a Service of the host: %v", err)}
	}
	for _, service := range services {
		isNamed := func(r netip.Prefix) bool {
			return contains([]netip.Prefix{r}, ip) && r.Overlaps(service) && r.Bits() >= service.Bits()
		}
		if contains([]netip.Prefix{service}, ip) && !slices.ContainsFunc(a.ranges, isNamed) {
			return &addressError{"it is that of a Service of the host, which the operator of this server may allow by a range within theirs in --member-address-ranges"}
		}
	}
	return nil
}

// contains looks for an address as what it leads to: an IPv4 address that is written as
// one of IPv6 leads to the same place.
func contains(ranges []netip.Prefix, ip netip.Addr) bool {
	ip = ip.WithZone("").Unmap()
	if inner, ok := translated(ip); ok && contains(ranges, inner) {
		return true
	}
	return slices.ContainsFunc(ranges, func(r netip.Prefix) bool { return r.Contains(ip) })
}

var (
	// metadata are the metadata services of clouds, those aside that are at the
	// link-local 169.254.169.254.
	metadata = []netip.Addr{
		netip.MustParseAddr("100.100.100.200"), // Alibaba Cloud
		netip.MustParseAddr("168.63.129.16"),   // Azure
		netip.MustParseAddr("192.0.0.192"),     // Oracle Cloud
		netip.MustParseAddr("fd00:ec2::254"),   // AWS
		netip.MustParseAddr("fd00:ec2::23"),    // AWS, the credentials of pods
		netip.MustParseAddr("fd20:ce::254"),    // Google Cloud
	}
	thisNetwork = netip.MustParsePrefix("0.0.0.0/8")
	broadcast   = netip.MustParseAddr("255.255.255.255")
	teredo      = netip.MustParsePrefix("2001::/32")
)

// refusedKind names the kind of an address at which no member may be; empty if one
// may be.
func refusedKind(ip netip.Addr) string {
	ip = ip.WithZone("").Unmap()
	switch {
	case ip.IsLoopback():
		return "a loopback address"
	case ip.IsUnspecified(), thisNetwork.Contains(ip):
		return "an unspecified address"
	case ip.IsLinkLocalUnicast():
		return "a link-local address"
	case ip.IsMulticast(), ip == broadcast:
		return "a multicast or broadcast address"
	case teredo.Contains(ip):
		return "an address behind a tunnel"
	case slices.Contains(metadata, ip):
		return "the address of a cloud's metadata service"
	}
	if inner, ok := translated(ip); ok {
		return refusedKind(inner)
	}
	return ""
}

// translations are the prefixes of IPv6 addresses that networks translate to, or
// tunnel to, the IPv4 address they hold at an offset.
var translations = []struct {
	prefix netip.Prefix
	offset int
}{
	{netip.MustParsePrefix("::/96"), 12},           // IPv4-compatible
	{netip.MustParsePrefix("::ffff:0:0:0/96"), 12}, // IPv4-translated (SIIT)
	{netip.MustParsePrefix("64:ff9b::/96"), 12},    // NAT64
	{netip.MustParsePrefix("64:ff9b:1::/48"), 12},  // NAT64 of a site
	{netip.MustParsePrefix("2002::/16"), 2},        // 6to4
}

func translated(ip netip.Addr) (netip.Addr, bool) {
	for _, t := range translations {
		if t.prefix.Contains(ip) {
			whole := ip.As16()
			return netip.AddrFrom4([4]byte(whole[t.offset : t.offset+4])), true
		}
	}
	return netip.Addr{}, false
}
