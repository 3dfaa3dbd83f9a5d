// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package netproxy

import (
	"fmt"
	"net"
	"strconv"
)

// Ports are chosen between those of local fleets, which end before 32000, and Linux's
// ephemeral range, from 32768 on, so that no other process gets the port while the
// proxy refuses connections.
const (
	lowestPort  = 32000
	highestPort = 32767
)

// port is a port that a proxy has reserved until Close.
type port struct {
	number int
	// lock is an abstract socket that other proxies see. It is nil if the caller
	// reserved the port.
	lock net.Listener
}

// takePort reserves a port on which no process listens and that no other proxy has
// reserved.
func takePort() (*port, error) {
	for number := lowestPort; number <= highestPort; number++ {
		lock, err := net.Listen("unix", "@netproxy-port-"+strconv.Itoa(number))
		if err != nil {
			continue
		}
		taken := &port{number: number, lock: lock}
		if listener, err := net.Listen("tcp", taken.address()); err == nil {
			return taken, listener.Close()
		}
		lock.Close()
	}
	return nil, fmt.Errorf("found no free port from %d to %d", lowestPort, highestPort)
}

func (p *port) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.number)) }

func (p *port) release() error {
	if p.lock == nil {
		return nil
	}
	return p.lock.Close()
}
