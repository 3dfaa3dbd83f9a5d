// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package localfleet

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// reassureAfter is the longest time without a line while a step is pending.
const reassureAfter = 10 * time.Second

// progress prints one line for each step.
type progress struct {
	mu      sync.Mutex
	out     io.Writer
	began   time.Time
	pending map[string]bool
	timer   *time.Timer
}

func newProgress(out io.Writer) *progress {
	if out == nil {
		out = io.Discard
	}
	return &progress{out: out, began: time.Now(), pending: map[string]bool{}}
}

// printf prints a line that begins with the seconds since the start.
func (p *progress) printf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line(fmt.Sprintf(format, args...))
}

// step adds a pending step. done removes it and, if its argument is nil, prints that
// the step is ready.
func (p *progress) step(what string) (done func(error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	began := time.Now()
	p.pending[what] = true
	if p.timer == nil {
		p.timer = time.AfterFunc(reassureAfter, p.reassure)
	}
	return func(err error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.pending, what)
		if err == nil {
			p.line(fmt.Sprintf("%s is ready (%.1fs)", what, time.Since(began).Seconds()))
		}
		if len(p.pending) == 0 && p.timer != nil {
			p.timer.Stop()
			p.timer = nil
		}
	}
}

func (p *progress) line(text string) {
	fmt.Fprintf(p.out, "%6.1fs  %s\n", time.Since(p.began).Seconds(), text)
	if p.timer != nil {
		p.timer.Reset(reassureAfter)
	}
}

func (p *progress) reassure() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.pending) > 0 {
		p.line("still waiting for " + strings.Join(slices.Sorted(maps.Keys(p.pending)), ", "))
	}
}
