// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package ha

import (
	"math/rand/v2"
	"testing"

	"kurator.dev/migrate-apiserver/test/localfleet"
)

// TestEmbeddedEtcdIsKilled kills the one replica at any moment of a load, and again.
func TestEmbeddedEtcdIsKilled(t *testing.T) {
	const rounds = 5
	fleet := up(t, localfleet.Options{})
	server := process(t, fleet, "migrate-apiserver")
	l := startLoad(t, hostConfig(t, fleet), "embedded")
	for range rounds {
		l.awaitMore(t, 50+rand.IntN(100))
		kill(t, server)
		start(t, server)
	}
	l.awaitMore(t, enough)
	r := l.end(t)
	t.Logf("%d kills: %v", rounds, r)
	if len(r.failed) == 0 {
		t.Error("no request failed though nobody was there: the kills came at no moment at all")
	}
}
