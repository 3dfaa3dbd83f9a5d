// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package ha

import (
	"math/rand/v2"
	"testing"

	"kurator.dev/migrate-apiserver/test/localfleet"
)

// TestKillWithEmbeddedEtcd repeatedly kills the only replica at a random moment of a load.
func TestKillWithEmbeddedEtcd(t *testing.T) {
	const rounds = 5
	fleet := startFleet(t, localfleet.Options{})
	server := process(t, fleet, "migrate-apiserver")
	l := startLoad(t, hostConfig(t, fleet), "embedded")
	for range rounds {
		l.awaitMore(t, 50+rand.IntN(100))
		kill(t, server)
		start(t, server)
	}
	l.awaitMore(t, minRequests)
	r := l.end(t)
	t.Logf("%d kills: %v", rounds, r)
	if len(r.failed) == 0 {
		t.Error("no request failed: the kills did not interrupt the load")
	}
}
