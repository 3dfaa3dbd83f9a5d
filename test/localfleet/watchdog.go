// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package localfleet

import (
	"fmt"
	"io"
	"os/exec"
	"syscall"
)

// watchdogScript reads a pipe that nobody writes to until it breaks, which is
// when the process that holds its other end is gone. It needs no program of ours,
// and so works in any test binary. Its arguments are the mark of the fleet's
// processes and the fleet's directory.
const watchdogScript = `
while read -r _; do :; done
while
	left=0
	for process in /proc/[0-9]*; do
		if grep -qsz "^$1" "$process/environ"; then
			kill -KILL "${process#/proc/}" 2>/dev/null && left=1
		fi
	done
	[ $left = 1 ]
do :; done
rm -rf "$2"
`

// watchdog ends an attached fleet when the process that brought it up is gone.
type watchdog struct {
	pipe io.Closer
	done chan error
}

func watch(f *Fleet) (*watchdog, error) {
	run := exec.Command("/bin/sh", "-c", watchdogScript, "localfleet-watchdog", f.mark(), f.dir)
	run.Env = []string{"PATH=/usr/bin:/bin"}
	// A session of its own: what kills the group of the test must not hit it.
	run.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	pipe, err := run.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("watchdog: %w", err)
	}
	if err := run.Start(); err != nil {
		return nil, fmt.Errorf("watchdog: %w", err)
	}
	w := &watchdog{pipe: pipe, done: make(chan error, 1)}
	// This also holds the pipe. Were it garbage, as soon as a caller forgets its
	// Fleet, collecting it would close it, and the fleet would go in the middle
	// of a test.
	go func() { w.done <- run.Wait() }()
	return w, nil
}

// end lets the watchdog do its work, of which there is none after Down, and
// returns when it is gone. A nil watchdog has nothing to end.
func (w *watchdog) end() error {
	if w == nil {
		return nil
	}
	if err := w.pipe.Close(); err != nil {
		return fmt.Errorf("watchdog: %w", err)
	}
	if err := <-w.done; err != nil {
		return fmt.Errorf("watchdog: %w", err)
	}
	return nil
}
