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

// transcript prints the steps of a demo: a heading for each, every command before it
// runs, and the output of the command.
type transcript struct {
	out   io.Writer
	fleet *localfleet.Fleet
	step  int
}

// heading prints the heading of the next step.
func (t *transcript) heading(format string, args ...any) {
	t.step++
	fmt.Fprintf(t.out, "\n== %d. %s\n", t.step, fmt.Sprintf(format, args...))
}

// ok prints the result of a check that succeeded.
func (t *transcript) ok(format string, args ...any) {
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

// watchCommand is a running `kubectl get --watch`.
type watchCommand struct {
	cancel context.CancelFunc
	out    *recorder
	done   chan struct{} // closed when kubectl has ended
	err    error         // the error of kubectl; set before done is closed
}

// watchHost starts a kubectl that watches the host. Until it is stopped, nothing else
// may write to the transcript.
func (t *transcript) watchHost(ctx context.Context, args ...string) *watchCommand {
	ctx, cancel := context.WithCancel(ctx)
	w := &watchCommand{cancel: cancel, done: make(chan struct{}), out: &recorder{out: t.out, grown: make(chan struct{}, 1)}}
	go func() {
		defer close(w.done)
		w.err = t.kubectl(ctx, w.out, t.fleet.HostKubeconfig(), args...)
	}()
	return w
}

// stopAfter stops kubectl when it has printed the text, or after 5 s: the object has
// reached this state already, and a kubectl that started late never prints it.
func (w *watchCommand) stopAfter(text string) error {
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

// stop kills kubectl and waits until it has ended. It ignores the error of kubectl.
func (w *watchCommand) stop() {
	w.cancel()
	<-w.done
}

// shorten returns the path relative to the working directory if it is within it.
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

// recorder forwards writes to out and keeps all that was written. It sends to grown
// after a write.
type recorder struct {
	out   io.Writer
	grown chan struct{}

	mu      sync.Mutex
	written []byte
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.written = append(r.written, p...)
	select {
	case r.grown <- struct{}{}:
	default:
	}
	return r.out.Write(p)
}

func (r *recorder) contains(text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Contains(r.written, []byte(text))
}
