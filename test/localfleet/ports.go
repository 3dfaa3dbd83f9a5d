// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package localfleet

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports are chosen below Linux's ephemeral range (32768 and up). A client that keeps
// dialling a port of that range while its server is down may get this very port as
// its own source port; then the server can never listen on it again.
const (
	lowestPort  = 20000
	highestPort = 32000
)

// portLocks reserves ports for one fleet from their choice until their servers
// listen. The locks are abstract sockets: other fleets see them, they leave no file,
// and the kernel removes them with the process.
type portLocks []net.Listener

// choose reserves a port on which no process listens and that no other fleet has
// reserved.
func (l *portLocks) choose() (int, error) {
	for range 1000 {
		port := lowestPort + rand.IntN(highestPort-lowestPort)
		lock, err := net.Listen("unix", "@localfleet-port-"+strconv.Itoa(port))
		if err != nil {
			continue
		}
		if !free(port) {
			lock.Close()
			continue
		}
		*l = append(*l, lock)
		return port, nil
	}
	return 0, fmt.Errorf("found no free port from %d to %d", lowestPort, highestPort)
}

func (l *portLocks) release() error {
	var errs []error
	for _, lock := range *l {
		errs = append(errs, lock.Close())
	}
	*l = nil
	return errors.Join(errs...)
}

func free(port int) bool {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return listener.Close() == nil
}
