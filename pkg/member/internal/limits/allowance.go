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

// ErrBusy reports that an answer is not read because the limit for all members is reached. It is
// not a fault of the member.
var ErrBusy = errors.New("too many large answers of clusters are being read at this moment")

// Allowance bounds the memory of the answers of one call, or of one event of a watch.
type Allowance struct {
	what    string
	most    int64
	reading *Quota
	// rate bounds all events of a watch; nil for a call.
	rate *rate.Limiter

	mu          sync.Mutex
	used, taken int64
	// err is why reading has stopped.
	err error
}

// ForCall returns the Allowance of a call whose answers may take up to most bytes, which are
// taken from reading. what describes the answers in an error.
func ForCall(reading *Quota, what string, most int64) *Allowance {
	return &Allowance{what: what, most: most, reading: reading}
}

// ForWatch returns the Allowance of a watch. Each event may take MaxObject, and r bounds all of
// them. what describes an event in an error.
func ForWatch(reading *Quota, what string, r *rate.Limiter) *Allowance {
	return &Allowance{what: what, most: MaxObject, reading: reading, rate: r}
}

// NewEventRate returns a limiter of the size of events for consecutive watches.
func NewEventRate() *rate.Limiter { return rate.NewLimiter(eventsPerSecond, eventsAtOnce) }

type allowanceKey struct{}

// With returns a context for a call with the Allowance.
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

// Use adds n bytes to the use. Its error, an Error or ErrBusy, is final.
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

// Fail stops reading with an error.
func (a *Allowance) Fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err == nil {
		a.err = err
	}
}

// Err returns why reading has stopped; nil if it has not.
func (a *Allowance) Err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

// Release resets the use, because what was read is kept elsewhere or dropped.
func (a *Allowance) Release() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reading.Give(a.taken)
	a.used, a.taken = 0, 0
}
