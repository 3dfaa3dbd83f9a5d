// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

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

// Addresses are the addresses that members and their storage may have. Whoever writes a
// kubeconfig chooses the address that this server connects to, which could be this server
// itself, another process of its machine, or the metadata service of a cloud.
type Addresses struct {
	// AllowLocal allows the kinds of addresses that are refused otherwise: loopback,
	// link-local, multicast, and those of metadata services.
	AllowLocal bool
	// Ranges are the only ones that a member may be in; empty: all.
	Ranges []netip.Prefix
	// HostServices returns the ranges of the Services of the host, which are refused; nil:
	// none are.
	HostServices func() ([]netip.Prefix, error)
	// Proxy returns the proxy to use for a request; nil if there is none.
	Proxy func(*http.Request) (*url.URL, error)
}

// AddressError reports why an address is refused. It does not repeat the address, which is
// part of a kubeconfig or the result of resolving a name in it.
type AddressError struct{ why string }

func (e *AddressError) Error() string {
	return fmt.Sprintf("%v: %s", migration.ErrAddressNotAllowed, e.why)
}

// Unwrap returns migration.ErrAddressNotAllowed.
func (e *AddressError) Unwrap() error { return migration.ErrAddressNotAllowed }

// TransportTo returns a transport for requests to a URL that checks addresses. Without a
// proxy it checks the IP address of each connection when that is opened; with one it checks
// the URL's host before each request, because the connection leads to the proxy.
func (a Addresses) TransportTo(target *url.URL, keepAlive net.KeepAliveConfig) (*http.Transport, error) {
	proxy, err := a.Proxy(&http.Request{URL: target})
	if err != nil {
		// The error repeats the proxy's URL, which may hold a password.
		return nil, errors.New("the environment of this server names a proxy that is invalid")
	}
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAliveConfig: keepAlive}
	transport := &http.Transport{
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    dialTimeout,
		MaxResponseHeaderBytes: maxHeader,
		// A small compressed answer may decompress to any size.
		DisableCompression: true,
	}
	if proxy == nil {
		dialer.Control = a.control
		return transport, nil
	}
	transport.Proxy = func(request *http.Request) (*url.URL, error) {
		return proxy, a.checkHost(request.Context(), request.URL.Hostname())
	}
	return transport, nil
}

// control checks the address of a connection before it is opened.
func (a Addresses) control(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return &AddressError{"it is not an IP address"}
	}
	return a.check(at.Addr())
}

// checkHost checks the host that a proxy is to connect to. It refuses a name that this server
// can't resolve, because the proxy does not check addresses.
func (a Addresses) checkHost(ctx context.Context, host string) error {
	if a.AllowLocal && len(a.Ranges) == 0 && a.HostServices == nil {
		return nil
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return a.check(ip)
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return &AddressError{"it is behind a proxy, and its name can't be resolved here; have this server resolve it, or use its address"}
	}
	for _, ip := range ips {
		if err := a.check(ip); err != nil {
			return err
		}
	}
	return nil
}

func (a Addresses) check(ip netip.Addr) error {
	if kind := refusedKind(ip); kind != "" && !a.AllowLocal {
		return &AddressError{"it is " + kind + ", which the operator of this server may allow with --member-allow-local-addresses"}
	}
	if len(a.Ranges) > 0 && !contains(a.Ranges, ip) {
		return &AddressError{"it is in none of the ranges that the operator of this server names with --member-address-ranges"}
	}
	return a.checkHostServices(ip)
}

// checkHostServices refuses the addresses of the host's Services, which are for its own pods,
// unless the operator allowed a range that lies within theirs. A wider one, such as
// 10.0.0.0/8, may contain them unintentionally.
func (a Addresses) checkHostServices(ip netip.Addr) error {
	if a.HostServices == nil {
		return nil
	}
	services, err := a.HostServices()
	if err != nil {
		return &AddressError{fmt.Sprintf("the ranges of the host's Services are not known yet: %v", err)}
	}
	for _, service := range services {
		isNamed := func(r netip.Prefix) bool {
			return contains([]netip.Prefix{r}, ip) && r.Overlaps(service) && r.Bits() >= service.Bits()
		}
		if contains([]netip.Prefix{service}, ip) && !slices.ContainsFunc(a.Ranges, isNamed) {
			return &AddressError{"it is in the range of the Services of the host, which the operator of this server may allow by a range within theirs in --member-address-ranges"}
		}
	}
	return nil
}

// contains reports whether an address is in one of the ranges. An IPv4 address that is
// written as, or translated to, one of IPv6 is in the ranges of the IPv4 address, too.
func contains(ranges []netip.Prefix, ip netip.Addr) bool {
	ip = ip.WithZone("").Unmap()
	if inner, ok := translated(ip); ok && contains(ranges, inner) {
		return true
	}
	return slices.ContainsFunc(ranges, func(r netip.Prefix) bool { return r.Contains(ip) })
}

var (
	// metadata are the metadata services of clouds whose address is not the link-local
	// 169.254.169.254.
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

// refusedKind returns the kind of an address that members may not have; empty if they may
// have it.
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

// translations are the prefixes of IPv6 addresses that networks translate or tunnel to the
// IPv4 address that they contain at an offset, in bytes.
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
