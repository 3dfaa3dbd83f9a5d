// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package client

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

// UnreachableError reports that no call is made to a member now, because it did not answer
// the last one.
type UnreachableError struct {
	// Err is why it did not answer.
	Err error
	// Since is when it first did not answer.
	Since time.Time
	// NextTry is when the next call is made.
	NextTry time.Time
}

// Error leaves NextTry out, so that the text stays the same while the fault does.
func (e *UnreachableError) Error() string {
	return fmt.Sprintf("%v (unreachable since %s)", e.Err, e.Since.UTC().Format(time.RFC3339))
}

// Unwrap returns why the member did not answer.
func (e *UnreachableError) Unwrap() error { return e.Err }

// accessRetry is the longest time until a kubeconfig is read again from the host.
const accessRetry = 10 * time.Second

// ErrAbandoned is the outcome of an attempt that says nothing about the member.
var ErrAbandoned = errors.New("abandoned")

// circuit is a circuit breaker. It admits all attempts while the member answers. After a
// failure it admits none for a while, then one at a time.
type circuit struct {
	retry Backoff

	mu       sync.Mutex
	err      error // why the member did not answer; nil while it answers
	since    time.Time
	next     time.Time
	failures int
	// strikes is how often a limit was exceeded in a row, last at struck.
	strikes int
	struck  time.Time
	probing bool
	// watched is whether a migration watches the member, and counted whether it is counted as unreachable meanwhile.
	watched, counted bool
	changed          chan struct{} // closed and replaced with each change of the state
}

func newCircuit(retry Backoff) *circuit {
	return &circuit{retry: retry, changed: make(chan struct{})}
}

// admit admits an attempt, or returns an UnreachableError. The caller of an admitted attempt
// calls done with its outcome: nil if the member answered, ErrAbandoned if that is unknown,
// else the reason why it did not.
func (c *circuit) admit() (done func(error), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		return func(err error) { c.record(err, false) }, nil
	}
	if c.probing || time.Now().Before(c.next) {
		return nil, &UnreachableError{Err: c.err, Since: c.since, NextTry: c.next}
	}
	c.probing = true
	return func(err error) { c.record(err, true) }, nil
}

// record records the outcome of an attempt. Attempts that were admitted together and fail
// together count as one failure; if one of them exceeds a limit, the success of the others
// does not close the circuit.
func (c *circuit) record(err error, probe bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if probe {
		c.probing = false
	}
	if failed := (tentativeError{}); errors.As(err, &failed) {
		if err = failed.error; !probe || errors.As(err, new(*limits.Error)) {
			err = ErrAbandoned
		}
	}
	switch {
	case err == nil && !probe && errors.As(c.err, new(*limits.Error)):
		return
	case err == nil && c.err != nil:
		c.close()
	case err == nil:
		return
	case errors.Is(err, ErrAbandoned):
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
	c.count(true)
	c.err = err
	delay := c.retry.Delay(c.failures)
	if exceeded := (*limits.Error)(nil); errors.As(err, &exceeded) {
		metrics.LimitsExceeded.WithLabelValues(string(exceeded.Kind)).Inc()
		delay = c.strike(now)
	}
	if errors.As(err, new(*accessError)) {
		// An administrator is likely to fix it soon, and the host can take the load.
		delay = min(delay, accessRetry)
	}
	c.next = now.Add(delay)
	c.failures++
}

func (c *circuit) close() {
	c.err, c.failures = nil, 0
	c.count(false)
}

// count counts the member as unreachable, or no longer.
func (c *circuit) count(unreachable bool) {
	unreachable = unreachable && c.watched
	switch {
	case unreachable && !c.counted:
		metrics.MembersUnreachable.Inc()
	case !unreachable && c.counted:
		metrics.MembersUnreachable.Dec()
	}
	c.counted = unreachable
}

// setWatched counts the member while it is watched, if it does not answer.
func (c *circuit) setWatched(watched bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watched = watched
	c.count(c.err != nil)
}

// strike returns how long to refuse calls after the member exceeded a limit. The delay grows
// although the member answers between two strikes; it starts over once no limit was exceeded
// for ten times the longest delay.
func (c *circuit) strike(now time.Time) time.Duration {
	if now.Sub(c.struck) > 10*c.retry.Longest {
		c.strikes = 0
	}
	c.struck = now
	c.strikes++
	return c.retry.Delay(c.strikes - 1)
}

// accessible closes the circuit if it was opened by an accessError, which is over: whether
// the member answers is unknown.
func (c *circuit) accessible() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil || !errors.As(c.err, new(*accessError)) {
		return
	}
	c.close()
	c.probing = false
	c.broadcast()
}

// retryNow admits the next attempt at once.
func (c *circuit) retryNow() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next, c.failures = time.Time{}, 0
	c.broadcast()
}

// wait returns when an attempt may be admitted, or when ctx ends.
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

// blocked reports whether an attempt would be refused now; if so, for how much longer, or
// until changed is closed if delay is not positive.
func (c *circuit) blocked() (changed <-chan struct{}, delay time.Duration, blocked bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delay = time.Until(c.next)
	return c.changed, delay, c.err != nil && (c.probing || delay > 0)
}

// onChange returns a channel that is closed with the next change of the state.
func (c *circuit) onChange() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

func (c *circuit) broadcast() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// Backoff is a delay that doubles from Shortest to Longest with each failure, less up to a
// quarter at random.
type Backoff struct {
	Shortest, Longest time.Duration
}

// Delay returns the delay after a number of failures before the last one.
func (b Backoff) Delay(failures int) time.Duration {
	d := b.Shortest << min(failures, 30)
	if d > b.Longest || d <= 0 {
		d = b.Longest
	}
	return d - rand.N(d/4+1)
}
