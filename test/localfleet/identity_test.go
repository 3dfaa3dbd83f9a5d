// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package localfleet

import (
	"bytes"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

func TestIdentityMatchesOneProcess(t *testing.T) {
	self, err := identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if !self.alive() {
		t.Fatal("this process is not alive")
	}
	for name, change := range map[string]func(*identity){
		"zero identity":      func(i *identity) { *i = identity{} },
		"reused PID":         func(i *identity) { i.StartTicks-- },
		"same PID on reboot": func(i *identity) { i.Boot = "another" },
		"unused PID":         func(i *identity) { i.PID = 1 << 30 },
		"PID -1, as kill -1": func(i *identity) { i.PID = -1 },
	} {
		other := self
		change(&other)
		if other.alive() {
			t.Errorf("%s: alive reports that it is this process", name)
		}
		if err := other.signal(syscall.SIGKILL); err == nil {
			t.Errorf("%s: was signalled", name)
		}
	}
}

func TestZombieIsNotAlive(t *testing.T) {
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	id, err := identify(child.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if !id.alive() {
		t.Error("a process that sleeps is not alive")
	}
	if err := id.signal(syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	eventually(t, "the child, a zombie, is not alive", func() bool { return !id.alive() })
	if err := child.Wait(); err == nil {
		t.Error("the child was not killed")
	}
}

func TestParseStat(t *testing.T) {
	const rest = " 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20"
	for name, test := range map[string]struct {
		content string
		want    processStat
		fails   bool
	}{
		"plain":                       {content: "7 (etcd) S" + rest, want: processStat{'S', 17, 4711}},
		"name with blanks":            {content: "7 (a b c) R" + rest, want: processStat{'R', 17, 4711}},
		"name that looks like an end": {content: "7 (x) Z 9 (y)) T" + rest, want: processStat{'T', 17, 4711}},
		"cut off":                     {content: "7 (etcd) S 1 2 3", fails: true},
		"empty":                       {content: "", fails: true},
		"threads not a number":        {content: "7 (etcd) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 x 18 4711 20", fails: true},
		"start time not a number":     {content: "7 (etcd) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 x 20", fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseStat(test.content)
			if (err != nil) != test.fails {
				t.Fatalf("error = %v, want one: %t", err, test.fails)
			}
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

// TestZombieEndsWithItsLastThread: until then the process holds the lock of its data.
func TestZombieEndsWithItsLastThread(t *testing.T) {
	for stat, want := range map[processStat]bool{
		{state: 'R', threads: 1}: false,
		{state: 'Z', threads: 3}: false,
		{state: 'Z', threads: 1}: true,
		{state: 'X', threads: 0}: true,
	} {
		if got := stat.ended(); got != want {
			t.Errorf("%c with %d threads: ended = %t, want %t", stat.state, stat.threads, got, want)
		}
	}
}

func TestKillMarkedKillsChildrenOfItsFleetOnly(t *testing.T) {
	ours := startMarked(t, "LOCALFLEET=TestKillMarked/one")
	theirs := startMarked(t, "LOCALFLEET=TestKillMarkedNot/one")
	if err := killMarked(t.Context(), "LOCALFLEET=TestKillMarked/"); err != nil {
		t.Fatal(err)
	}
	for _, id := range ours {
		if id.alive() {
			t.Errorf("process %d still runs", id.PID)
		}
	}
	for _, id := range theirs {
		if !id.alive() {
			t.Errorf("process %d of another fleet was killed", id.PID)
		}
	}
}

// startMarked starts a process that starts another.
func startMarked(t *testing.T, variable string) []identity {
	t.Helper()
	parent := exec.Command("/bin/sh", "-c", "sleep 60 & wait")
	parent.Env = []string{"PATH=/usr/bin:/bin", variable}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var found []identity
	eventually(t, "parent and child run", func() bool {
		var err error
		found, err = markedProcesses(variable)
		return err == nil && len(found) == 2
	})
	t.Cleanup(func() {
		for _, id := range found {
			if err := id.signal(syscall.SIGKILL); err != nil && id.alive() {
				t.Error(err)
			}
		}
		if err := parent.Wait(); err == nil {
			t.Error("the parent ended by itself")
		}
	})
	return found
}

func TestLogTail(t *testing.T) {
	path := t.TempDir() + "/log"
	content := append(bytes.Repeat([]byte("x"), 40<<10), "\nsecond to last\nlast\n"...)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	tail, err := tailOf(path, 2)
	if err != nil {
		t.Fatal(err)
	}
	if tail != "second to last\nlast" {
		t.Errorf("tail = %q", tail)
	}
}
