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
	// deadline is many times what anything here takes.
	deadline     = 2 * time.Minute
	pollInterval = 20 * time.Millisecond
)

// up brings a fleet up for one test.
func up(t *testing.T, options localfleet.Options) *localfleet.Fleet {
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

// drives says whether a replica drives migrations, by the last that its log says.
func drives(t *testing.T, p *localfleet.Process) bool {
	t.Helper()
	log, err := os.ReadFile(p.LogFile())
	if err != nil {
		t.Fatal(err)
	}
	began, ended := strings.LastIndex(string(log), "\"Started driving migrations\""), strings.LastIndex(string(log), "\"Stopped driving migrations\"")
	return p.Running() && began > ended && began > strings.LastIndex(string(log), "\"Starting\"")
}

// driver is the replica that drives, and the other one.
func driver(t *testing.T, fleet *localfleet.Fleet) (leader, other *localfleet.Process) {
	t.Helper()
	one, two := process(t, fleet, localfleet.ReplicaName(1)), process(t, fleet, localfleet.ReplicaName(2))
	eventually(t, "a replica to drive", func() bool {
		switch {
		case drives(t, one):
			leader, other = one, two
		case drives(t, two):
			leader, other = two, one
		}
		return leader != nil
	})
	return leader, other
}

func eventually(t *testing.T, what string, isTrue func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), pollInterval, deadline, true, func(context.Context) (bool, error) { return isTrue(), nil })
	if err != nil {
		t.Fatalf("waiting for %s: %v", what, err)
	}
}
