// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// ErrBusy reports that an answer is not read because so much else is being read. It says
// nothing about the member.
var ErrBusy = errors.New("too many large answers of clusters are being read at this moment")

// Allowance is how much memory the answers of one call, or one event of a watch, may
// take.
type Allowance struct {
	what    string
	most    int64
	reading *Quota
	// rate bounds all events of a watch; nil for a call.
	rate *rate.Limiter

	mu          sync.Mutex
	used, taken int64
	// err is why no more is read.
	err error
}

// ForCall returns the Allowance of a call whose answers may take up to most bytes, which
// are counted in reading while they are read. what names the answers for a person.
func ForCall(reading *Quota, what string, most int64) *Allowance {
	return &Allowance{what: what, most: most, reading: reading}
}

// ForWatch returns the Allowance of a watch, each event of which may take MaxObject and
// all of which r bounds. what names an event for a person.
func ForWatch(reading *Quota, what string, r *rate.Limiter) *Allowance {
	return &Allowance{what: what, most: MaxObject, reading: reading, rate: r}
}

// NewEventRate returns a limiter for the size of the events of one watch after the other.
func NewEventRate() *rate.Limiter { return rate.NewLimiter(eventsPerSecond, eventsAtOnce) }

type allowanceKey struct{}

// With returns a context whose call has an Allowance.
func (a *Allowance) With(ctx context.Context) context.Context {
	return context.WithValue(ctx, allowanceKey{}, a)
}

// AllowanceOf returns the Allowance of a call; nil if it has none yet.
func AllowanceOf(ctx context.Context) *Allowance {
	a, _ := ctx.Value(allowanceKey{}).(*Allowance)
	return a
}

// IsWatch reports whether the Allowance is for each event of a watch.
func (a *Allowance) IsWatch() bool { return a.rate != nil }

// Use notes that what is read takes n bytes more. An error is an Error or ErrBusy, and
// stays.
func (a *Allowance) Use(n int64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.used += n
	switch {
	case a.err != nil:
	case a.used > a.most:
		a.err = Exceeded(Answer, "%s takes more than %s of memory here", a.what, Mebibytes(a.most))
	case a.rate != nil && !a.rate.AllowN(time.Now(), int(n)):
		a.err = Exceeded(Events, "%s and those before take more than %s of memory here and then %s a second",
			a.what, Mebibytes(eventsAtOnce), Mebibytes(eventsPerSecond))
	default:
		if a.reading.Take(n) != nil {
			a.err = ErrBusy
			return a.err
		}
		a.taken += n
	}
	return a.err
}

// Fail has nothing more be read, because of err.
func (a *Allowance) Fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err == nil {
		a.err = err
	}
}

// Err returns why no more is read; nil while more may be read.
func (a *Allowance) Err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

// Release begins anew: what was read is handed on, or dropped.
func (a *Allowance) Release() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reading.Give(a.taken)
	a.used, a.taken = 0, 0
}
