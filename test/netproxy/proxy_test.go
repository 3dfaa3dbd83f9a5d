// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package netproxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

const (
	// deadline is many times as long as any step of these tests takes.
	deadline = 10 * time.Second
	// silence is the time in which the tests expect no answer.
	silence = 50 * time.Millisecond
)

// echo starts a server that answers each line with its own name and the line.
func echo(t *testing.T, name string) (address string, stop func()) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for lines := bufio.NewScanner(conn); lines.Scan(); {
					fmt.Fprintf(conn, "%s %s\n", name, lines.Text())
				}
			}()
		}
	}()
	return listener.Addr().String(), func() { listener.Close() }
}

func set(t *testing.T, p *Proxy, mode Mode) {
	t.Helper()
	if err := p.Set(mode); err != nil {
		t.Fatal(err)
	}
}

// client is one end of a connection through a proxy.
type client struct {
	*net.TCPConn

	lines *bufio.Reader
}

func dial(t *testing.T, p *Proxy) client {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return client{conn.(*net.TCPConn), bufio.NewReader(conn)}
}

// send sends a line and returns the answer.
func (c client) send(line string, within time.Duration) (string, error) {
	if _, err := fmt.Fprintln(c, line); err != nil {
		return "", err
	}
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		return "", err
	}
	return c.lines.ReadString('\n')
}

func (c client) expectAnswer(t *testing.T, line, want string) {
	t.Helper()
	if got, err := c.send(line, deadline); err != nil || got != want+"\n" {
		t.Errorf("the answer to %q is %q, %v, want %q", line, got, err, want)
	}
}

// expectError checks that a line gets no answer and that reading fails with want.
func (c client) expectError(t *testing.T, within time.Duration, want error) {
	t.Helper()
	if got, err := c.send("ping", within); !errors.Is(err, want) {
		t.Errorf("the answer is %q, %v, want %v", got, err, want)
	}
}

// checkReset checks that a new connection is reset, perhaps before Dial returns.
func checkReset(t *testing.T, p *Proxy) {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	if err == nil {
		defer conn.Close()
		_, err = conn.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a new connection ends with %v, want a reset", err)
	}
}

func TestPassForwardsDataAndEOF(t *testing.T) {
	backend, _ := echo(t, "a")
	p := ForTest(t, backend)
	c := dial(t, p)
	c.expectAnswer(t, "one", "a one")
	c.expectAnswer(t, "two", "a two")
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.lines.ReadByte(); err != io.EOF {
		t.Errorf("after CloseWrite reading ends with %v, want io.EOF", err)
	}
}

func TestBackendsAreUsedInRotation(t *testing.T) {
	a, stopA := echo(t, "a")
	b, stopB := echo(t, "b")
	p := ForTest(t, a, b)
	dial(t, p).expectAnswer(t, "one", "a one")
	dial(t, p).expectAnswer(t, "two", "b two")
	dial(t, p).expectAnswer(t, "three", "a three")
	stopB()
	dial(t, p).expectAnswer(t, "four", "a four")
	dial(t, p).expectAnswer(t, "five", "a five")
	stopA()
	checkReset(t, p)
}

func TestSetBackendsAffectsNewConnections(t *testing.T) {
	a, _ := echo(t, "a")
	b, _ := echo(t, "b")
	p := ForTest(t, a)
	old := dial(t, p)
	old.expectAnswer(t, "one", "a one")
	p.SetBackends(b)
	old.expectAnswer(t, "two", "a two")
	dial(t, p).expectAnswer(t, "three", "b three")
	p.SetBackends()
	checkReset(t, p)
}

func TestDelayDelaysBothDirections(t *testing.T) {
	backend, _ := echo(t, "a")
	p := ForTest(t, backend)
	c := dial(t, p)
	set(t, p, Delay(silence))
	began := time.Now()
	c.expectAnswer(t, "one", "a one")
	if took := time.Since(began); took < 2*silence {
		t.Errorf("the round trip took %v, want at least %v", took, 2*silence)
	}
}

func TestBlackholeDropsData(t *testing.T) {
	backend, _ := echo(t, "a")
	p := ForTest(t, backend)
	old, idle := dial(t, p), dial(t, p)
	old.expectAnswer(t, "one", "a one")
	idle.expectAnswer(t, "one", "a one")
	set(t, p, Blackhole)
	old.expectError(t, silence, os.ErrDeadlineExceeded)
	during := dial(t, p)
	during.expectError(t, silence, os.ErrDeadlineExceeded)

	set(t, p, Pass)
	old.expectError(t, silence, os.ErrDeadlineExceeded)
	during.expectError(t, silence, os.ErrDeadlineExceeded)
	idle.expectAnswer(t, "two", "a two")
	dial(t, p).expectAnswer(t, "three", "a three")
}

func TestResetResetsConnections(t *testing.T) {
	backend, _ := echo(t, "a")
	p := ForTest(t, backend)
	c := dial(t, p)
	c.expectAnswer(t, "one", "a one")
	set(t, p, Reset)
	if _, err := c.lines.ReadByte(); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("an open connection ends with %v, want a reset", err)
	}
	checkReset(t, p)
	set(t, p, Pass)
	dial(t, p).expectAnswer(t, "two", "a two")
}

func TestRefuseKeepsOpenConnectionsUntilCut(t *testing.T) {
	backend, _ := echo(t, "a")
	p := ForTest(t, backend)
	c := dial(t, p)
	c.expectAnswer(t, "one", "a one")
	set(t, p, Refuse)
	if _, err := net.Dial("tcp", p.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a new connection fails with %v, want ECONNREFUSED", err)
	}
	c.expectAnswer(t, "two", "a two")
	p.Cut()
	if _, err := c.lines.ReadByte(); err != io.EOF {
		t.Errorf("a cut connection ends with %v, want io.EOF", err)
	}
	set(t, p, Pass)
	dial(t, p).expectAnswer(t, "three", "a three")
}

func TestProxiesReservePorts(t *testing.T) {
	backend, _ := echo(t, "a")
	one, two := ForTest(t, backend), ForTest(t, backend)
	if one.Addr() == two.Addr() {
		t.Fatalf("two proxies listen on %s", one.Addr())
	}
	set(t, one, Refuse)
	if three := ForTest(t, backend); three.Addr() == one.Addr() {
		t.Errorf("another proxy listens on %s while the first refuses connections", one.Addr())
	}
	if _, err := ListenOn(two.port.number, backend); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("ListenOn a used port returns %v, want EADDRINUSE", err)
	}
	if _, err := Listen(); err == nil {
		t.Error("Listen without a backend returns no error")
	}
}
