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
	// deadline is many times what anything here takes.
	deadline = 10 * time.Second
	// silence is how long nothing comes where nothing may come.
	silence = 50 * time.Millisecond
)

// echo is a server that answers each line with its own name before it.
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

func listen(t *testing.T, backends ...string) *Proxy {
	t.Helper()
	p, err := Listen(backends...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
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

// ask sends a line and returns the answer.
func (c client) ask(line string, within time.Duration) (string, error) {
	if _, err := fmt.Fprintln(c, line); err != nil {
		return "", err
	}
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		return "", err
	}
	return c.lines.ReadString('\n')
}

func (c client) answers(t *testing.T, line, want string) {
	t.Helper()
	if got, err := c.ask(line, deadline); err != nil || got != want+"\n" {
		t.Errorf("the answer to %q is %q, %v, want %q", line, got, err, want)
	}
}

// ends checks how reading ends where no answer comes.
func (c client) ends(t *testing.T, within time.Duration, want error) {
	t.Helper()
	if got, err := c.ask("anybody?", within); !errors.Is(err, want) {
		t.Errorf("the answer is %q, %v, want %v", got, err, want)
	}
}

// checkReset checks that a new connection is reset, perhaps before it is known to
// be open.
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

func TestPass(t *testing.T) {
	backend, _ := echo(t, "a")
	p := listen(t, backend)
	c := dial(t, p)
	c.answers(t, "one", "a one")
	c.answers(t, "two", "a two")
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.lines.ReadByte(); err != io.EOF {
		t.Errorf("after its end the backend's answer is %v, want its end", err)
	}
}

func TestBackends(t *testing.T) {
	a, stopA := echo(t, "a")
	b, stopB := echo(t, "b")
	p := listen(t, a, b)
	dial(t, p).answers(t, "one", "a one")
	dial(t, p).answers(t, "two", "b two")
	dial(t, p).answers(t, "three", "a three")
	stopB()
	dial(t, p).answers(t, "four", "a four")
	dial(t, p).answers(t, "five", "a five")
	stopA()
	checkReset(t, p)
}

func TestOtherBackends(t *testing.T) {
	a, _ := echo(t, "a")
	b, _ := echo(t, "b")
	p := listen(t, a)
	old := dial(t, p)
	old.answers(t, "one", "a one")
	p.SetBackends(b)
	old.answers(t, "two", "a two")
	dial(t, p).answers(t, "three", "b three")
	p.SetBackends()
	checkReset(t, p)
}

func TestDelay(t *testing.T) {
	backend, _ := echo(t, "a")
	p := listen(t, backend)
	c := dial(t, p)
	set(t, p, Delay(silence))
	began := time.Now()
	c.answers(t, "one", "a one")
	if took := time.Since(began); took < 2*silence {
		t.Errorf("there and back took %v, want at least %v", took, 2*silence)
	}
}

func TestBlackhole(t *testing.T) {
	backend, _ := echo(t, "a")
	p := listen(t, backend)
	old, idle := dial(t, p), dial(t, p)
	old.answers(t, "one", "a one")
	idle.answers(t, "one", "a one")
	set(t, p, Blackhole)
	old.ends(t, silence, os.ErrDeadlineExceeded)
	during := dial(t, p)
	during.ends(t, silence, os.ErrDeadlineExceeded)

	set(t, p, Pass)
	old.ends(t, silence, os.ErrDeadlineExceeded)
	during.ends(t, silence, os.ErrDeadlineExceeded)
	idle.answers(t, "two", "a two")
	dial(t, p).answers(t, "three", "a three")
}

func TestReset(t *testing.T) {
	backend, _ := echo(t, "a")
	p := listen(t, backend)
	c := dial(t, p)
	c.answers(t, "one", "a one")
	set(t, p, Reset)
	if _, err := c.lines.ReadByte(); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("an open connection ends with %v, want a reset", err)
	}
	checkReset(t, p)
	set(t, p, Pass)
	dial(t, p).answers(t, "two", "a two")
}

func TestRefuseAndCut(t *testing.T) {
	backend, _ := echo(t, "a")
	p := listen(t, backend)
	c := dial(t, p)
	c.answers(t, "one", "a one")
	set(t, p, Refuse)
	if _, err := net.Dial("tcp", p.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a new connection ends with %v, want that it is refused", err)
	}
	c.answers(t, "two", "a two")
	p.Cut()
	if _, err := c.lines.ReadByte(); err != io.EOF {
		t.Errorf("a connection that is cut ends with %v, want its end", err)
	}
	set(t, p, Pass)
	dial(t, p).answers(t, "three", "a three")
}

func TestPorts(t *testing.T) {
	backend, _ := echo(t, "a")
	one, two := listen(t, backend), listen(t, backend)
	if one.Addr() == two.Addr() {
		t.Fatalf("two proxies have %s", one.Addr())
	}
	set(t, one, Refuse)
	if three := listen(t, backend); three.Addr() == one.Addr() {
		t.Errorf("another proxy has %s while the first refuses", one.Addr())
	}
	if _, err := ListenOn(two.port.number, backend); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a port in use is given with %v", err)
	}
	if _, err := Listen(); err == nil {
		t.Error("a proxy without a backend starts")
	}
}
