// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/klog/v2"
)

var (
	panics = metrics.NewCounter(&metrics.CounterOpts{
		Namespace: "migrate", Name: "panics_total", StabilityLevel: metrics.ALPHA,
		Help: "Recovered panics. Each is a bug, whose stack trace is in the log.",
	})
	registerMetrics = sync.OnceFunc(func() { legacyregistry.MustRegister(panics) })
)

// PanicError is a recovered panic. Its text has no stack trace, which is in the log.
type PanicError struct {
	// Value is the argument of panic.
	Value any
}

// Error returns a message that asks to report the bug.
func (e *PanicError) Error() string {
	return fmt.Sprintf("internal error (a bug, please report it with the stack in the log of the server): panic: %v", e.Value)
}

// Do calls f and returns its error. A panic of f is logged with its stack by the
// logger of ctx, counted in migrate_panics_total and returned as a PanicError.
// Goroutines that f starts are not covered.
func Do(ctx context.Context, f func() error) (err error) {
	registerMetrics()
	defer func() {
		if r := recover(); r != nil {
			panics.Inc()
			klog.FromContext(ctx).Error(nil, "Observed a panic", "panic", fmt.Sprint(r), "stacktrace", string(debug.Stack()))
			err = &PanicError{r}
		}
	}()
	return f()
}
