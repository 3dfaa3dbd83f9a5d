// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"kurator.dev/migrate-apiserver/test/localfleet"
)

// stopDeadline is half the time after which the fleet kills a process.
const stopDeadline = 15 * time.Second

// pauseVelero pauses a member's Velero until resume or the end of the test.
func pauseVelero(t *testing.T, n int) (resume func()) {
	t.Helper()
	return pause(t, localfleet.MemberName(n)+"-velero")
}

// hangAPIServer makes a member's API server accept connections and not answer, until
// resume or the end of the test.
func hangAPIServer(t *testing.T, n int) (resume func()) {
	t.Helper()
	return pause(t, localfleet.MemberName(n)+"-apiserver")
}

// pause stops a process by SIGSTOP until resume or the end of the test.
func pause(t *testing.T, process string) (resume func()) {
	t.Helper()
	p, err := fleet.Process(process)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	resume = sync.OnceFunc(func() {
		if err := p.Signal(syscall.SIGCONT); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(resume)
	return resume
}

// startServer starts migrate-apiserver and returns when the host serves its API.
func startServer(t *testing.T) {
	t.Helper()
	startServerWith(t)
}

// startServerWith is startServer with flags added to the usual ones. It restarts a
// server that runs with other flags.
func startServerWith(t *testing.T, flags ...string) {
	t.Helper()
	if err := fleet.StartServer(context.WithoutCancel(t.Context()), filepath.Join(fleet.BinDir(), "migrate-apiserver"), flags...); err != nil {
		t.Fatal(err)
	}
}

// stopServer stops the server gracefully, which open watches must not delay.
func stopServer(t *testing.T) {
	t.Helper()
	began := time.Now()
	if err := fleet.StopServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > stopDeadline {
		t.Errorf("migrate-apiserver took %v to stop, want less than %v", took, stopDeadline)
	}
}

func killServer(t *testing.T) {
	t.Helper()
	p, err := fleet.Process("migrate-apiserver")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
}
