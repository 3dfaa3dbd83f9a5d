// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"kurator.dev/migrate-apiserver/test/localfleet"
)

// transcript is what a person reads: what is done and why, each command before
// it runs, and what it prints.
type transcript struct {
	out   io.Writer
	fleet *localfleet.Fleet
	step  int
}

// heading begins the next step.
func (t *transcript) heading(format string, args ...any) {
	t.step++
	fmt.Fprintf(t.out, "\n== %d. %s\n", t.step, fmt.Sprintf(format, args...))
}

// found writes that something is as it must be.
func (t *transcript) found(format string, args ...any) {
	fmt.Fprintf(t.out, "   ok: %s\n", fmt.Sprintf(format, args...))
}

// host runs kubectl on the host.
func (t *transcript) host(ctx context.Context, args ...string) error {
	return t.kubectl(ctx, t.out, t.fleet.HostKubeconfig(), args...)
}

// member runs kubectl on the nth member.
func (t *transcript) member(ctx context.Context, n int, args ...string) error {
	return t.kubectl(ctx, t.out, t.fleet.MemberKubeconfig(n), args...)
}

func (t *transcript) kubectl(ctx context.Context, out io.Writer, kubeconfig string, args ...string) error {
	fmt.Fprintf(t.out, "\n$ kubectl --kubeconfig %s %s\n", shorten(kubeconfig), strings.Join(args, " "))
	run := exec.CommandContext(ctx, t.fleet.KubectlPath(), args...)
	run.Env = t.fleet.KubectlEnvironment(kubeconfig)
	run.Stdout, run.Stderr = out, out
	if err := run.Run(); err != nil {
		return fmt.Errorf("kubectl %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// watching is a kubectl that does not end by itself.
type watching struct {
	cancel context.CancelFunc
	out    *lookout
	done   chan struct{} // closed when it has ended
	err    error         // why it ended, once done
}

// watchHost starts a kubectl that watches the host. Nothing else may be written
// until it is stopped.
func (t *transcript) watchHost(ctx context.Context, args ...string) *watching {
	ctx, cancel := context.WithCancel(ctx)
	w := &watching{cancel: cancel, done: make(chan struct{}), out: &lookout{out: t.out, grown: make(chan struct{}, 1)}}
	go func() {
		defer close(w.done)
		w.err = t.kubectl(ctx, w.out, t.fleet.HostKubeconfig(), args...)
	}()
	return w
}

// stopAfter stops it when it has shown the text, or after a moment: what was to
// be seen has happened, and kubectl may never have been in time to show it.
func (w *watching) stopAfter(text string) error {
	late := time.After(5 * time.Second)
	for !w.out.contains(text) {
		select {
		case <-w.out.grown:
		case <-w.done:
			return w.err
		case <-late:
			w.stop()
			return nil
		}
	}
	w.stop()
	return nil
}

// stop ends it; that it did not end by itself is no error.
func (w *watching) stop() {
	w.cancel()
	<-w.done
}

// shorten makes a path one that a person can copy.
func shorten(path string) string {
	here, err := filepath.Abs(".")
	if err != nil {
		return path
	}
	relative, err := filepath.Rel(here, path)
	if err != nil || strings.HasPrefix(relative, "..") {
		return path
	}
	return relative
}

// lookout passes on what is written and remembers it.
type lookout struct {
	out   io.Writer
	grown chan struct{}

	mu      sync.Mutex
	written []byte
}

func (l *lookout) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.written = append(l.written, p...)
	select {
	case l.grown <- struct{}{}:
	default:
	}
	return l.out.Write(p)
}

func (l *lookout) contains(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Contains(l.written, []byte(text))
}
