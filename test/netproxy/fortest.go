// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package netproxy

import "testing"

// ForTest is like Listen, for a test: it fails the test if the proxy can't start, and closes the
// proxy when the test ends.
func ForTest(t testing.TB, backends ...string) *Proxy {
	t.Helper()
	p, err := Listen(backends...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}
