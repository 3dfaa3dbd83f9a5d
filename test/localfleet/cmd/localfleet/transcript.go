// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

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
	return t.kubectl(ctx, t.fleet.HostKubeconfig(), args...)
}

// member runs kubectl on the nth member.
func (t *transcript) member(ctx context.Context, n int, args ...string) error {
	return t.kubectl(ctx, t.fleet.MemberKubeconfig(n), args...)
}

// terminal are the variables by which a program knows what a terminal can show.
var terminal = []string{"TERM", "LANG", "LC_ALL", "LC_CTYPE", "NO_COLOR"}

func (t *transcript) kubectl(ctx context.Context, kubeconfig string, args ...string) error {
	fmt.Fprintf(t.out, "\n$ kubectl --kubeconfig %s %s\n", shorten(kubeconfig), strings.Join(args, " "))
	run := exec.CommandContext(ctx, t.fleet.KubectlPath(), args...)
	run.Env = t.fleet.KubectlEnvironment(kubeconfig)
	for _, name := range terminal {
		if value, ok := os.LookupEnv(name); ok {
			run.Env = append(run.Env, name+"="+value)
		}
	}
	run.Stdout, run.Stderr = t.out, t.out
	if err := run.Run(); err != nil {
		return fmt.Errorf("kubectl %s: %w", strings.Join(args, " "), err)
	}
	return nil
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
