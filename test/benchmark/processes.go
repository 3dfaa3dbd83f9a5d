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

// resident returns the memory of our server, in bytes.
func resident(fleet *localfleet.Fleet) (int64, error) {
	content, err := read(fleet, serverName, "status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(content)) {
		if size, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(size)[0], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("%s has no VmRSS", serverName)
}

func read(fleet *localfleet.Fleet, process, file string) ([]byte, error) {
	p, err := fleet.Process(process)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.PID(), file))
}
