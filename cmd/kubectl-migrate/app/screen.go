// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"io"
	"time"

	"github.com/vbauerster/cupwriter"

	"kurator.dev/migrate-apiserver/cmd/kubectl-migrate/app/internal/view"
)

// screen shows the states of a Migrate, one after the other.
type screen interface {
	show(s state) error
	// end leaves the last state on the output.
	end() error
}

// newScreen returns a screen for the output: a terminal, where each state replaces the one before it, or lines.
func (h *host) newScreen() screen {
	terminal := cupwriter.New(h.Out, false)
	if !terminal.IsTerminal() {
		return &plain{host: h}
	}
	return &tree{host: h, terminal: terminal}
}

// tree draws the tree of clusters again and again.
type tree struct {
	host     *host
	terminal *cupwriter.Writer
	last     *state
}

func (t *tree) show(s state) error {
	t.last = &s
	style := t.host.style() // the terminal may have been resized
	if _, height, err := t.terminal.GetTermSize(); err == nil {
		style.Height = height
	}
	lines := t.lines(style)
	if err := t.write(lines); err != nil {
		return err
	}
	return t.terminal.Flush(len(lines))
}

// end writes all of the last state.
func (t *tree) end() error {
	if t.last == nil {
		return nil
	}
	if err := t.write(t.lines(t.host.style())); err != nil {
		return err
	}
	return t.terminal.Flush(0)
}

func (t *tree) lines(style view.Style) []string {
	var problem []string
	if t.last.problem != nil {
		problem = style.Wrap("This is what was read last. It can't be read now: " + t.last.problem.Error())
	}
	if style.Height > 0 {
		style.Height = max(1, style.Height-len(problem))
	}
	return append(style.Tree(t.last.migrate, time.Now()), problem...)
}

func (t *tree) write(lines []string) error {
	for _, line := range lines {
		if _, err := fmt.Fprintln(t.terminal, line); err != nil {
			return err
		}
	}
	return nil
}

// plain writes a line for each change.
type plain struct {
	host     *host
	changes  view.Changes
	problems problems
}

func (p *plain) show(s state) error {
	p.host.print(p.host.style().Lines(&p.changes, s.migrate, time.Now()))
	p.problems.show(p.host.ErrOut, s)
	return nil
}

func (p *plain) end() error { return nil }

// problems says once why a Migrate can't be read.
type problems struct{ last string }

func (p *problems) show(out io.Writer, s state) {
	problem := ""
	if s.problem != nil {
		problem = s.problem.Error()
	}
	if problem != "" && problem != p.last {
		fmt.Fprintf(out, "The Migrate can't be read, and is read again every second: %s\n", view.Style{}.Clean(problem))
	}
	p.last = problem
}
