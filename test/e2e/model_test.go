// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"testing"
	"time"

	"kurator.dev/migrate-apiserver/test/localfleet"
	"kurator.dev/migrate-apiserver/test/modelvelero"
)

// TestVeleroBehavesLikeItsModel runs the scenarios of package modelvelero on two real
// Veleros. It checks that they behave as the simulation assumes.
func TestVeleroBehavesLikeItsModel(t *testing.T) {
	needsFleet(t)
	h := &modelvelero.Harness{
		Source: veleroObjects(t, source), Target: veleroObjects(t, 2),
		// Objects in the bucket outlive the test, so each run needs its own names.
		Prefix:       fmt.Sprintf("model-%d-", time.Now().UnixNano()),
		Now:          time.Now,
		Advance:      func() { <-time.After(pollInterval) },
		PauseStorage: func() func() { return pause(t, "storage") },
		KillSource: func() func() {
			velero, err := fleet.Process(localfleet.MemberName(source) + "-velero")
			if err == nil {
				err = velero.Kill(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			return func() {
				if err := velero.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		},
	}
	for _, scenario := range modelvelero.Scenarios {
		if !t.Run(scenario.Name, func(t *testing.T) { scenario.Check(t, h, false) }) {
			return
		}
	}
}

func veleroObjects(t *testing.T, member int) modelvelero.Store {
	t.Helper()
	config, err := fleet.MemberConfig(member)
	if err != nil {
		t.Fatal(err)
	}
	client, err := modelvelero.NewClient(config, "velero")
	if err != nil {
		t.Fatal(err)
	}
	return client
}
