// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// network is a network namespace whose only interface is loopback. It exists while this
// process runs, which itself stays in the machine's network.
type network struct{ calls chan func() }

// newNetwork creates the namespace on a thread of its own. The thread runs no other
// goroutine, so that the rest of the process keeps the machine's network.
func newNetwork() (*network, error) {
	n := &network{calls: make(chan func())}
	created := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			err = upLoopback()
		}
		created <- err
		for call := range n.calls {
			call()
		}
	}()
	return n, <-created
}

// do calls f in the namespace. Sockets that f creates and processes that it starts are
// in the namespace.
func (n *network) do(f func() error) error {
	result := make(chan error)
	n.calls <- func() { result <- f() }
	return <-result
}

func upLoopback() error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(socket) }()
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, request)
}

// forwardAll forwards c.Ports from the namespace to the machine, and the kubelet's port and
// c.Published from the machine to the namespace.
func forwardAll(n *network, c Config) error {
	for _, port := range c.Ports {
		var listener net.Listener
		err := n.do(func() (err error) {
			listener, err = net.Listen("tcp4", loopback(port))
			return err
		})
		if err != nil {
			return fmt.Errorf("port %d of the node: %w", port, err)
		}
		go forward(listener, func() (net.Conn, error) { return net.Dial("tcp4", loopback(port)) })
	}
	if err := publish(n, c.KubeletPort, c.KubeletPort); err != nil {
		return fmt.Errorf("port of the kubelet: %w", err)
	}
	for port, inside := range c.Published {
		if err := publish(n, port, inside); err != nil {
			return fmt.Errorf("port %d of a pod: %w", inside, err)
		}
	}
	return nil
}

// publish forwards a port of the machine to a port in the namespace.
func publish(n *network, port, inside int) error {
	listener, err := net.Listen("tcp4", loopback(port))
	if err != nil {
		return err
	}
	go forward(listener, func() (connection net.Conn, err error) {
		err = n.do(func() error {
			connection, err = net.Dial("tcp4", loopback(inside))
			return err
		})
		return connection, err
	})
	return nil
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// forward connects each connection of listener with one that dial returns. It returns
// when the listener is closed.
func forward(listener net.Listener, dial func() (net.Conn, error)) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer client.Close()
			server, err := dial()
			if err != nil {
				fmt.Fprintf(os.Stderr, "forward a connection from %s: %v\n", listener.Addr(), err)
				return
			}
			defer server.Close()
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				copyStream(server, client)
			}()
			copyStream(client, server)
			<-sent
		}()
	}
}

// copyStream copies until from has ended, and passes its end on. When one side is
// broken, both are closed.
func copyStream(to, from net.Conn) {
	if _, err := io.Copy(to, from); err != nil {
		to.Close()
		from.Close()
		return
	}
	_ = to.(*net.TCPConn).CloseWrite()
}
