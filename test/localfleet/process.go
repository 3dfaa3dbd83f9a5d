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
)

const (
	// startDeadline is generous: a machine that builds something at the same
	// time may need twenty times what an idle one needs.
	startDeadline = 3 * time.Minute
	// answerDeadline is for a process found running: one that doesn't answer
	// for that long is taken for dead and replaced.
	answerDeadline = 15 * time.Second
	// stopDeadline is how long a process may take to end by itself.
	stopDeadline = 30 * time.Second
	pollInterval = 50 * time.Millisecond
	// tailLines of a log are shown when its process fails.
	tailLines = 15
)

// command is how a process is started and how one sees that it is ready.
type command struct {
	name        string
	program     string
	args        []string
	environment []string
	// ready returns nil when the process does its work, else what is missing.
	// started is when the current run began.
	ready func(ctx context.Context, started time.Time) error
}

// fingerprint changes when the command or its program changed, so that Up
// replaces a server that was built anew and leaves the others alone.
func (c command) fingerprint() (string, error) {
	info, err := os.Stat(c.program)
	if err != nil {
		return "", fmt.Errorf("%s: program: %w (do `make tools` and `make build`)", c.name, err)
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

// LogFile is where standard output and standard error of all its runs are.
func (p *Process) LogFile() string {
	return filepath.Join(p.fleet.dir, "logs", p.command.name+".log")
}

// PID returns the id of the run that was started last, 0 if there was none.
func (p *Process) PID() int { return p.fleet.record(p.command.name).PID }

// Running reports whether the run that was started last still runs; one that is
// paused by SIGSTOP does.
func (p *Process) Running() bool { return p.fleet.record(p.command.name).alive() }

// Signal sends a signal to the process alone, not to what it started.
func (p *Process) Signal(sig syscall.Signal) error {
	if err := p.fleet.record(p.command.name).signal(sig); err != nil {
		return fmt.Errorf("%s: signal %v: %w", p.Name(), sig, err)
	}
	return nil
}

// Kill ends the process and what it started at once, and returns when they are
// gone. To kill what does not run is no error.
func (p *Process) Kill(ctx context.Context) error {
	if err := p.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return p.waitGone(ctx)
}

// Stop asks the process to end, kills it if it does not in time, and returns
// when it is gone.
func (p *Process) Stop(ctx context.Context) error {
	if err := p.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	graceful, cancel := context.WithTimeout(ctx, stopDeadline)
	defer cancel()
	if err := p.waitGone(graceful); err == nil || ctx.Err() != nil {
		return err
	}
	return p.Kill(ctx)
}

// Start starts the process with the command of its last run and returns when it
// is ready. One that runs already is only waited for.
func (p *Process) Start(ctx context.Context) error {
	if !p.Running() {
		if err := killMarked(ctx, p.mark()); err != nil {
			return err
		}
		if err := p.spawn(); err != nil {
			return err
		}
	}
	return p.waitReady(ctx, startDeadline)
}

// Restart is Stop and Start.
func (p *Process) Restart(ctx context.Context) error {
	if err := p.Stop(ctx); err != nil {
		return err
	}
	return p.Start(ctx)
}

// ensure leaves the process running, ready and started from the present command.
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
		p.fleet.progress.printf("%s runs but does not answer, it is started again", p.Name())
		if err := p.Kill(ctx); err != nil {
			return err
		}
	} else if last.alive() {
		p.fleet.progress.printf("%s has changed, it is started again", p.Name())
		if err := p.Stop(ctx); err != nil {
			return err
		}
	}
	done := p.fleet.progress.step(p.Name())
	err = p.Start(ctx)
	done(err)
	return err
}

// spawn starts a run. It belongs to no terminal, leads its own group, and gets
// no environment but what its command says: nothing of the developer's shell,
// neither a proxy nor a KUBECONFIG, can reach into the fleet.
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
	began := time.Now()
	if err := run.Start(); err != nil {
		return fmt.Errorf("%s: %w", p.Name(), err)
	}
	id, err := identify(run.Process.Pid)
	// A child must be waited for, or it stays a zombie as long as we run.
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
	var missing error
	err := wait.PollUntilContextTimeout(ctx, pollInterval, deadline, true, func(ctx context.Context) (bool, error) {
		if !p.Running() {
			return false, errors.New("ended")
		}
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		if err := p.command.ready(attempt, started); err != nil {
			missing = err
			return false, nil
		}
		return true, nil
	})
	switch {
	case err == nil:
		return nil
	case wait.Interrupted(err) && missing != nil:
		return p.failure(fmt.Errorf("is not ready: %w", missing))
	default:
		return p.failure(err)
	}
}

// waitGone returns when the process is gone, and sees to it that the helpers it
// may have left behind are gone too.
func (p *Process) waitGone(ctx context.Context) error {
	err := wait.PollUntilContextCancel(ctx, pollInterval/5, true, func(context.Context) (bool, error) {
		return !p.Running(), nil
	})
	if err != nil {
		return fmt.Errorf("%s: wait for its end: %w", p.Name(), err)
	}
	return killMarked(ctx, p.mark())
}

// mark is the variable by which a run and its helpers are known.
func (p *Process) mark() string { return p.fleet.mark() + p.Name() }

// failure names the process and shows the end of its log, which mostly says why.
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
