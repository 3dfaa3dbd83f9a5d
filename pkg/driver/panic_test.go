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

// TestAPanicIsTriedAgain has a bug panic in a sync, and in a call in the background:
// both are tried again, and the driver goes on.
func TestAPanicIsTriedAgain(t *testing.T) {
	for _, where := range []string{"observe", "create"} {
		t.Run(where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.members[m2].panics = where
				stop := w.drive()
				defer stop()
				w.apply(m2)
				time.Sleep(aMomentPasses)
				w.members[m2].change(func() { w.members[m2].panics = "" })
				time.Sleep(lastSyncRetry)
				w.wantPhase("Completed")
			})
		})
	}
}

// TestAPanicIsAReadersError has a bug panic under a live read of many readers.
func TestAPanicIsAReadersError(t *testing.T) {
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
