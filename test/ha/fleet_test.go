// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package ha

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"

	"kurator.dev/migrate-apiserver/test/localfleet"
)

const (
	// deadline is many times as long as any step of these tests takes.
	deadline     = 2 * time.Minute
	pollInterval = 20 * time.Millisecond
)

// startFleet starts a fleet without Velero for one test.
func startFleet(t *testing.T, options localfleet.Options) *localfleet.Fleet {
	t.Helper()
	options.WithoutVelero = true
	return localfleet.UpForTest(t, options)
}

func hostConfig(t *testing.T, fleet *localfleet.Fleet) *rest.Config {
	t.Helper()
	config, err := fleet.HostConfig()
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func process(t *testing.T, fleet *localfleet.Fleet, name string) *localfleet.Process {
	t.Helper()
	p, err := fleet.Process(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func kill(t *testing.T, p *localfleet.Process) {
	t.Helper()
	if err := p.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func start(t *testing.T, p *localfleet.Process) {
	t.Helper()
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// isLeader reports whether a replica drives migrations, according to its log.
func isLeader(t *testing.T, p *localfleet.Process) bool {
	t.Helper()
	log, err := os.ReadFile(p.LogFile())
	if err != nil {
		t.Fatal(err)
	}
	started, stopped := strings.LastIndex(string(log), "\"Started driving migrations\""), strings.LastIndex(string(log), "\"Stopped driving migrations\"")
	return p.Running() && started > stopped && started > strings.LastIndex(string(log), "\"Starting\"")
}

// leaderAndFollower waits for a leader and returns both replicas.
func leaderAndFollower(t *testing.T, fleet *localfleet.Fleet) (leader, follower *localfleet.Process) {
	t.Helper()
	one, two := process(t, fleet, localfleet.ReplicaName(1)), process(t, fleet, localfleet.ReplicaName(2))
	eventually(t, "a leader", func() bool {
		switch {
		case isLeader(t, one):
			leader, follower = one, two
		case isLeader(t, two):
			leader, follower = two, one
		}
		return leader != nil
	})
	return leader, follower
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), pollInterval, deadline, true, func(context.Context) (bool, error) { return condition(), nil })
	if err != nil {
		t.Fatalf("waiting for %s: %v", what, err)
	}
}
