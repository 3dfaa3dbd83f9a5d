// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package netproxy

import (
	"fmt"
	"net"
	"strconv"
)

// Ports are taken from between those of local fleets, which end before 32000, and
// those that Linux gives to outgoing connections, from 32768 on: nobody else may
// get the port while the proxy refuses.
const (
	lowestPort  = 32000
	highestPort = 32767
)

// port is one that a proxy has for itself while it lives.
type port struct {
	number int
	// lock is an abstract socket that other proxies see; nil where the caller
	// sees to it that the port is free.
	lock net.Listener
}

// takePort finds a port on which nothing listens and that no other proxy has.
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
