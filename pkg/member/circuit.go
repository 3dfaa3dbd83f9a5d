// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"kurator.dev/migrate-apiserver/pkg/member/internal/limits"
	"kurator.dev/migrate-apiserver/pkg/member/internal/metrics"
)

// UnreachableError says that a member is not asked now, because it did not
// answer before.
type UnreachableError struct {
	// Err is why it did not answer.
	Err error
	// Since is when it first did not.
	Since time.Time
	// NextTry is when it is asked again.
	NextTry time.Time
}

// Error leaves NextTry out, so that the text stays the same while the fault does.
func (e *UnreachableError) Error() string {
	return fmt.Sprintf("%v (unreachable since %s)", e.Err, e.Since.UTC().Format(time.RFC3339))
}

// Unwrap returns why the member did not answer.
func (e *UnreachableError) Unwrap() error { return e.Err }

// accessRetry is the longest that is waited for what is missing on the host.
const accessRetry = 10 * time.Second

// errAbandoned is the outcome of an attempt that says nothing about the member.
var errAbandoned = errors.New("abandoned")

// circuit lets attempts through to a member that answers. After a failure it
// lets none through for a while, then one at a time.
type circuit struct {
	retry backoff

	mu       sync.Mutex
	err      error // why the member did not answer last; nil if it did
	since    time.Time
	next     time.Time
	failures int
	// strikes are how often a limit was exceeded, last at struck.
	strikes int
	struck  time.Time
	probing bool
	changed chan struct{} // closed and replaced when any of it changes
}

func newCircuit(retry backoff) *circuit {
	return &circuit{retry: retry, changed: make(chan struct{})}
}

// admit lets an attempt through, whose outcome must then be given to done: nil
// if the member answered, errAbandoned if that isn't known, else why it did not.
// Otherwise the error is an UnreachableError.
func (c *circuit) admit() (done func(error), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		return func(err error) { c.settle(err, false) }, nil
	}
	if c.probing || time.Now().Before(c.next) {
		return nil, &UnreachableError{Err: c.err, Since: c.since, NextTry: c.next}
	}
	c.probing = true
	return func(err error) { c.settle(err, true) }, nil
}

// settle notes the outcome of an attempt. Attempts that were let through
// together and fail together count as one. That others of them succeed says nothing
// about a limit that one of them found exceeded.
func (c *circuit) settle(err error, probe bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if probe {
		c.probing = false
	}
	switch {
	case err == nil && !probe && errors.As(c.err, new(*limits.Error)):
		return
	case err == nil && c.err != nil:
		c.err, c.failures = nil, 0
	case err == nil:
		return
	case errors.Is(err, errAbandoned):
		if !probe {
			return
		}
	case c.err == nil || probe:
		c.open(err)
	}
	c.broadcast()
}

func (c *circuit) open(err error) {
	now := time.Now()
	if c.err == nil {
		c.since = now
	}
	c.err = err
	delay := c.retry.delay(c.failures)
	if exceeded := (*limits.Error)(nil); errors.As(err, &exceeded) {
		metrics.LimitsExceeded.WithLabelValues(string(exceeded.Kind)).Inc()
		delay = c.strike(now)
	}
	if errors.As(err, new(*accessError)) {
		// Somebody is about to mend it, and the host can bear being asked.
		delay = min(delay, accessRetry)
	}
	c.next = now.Add(delay)
	c.failures++
}

// strike is for how long a member is left alone that exceeded a limit. It answers
// between two times, so that says nothing: the pause grows until it has kept to the
// limits for ten times the longest.
func (c *circuit) strike(now time.Time) time.Duration {
	if now.Sub(c.struck) > 10*c.retry.longest {
		c.strikes = 0
	}
	c.struck = now
	c.strikes++
	return c.retry.delay(c.strikes - 1)
}

// exceeded notes that a member exceeded a limit outside of an attempt.
func (c *circuit) exceeded(err *limits.Error) { c.settle(err, false) }

// accessible notes that there is a way into the member. If there was none before,
// nothing speaks against asking it.
func (c *circuit) accessible() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil || !errors.As(c.err, new(*accessError)) {
		return
	}
	c.err, c.failures, c.probing = nil, 0, false
	c.broadcast()
}

// retryNow lets the next attempt through whatever happened before.
func (c *circuit) retryNow() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next, c.failures = time.Time{}, 0
	c.broadcast()
}

// wait returns when an attempt may be let through, or ctx ends.
func (c *circuit) wait(ctx context.Context) {
	for {
		changed, delay, blocked := c.blocked()
		if !blocked {
			return
		}
		var elapsed <-chan time.Time
		if delay > 0 {
			elapsed = time.After(delay)
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-elapsed:
		}
	}
}

// blocked says whether an attempt would be let through; if not, for how long
// yet, or with no delay: until changed.
func (c *circuit) blocked() (changed <-chan struct{}, delay time.Duration, blocked bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delay = time.Until(c.next)
	return c.changed, delay, c.err != nil && (c.probing || delay > 0)
}

// onChange returns a channel that is closed when the circuit changes.
func (c *circuit) onChange() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

func (c *circuit) broadcast() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// backoff doubles from shortest to longest, and spreads: up to a quarter less.
type backoff struct {
	shortest, longest time.Duration
}

func (b backoff) delay(failures int) time.Duration {
	d := b.shortest << min(failures, 30)
	if d > b.longest || d <= 0 {
		d = b.longest
	}
	return d - rand.N(d/4+1)
}
