// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package localfleet

import (
	"fmt"
	"io"
	"os/exec"
	"syscall"
)

// watchdogScript reads from a pipe without a writer until the pipe breaks, which
// happens when the process at its other end has ended. As a shell script it works for
// any test binary. Its arguments are the mark of the fleet's processes, the fleet's
// directory and the name of its cgroup, which can be removed once its processes have
// ended.
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
for cgroup in /sys/fs/cgroup/"$3" /sys/fs/cgroup/*/"$3"; do
	while [ -d "$cgroup" ]; do
		find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null
	done
done
rm -rf "$2"
`

// watchdog kills an attached fleet when the process that started it has ended.
type watchdog struct {
	pipe io.Closer
	done chan error
}

func watch(f *Fleet) (*watchdog, error) {
	run := exec.Command("/bin/sh", "-c", watchdogScript, "localfleet-watchdog", f.mark(), f.dir, string(f.cgroup()))
	run.Env = []string{"PATH=/usr/bin:/bin"}
	// Its own session, so that killing the test's process group does not kill it.
	run.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	pipe, err := run.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("watchdog: %w", err)
	}
	if err := run.Start(); err != nil {
		return nil, fmt.Errorf("watchdog: %w", err)
	}
	w := &watchdog{pipe: pipe, done: make(chan error, 1)}
	// The goroutine also keeps the pipe reachable. Otherwise, once a caller drops its
	// Fleet, the garbage collector would close the pipe and the watchdog would kill
	// the fleet in the middle of a test.
	go func() { w.done <- run.Wait() }()
	return w, nil
}

// end closes the pipe and waits until the watchdog has ended. After Down the watchdog
// finds nothing to kill. end does nothing on a nil watchdog.
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
