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

// Ports are taken from below the range that Linux gives to outgoing connections
// (32768 and up): a client that keeps dialling a port of that range while its
// server is down can be given this very port, and then the server never gets it
// back.
const (
	lowestPort  = 20000
	highestPort = 32000
)

// portLocks keeps a port for one fleet from the moment it is chosen until its
// server listens on it. The locks are abstract sockets: other fleets see them,
// no file is left behind, and they go with the process.
type portLocks []net.Listener

// choose finds a port on which nothing listens and which no other fleet chose.
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
