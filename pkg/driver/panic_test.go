// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"kurator.dev/migrate-apiserver/pkg/recovery"
)

// TestDriverRetriesAfterAPanic injects a panic into a sync or a background call: the driver keeps
// running and retries it.
func TestDriverRetriesAfterAPanic(t *testing.T) {
	for _, where := range []string{"observe", "create"} {
		t.Run(where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.members[m2].panics = where
				stop := w.drive()
				defer stop()
				w.apply(m2)
				time.Sleep(processingTime)
				w.members[m2].change(func() { w.members[m2].panics = "" })
				time.Sleep(lastSyncRetry)
				w.wantPhase("Completed")
			})
		})
	}
}

// TestLiveStatusReturnsAPanicAsAnError injects a panic into a live read.
func TestLiveStatusReturnsAPanicAsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.apply(m2)
		w.members[m2].panics = "observe"
		_, err := w.driver().LiveStatus(t.Context(), w.migrate())
		var panicked *recovery.PanicError
		if !errors.As(err, &panicked) {
			t.Errorf("LiveStatus: %v, want a PanicError", err)
		}
	})
}
