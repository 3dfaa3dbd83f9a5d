// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"kurator.dev/migrate-apiserver/test/localfleet"
)

// ticksPerSecond is USER_HZ, in which Linux reports the times of processes on all architectures that Go has.
const ticksPerSecond = 100

// processes are those of the fleet whose CPU and memory are measured: the host's API server, the etcd of both, and our server.
var processes = []string{"host-apiserver", "etcd", serverName}

// cpu returns the CPU time that each of the processes has used.
func cpu(fleet *localfleet.Fleet) (map[string]time.Duration, error) {
	used := map[string]time.Duration{}
	for _, name := range processes {
		content, err := read(fleet, name, "stat")
		if err != nil {
			return nil, err
		}
		// The name of the program, which may have spaces, is in brackets. After it, the 12th and 13th fields are utime and stime.
		fields := strings.Fields(string(content[bytes.LastIndexByte(content, ')')+1:]))
		for _, field := range fields[11:13] {
			ticks, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			used[name] += time.Duration(ticks) * time.Second / ticksPerSecond
		}
	}
	return used, nil
}

// cpuDuring returns the CPU time that each of the processes uses while do runs.
func cpuDuring(fleet *localfleet.Fleet, do func() error) (map[string]time.Duration, error) {
	before, err := cpu(fleet)
	if err != nil {
		return nil, err
	}
	if err := do(); err != nil {
		return nil, err
	}
	used, err := cpu(fleet)
	for name := range used {
		used[name] -= before[name]
	}
	return used, err
}

// memory returns a size of our server in the file status of its process, in bytes: VmRSS or VmHWM.
func memory(fleet *localfleet.Fleet, which string) (int64, error) {
	content, err := read(fleet, serverName, "status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(content)) {
		if size, ok := strings.CutPrefix(line, which+":"); ok {
			kib, err := strconv.ParseInt(strings.Fields(size)[0], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("%s has no %s", serverName, which)
}

// resident returns the memory of our server, in bytes.
func resident(fleet *localfleet.Fleet) (int64, error) { return memory(fleet, "VmRSS") }

// resetPeak has VmHWM begin anew with what our server uses now.
func resetPeak(fleet *localfleet.Fleet) error {
	p, err := fleet.Process(serverName)
	if err != nil {
		return err
	}
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.PID()), []byte("5"), 0)
}

func read(fleet *localfleet.Fleet, process, file string) ([]byte, error) {
	p, err := fleet.Process(process)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.PID(), file))
}
