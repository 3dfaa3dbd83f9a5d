// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"kurator.dev/migrate-apiserver/pkg/member/internal/membertest"
	"kurator.dev/migrate-apiserver/pkg/migration"
)

// TestLocalAddressesAreNotCalled uses kubeconfigs with every spelling of the address of a server
// on this machine.
func TestLocalAddressesAreNotCalled(t *testing.T) {
	server := membertest.NewAPIServer(t)
	listening := server.Address()
	_, port, _ := strings.Cut(listening, ":")
	for _, name := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "0.0.0.0", "[::]"} {
		t.Run(name, func(t *testing.T) {
			pool := NewPool(membertest.NewHost(strings.ReplaceAll(server.Kubeconfig(), listening, name+":"+port)), quick())
			t.Cleanup(pool.Close)
			seen := pool.Member("default", velero1).Read(t.Context(), objectsOf("u1"))
			if !errors.Is(seen.Err, migration.ErrAddressNotAllowed) {
				t.Fatalf("got %v, want a refusal", seen.Err)
			}
			if strings.Contains(seen.Err.Error(), port) {
				t.Errorf("repeats the address: %v", seen.Err)
			}
		})
	}
	// C libraries parse these as 127.0.0.1; Go resolves them as names, which do not exist.
	for _, name := range []string{"0x7f.1", "0177.0.0.1", "2130706433"} {
		pool := NewPool(membertest.NewHost(strings.ReplaceAll(server.Kubeconfig(), listening, name+":"+port)), quick())
		t.Cleanup(pool.Close)
		if seen := pool.Member("default", velero1).Read(t.Context(), objectsOf("u1")); seen.Err == nil {
			t.Errorf("%s: it was asked", name)
		}
	}
	if asked := server.Requests(); len(asked) > 0 {
		t.Errorf("the server was asked: %v", asked)
	}
}

// TestRequestsThroughProxy uses a proxy on this machine, which an operator may configure, and
// checks the requests that it receives.
func TestRequestsThroughProxy(t *testing.T) {
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
	through.Addresses.Proxy = func(*http.Request) (*url.URL, error) { return at, nil }
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
			seen := pool.Member("default", velero1).Read(t.Context(), objectsOf("u1"))
			if got := asked.Load(); got != want {
				t.Errorf("the proxy was asked %q, want %q", got, want)
			}
			if refused := errors.Is(seen.Err, migration.ErrAddressNotAllowed); refused != (want == "") {
				t.Errorf("got %v", seen.Err)
			}
		})
	}
}

func TestInvalidProxy(t *testing.T) {
	o := quick()
	o.Addresses.Proxy = func(*http.Request) (*url.URL, error) { return nil, errors.New("invalid proxy address s3cret") }
	pool := NewPool(membertest.NewHost(membertest.NewAPIServer(t).Kubeconfig()), o)
	t.Cleanup(pool.Close)
	seen := pool.Member("default", velero1).Read(t.Context(), objectsOf("u1"))
	if seen.Err == nil || strings.Contains(seen.Err.Error(), "s3cret") {
		t.Errorf("got %v", seen.Err)
	}
}
