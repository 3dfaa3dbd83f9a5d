// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/component-base/metrics/testutil"
)

const mib = 1 << 20

// TestDiskAlarm checks a disk that fills up and is freed, and the alarm of an etcd that is full itself.
func TestDiskAlarm(t *testing.T) {
	registerEmbedded()
	alarm, free := &fakeAlarm{size: 10 * mib}, int64(0)
	d := &disk{free: func() (int64, error) { return free * mib, nil }, alarm: alarm, quota: 100 * mib}
	steps := []struct {
		what       string
		free, size int64
		raised     bool // before the check
		want       bool
	}{
		{"there is space", 200, 10, false, false},
		{"nearly full", 92, 10, false, true},
		{"still nearly full", 92, 10, true, true},
		{"a little space", 120, 10, true, true},
		{"there is space again", 130, 10, true, false},
		{"the database has reached its quota", 200, 99, true, true},
		{"the database was defragmented", 200, 20, true, false},
	}
	for _, step := range steps {
		free, alarm.size, alarm.raised = step.free, step.size*mib, step.raised
		if err := d.check(t.Context()); err != nil || alarm.raised != step.want {
			t.Errorf("%s: the alarm is raised: %t, %v", step.what, alarm.raised, err)
		}
	}
	if got, err := testutil.GetGaugeMetricValue(freeBytes); err != nil || got != 200*mib {
		t.Errorf("the metric is %v, %v", got, err)
	}
	free, alarm.raised, alarm.err = 1, false, errors.New("no leader")
	if err := d.check(t.Context()); err == nil || err.Error() != "refuse writes: no leader" {
		t.Errorf("an alarm that can't be raised: %v", err)
	}
	d.free = func() (int64, error) { return freeSpace(filepath.Join(t.TempDir(), "none")) }
	if err := d.check(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a directory: %v", err)
	}
}

type fakeAlarm struct {
	raised bool
	size   int64
	err    error
}

func (a *fakeAlarm) Raised() bool { return a.raised }
func (a *fakeAlarm) Size() int64  { return a.size }

func (a *fakeAlarm) Raise(context.Context) error {
	a.raised = true
	return a.err
}

func (a *fakeAlarm) Disarm(context.Context) error {
	a.raised = false
	return a.err
}

func TestMakeRoomRemovesSpareSegments(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "member", "wal")
	if err := os.MkdirAll(log, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"0000000000000000-0000000000000000.wal", "0.tmp", "1.tmp"} {
		if err := os.WriteFile(filepath.Join(log, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := makeRoom(dir); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(log, "*"))
	if err != nil || len(left) != 1 || filepath.Base(left[0]) != "0000000000000000-0000000000000000.wal" {
		t.Errorf("left %v, %v", left, err)
	}
}
