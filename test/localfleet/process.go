// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package localfleet

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"kurator.dev/migrate-apiserver/test/localfleet/node"
)

const (
	// startDeadline is the time in which a process must become ready. It is long,
	// because a machine that builds something at the same time may need twenty times
	// as long as an idle one.
	startDeadline = 3 * time.Minute
	// answerDeadline is the time in which a process that already runs must answer;
	// otherwise it is restarted.
	answerDeadline = 15 * time.Second
	// stopDeadline is the time between SIGTERM and SIGKILL.
	stopDeadline = 30 * time.Second
	pollInterval = 50 * time.Millisecond
	// tailLines is the number of lines of its log in the error of a process.
	tailLines = 15
)

// command describes how to start a process and how to check that it is ready.
type command struct {
	name        string
	program     string
	args        []string
	environment []string
	// prepare, unless it is nil, is called before each start.
	prepare func(ctx context.Context) error
	// isolated runs the process in a PID namespace and a mount namespace of its own.
	isolated bool
	// ready returns nil if the process is ready, and otherwise the reason why not.
	// started is the start time of the current run.
	ready func(ctx context.Context, started time.Time) error
}

// fingerprint returns a hash of the command and of its program's size and
// modification time, so that Up restarts a server that was rebuilt and no other.
func (c command) fingerprint() (string, error) {
	info, err := os.Stat(c.program)
	if err != nil {
		return "", fmt.Errorf("%s: program: %w (run `make tools` and `make build`)", c.name, err)
	}
	hash := sha256.New()
	fmt.Fprintln(hash, c.program, info.Size(), info.ModTime().UnixNano())
	fmt.Fprintf(hash, "%q\n%q\n", c.args, c.environment)
	return hex.EncodeToString(hash.Sum(nil)[:8]), nil
}

// Process is one program of a fleet.
type Process struct {
	fleet   *Fleet
	command command
}

// Name returns the process's name in the fleet.
func (p *Process) Name() string { return p.command.name }

// LogFile returns the path of the file with standard output and standard error of
// all runs.
func (p *Process) LogFile() string {
	return filepath.Join(p.fleet.dir, "logs", p.command.name+".log")
}

// PID returns the process ID of the last run, or 0 if there was none.
func (p *Process) PID() int { return p.fleet.record(p.command.name).PID }

// Running reports whether the last run has not ended. A run paused by SIGSTOP has
// not.
func (p *Process) Running() bool { return p.fleet.record(p.command.name).alive() }

// Signal sends a signal to the process, but not to its children.
func (p *Process) Signal(sig syscall.Signal) error {
	if err := p.fleet.record(p.command.name).signal(sig); err != nil {
		return fmt.Errorf("%s: signal %v: %w", p.Name(), sig, err)
	}
	return nil
}

// Kill kills the process and its children and returns when they have ended. It
// returns nil if the process does not run.
func (p *Process) Kill(ctx context.Context) error {
	if err := p.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return p.waitEnded(ctx)
}

// Stop sends SIGTERM to the process, kills it after stopDeadline, and returns when it
// has ended.
func (p *Process) Stop(ctx context.Context) error {
	if err := p.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	graceful, cancel := context.WithTimeout(ctx, stopDeadline)
	defer cancel()
	if err := p.waitEnded(graceful); err == nil || ctx.Err() != nil {
		return err
	}
	return p.Kill(ctx)
}

// Start starts the process, unless it runs, with the command of its last run and
// returns when it is ready.
func (p *Process) Start(ctx context.Context) error {
	if !p.Running() {
		if err := killMarked(ctx, p.mark()); err != nil {
			return err
		}
		if p.command.prepare != nil {
			if err := p.command.prepare(ctx); err != nil {
				return fmt.Errorf("%s: %w", p.Name(), err)
			}
		}
		if err := p.spawn(); err != nil {
			return err
		}
	}
	return p.waitReady(ctx, startDeadline)
}

// StartFrom is Start with another program, such as one of another version, for this run
// alone.
func (p *Process) StartFrom(ctx context.Context, program string) error {
	other := *p
	other.command.program = program
	return other.Start(ctx)
}

// Restart calls Stop and Start.
func (p *Process) Restart(ctx context.Context) error {
	if err := p.Stop(ctx); err != nil {
		return err
	}
	return p.Start(ctx)
}

// ensure makes sure that the process runs with the current command and is ready.
func (p *Process) ensure(ctx context.Context) error {
	fingerprint, err := p.command.fingerprint()
	if err != nil {
		return err
	}
	last := p.fleet.record(p.Name())
	if last.alive() && last.Fingerprint == fingerprint {
		if err := p.waitReady(ctx, answerDeadline); err == nil || ctx.Err() != nil {
			return err
		}
		p.fleet.progress.printf("%s runs but does not answer: restarting it", p.Name())
		if err := p.Kill(ctx); err != nil {
			return err
		}
	} else if last.alive() {
		p.fleet.progress.printf("%s has changed: restarting it", p.Name())
		if err := p.Stop(ctx); err != nil {
			return err
		}
	}
	done := p.fleet.progress.step(p.Name())
	err = p.Start(ctx)
	done(err)
	return err
}

// spawn starts a run in a session of its own, without a terminal. The run gets only
// the environment of its command, so that no variable of the developer's shell, such
// as HTTPS_PROXY or KUBECONFIG, has an effect on the fleet.
func (p *Process) spawn() error {
	fingerprint, err := p.command.fingerprint()
	if err != nil {
		return err
	}
	home := filepath.Join(p.fleet.dir, "data", p.Name())
	for _, dir := range []string{filepath.Dir(p.LogFile()), filepath.Join(home, "tmp")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("%s: %w", p.Name(), err)
		}
	}
	log, err := os.OpenFile(p.LogFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("%s: %w", p.Name(), err)
	}
	defer log.Close()

	run := exec.Command(p.command.program, p.command.args...)
	run.Dir = home
	run.Env = append([]string{
		"PATH=/usr/bin:/bin",
		"HOME=" + home,
		"TMPDIR=" + filepath.Join(home, "tmp"),
		p.mark(),
	}, p.command.environment...)
	run.Stdout, run.Stderr = log, log
	run.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if p.command.isolated {
		node.Isolate(run)
	}
	began := time.Now()
	if err := run.Start(); err != nil {
		return fmt.Errorf("%s: %w", p.Name(), err)
	}
	id, err := identify(run.Process.Pid)
	// Without Wait the child would stay a zombie until this process ends.
	go func() { _ = run.Wait() }()
	if err != nil {
		return p.failure(fmt.Errorf("ended at once: %w", err))
	}
	return p.fleet.setRecord(p.Name(), record{identity: id, Fingerprint: fingerprint, Started: began})
}

func (p *Process) waitReady(ctx context.Context, deadline time.Duration) error {
	if p.command.ready == nil {
		return nil
	}
	started := p.fleet.record(p.Name()).Started
	var readyErr error
	err := wait.PollUntilContextTimeout(ctx, pollInterval, deadline, true, func(ctx context.Context) (bool, error) {
		if !p.Running() {
			return false, errors.New("ended")
		}
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		if err := p.command.ready(attempt, started); err != nil {
			readyErr = err
			return false, nil
		}
		return true, nil
	})
	switch {
	case err == nil:
		return nil
	case wait.Interrupted(err) && readyErr != nil:
		return p.failure(fmt.Errorf("is not ready: %w", readyErr))
	default:
		return p.failure(err)
	}
}

// waitEnded waits until the process has ended, then kills the children that it may
// have left behind.
func (p *Process) waitEnded(ctx context.Context) error {
	err := wait.PollUntilContextCancel(ctx, pollInterval/5, true, func(context.Context) (bool, error) {
		return !p.Running(), nil
	})
	if err != nil {
		return fmt.Errorf("%s: wait for its end: %w", p.Name(), err)
	}
	return killMarked(ctx, p.mark())
}

// mark returns the environment variable that marks a run and its children.
func (p *Process) mark() string { return p.fleet.mark() + p.Name() }

// failure adds the process's name and the end of its log to an error.
func (p *Process) failure(err error) error {
	tail, readErr := tailOf(p.LogFile(), tailLines)
	if readErr != nil {
		tail = readErr.Error()
	}
	return fmt.Errorf("%s: %w; the end of its log %s:\n%s", p.Name(), err, p.LogFile(), tail)
}

func tailOf(path string, lines int) (string, error) {
	const most = 16 << 10
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	content, err := io.ReadAll(io.NewSectionReader(file, max(0, info.Size()-most), most))
	if err != nil {
		return "", err
	}
	all := strings.Split(strings.TrimRight(string(content), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n"), nil
}
