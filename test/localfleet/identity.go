// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package localfleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"k8s.io/apimachinery/pkg/util/wait"
)

// identity identifies a process. A PID alone does not, because the kernel reuses
// PIDs.
type identity struct {
	PID int `json:"pid"`
	// StartTicks is the start time in clock ticks since boot, from /proc/PID/stat.
	StartTicks uint64 `json:"startTicks"`
	// Boot is the kernel's random id of this boot; ticks repeat after a reboot.
	Boot string `json:"boot"`
}

// identify returns the identity of the running process with this PID.
func identify(pid int) (identity, error) {
	stat, err := readStat(pid)
	if err != nil {
		return identity{}, err
	}
	boot, err := bootID()
	if err != nil {
		return identity{}, err
	}
	return identity{PID: pid, StartTicks: stat.startTicks, Boot: boot}, nil
}

// alive reports whether at least one thread of this very process still runs.
func (i identity) alive() bool {
	if i.PID <= 0 {
		return false
	}
	stat, err := readStat(i.PID)
	if err != nil || stat.startTicks != i.StartTicks || stat.ended() {
		return false
	}
	boot, err := bootID()
	return err == nil && boot == i.Boot
}

// signal sends a signal to this very process, or returns os.ErrProcessDone.
// os.FindProcess opens a pidfd before the check, so a PID reused in between is not
// signalled.
func (i identity) signal(sig syscall.Signal) error {
	process, err := os.FindProcess(i.PID)
	if err != nil {
		return fmt.Errorf("find process %d: %w", i.PID, err)
	}
	defer func() { _ = process.Release() }()
	if !i.alive() {
		return os.ErrProcessDone
	}
	return process.Signal(sig)
}

// processStat is the state of a process as the kernel reports it.
type processStat struct {
	state      byte
	threads    int
	startTicks uint64
}

// ended reports whether no thread of the process runs any more. A process is a zombie
// as soon as its main thread has ended; its other threads still hold its files and
// locks.
func (s processStat) ended() bool {
	return s.state == 'X' || s.state == 'Z' && s.threads <= 1
}

func readStat(pid int) (processStat, error) {
	content, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return processStat{}, err
	}
	return parseStat(string(content))
}

// parseStat reads fields 3, 20 and 22 of /proc/PID/stat: state, number of threads and
// start time. The name in field 2 may contain blanks and parentheses, so counting
// starts after the last parenthesis.
func parseStat(content string) (processStat, error) {
	end := strings.LastIndexByte(content, ')')
	if end < 0 {
		return processStat{}, errors.New("process status: no name")
	}
	fields := strings.Fields(content[end+1:])
	if len(fields) < 20 {
		return processStat{}, errors.New("process status: too short")
	}
	threads, err := strconv.Atoi(fields[17])
	if err != nil {
		return processStat{}, fmt.Errorf("process status: number of threads: %w", err)
	}
	startTicks, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return processStat{}, fmt.Errorf("process status: start time: %w", err)
	}
	return processStat{fields[0][0], threads, startTicks}, nil
}

func bootID() (string, error) {
	content, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read boot id: %w", err)
	}
	return strings.TrimSpace(string(content)), nil
}

// killMarked kills every process with an environment variable that begins with mark,
// and those they start meanwhile, and returns when all have ended. It also waits for
// the processes it has killed, because a process that is ending has no environment
// any more.
func killMarked(ctx context.Context, mark string) error {
	var killed []identity
	err := wait.PollUntilContextCancel(ctx, pollInterval/5, true, func(context.Context) (bool, error) {
		marked, err := markedProcesses(mark)
		if err != nil {
			return false, err
		}
		for _, id := range marked {
			if err := id.signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
				return false, fmt.Errorf("kill process %d: %w", id.PID, err)
			}
		}
		killed = append(killed, marked...)
		return len(marked) == 0 && !slices.ContainsFunc(killed, identity.alive), nil
	})
	if err != nil {
		return fmt.Errorf("kill processes marked %s: %w", mark, err)
	}
	return nil
}

func markedProcesses(mark string) ([]identity, error) {
	environments, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return nil, err
	}
	var found []identity
	for _, path := range environments {
		// Reading fails for processes of other users and for those that end meanwhile.
		content, err := os.ReadFile(path)
		if err != nil || !hasVariable(string(content), mark) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			continue
		}
		if id, err := identify(pid); err == nil && id.alive() {
			found = append(found, id)
		}
	}
	return found, nil
}

func hasVariable(environment, prefix string) bool {
	for variable := range strings.SplitSeq(environment, "\x00") {
		if strings.HasPrefix(variable, prefix) {
			return true
		}
	}
	return false
}
