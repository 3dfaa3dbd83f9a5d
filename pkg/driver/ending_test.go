// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kurator.dev/migrate-apiserver/pkg/migration"
)

// partial is a world in which the Restore in m2 ends PartiallyFailed, whose errors
// are read by results.
func partial(t *testing.T, results func() migration.Results) *world {
	w := newWorld(t)
	w.members[m2].partial, w.members[m2].results = true, results
	return w
}

func (w *world) wantTarget(reason, words string) {
	w.t.Helper()
	part := w.migrate().Status.TargetClusterStatus[0]
	if part.Reason != reason || !strings.Contains(part.Message, words) {
		w.t.Errorf("the target's part says %s: %q, want %s: %q", part.Reason, part.Message, reason, words)
	}
}

// TestAnEndIsToldWithItsErrors records nothing of an end before its errors are read,
// also where the first tries fail.
func TestAnEndIsToldWithItsErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		w := partial(t, func() migration.Results {
			if tries++; tries < 3 {
				return migration.Results{Err: errors.New("connection reset")}
			}
			return migration.Results{Errors: []string{"quota exceeded", "no such class"}}
		})
		stop := w.drive()
		defer stop()
		w.apply(m2)
		time.Sleep(aMomentPasses)
		w.wantPhase("RestoreInProgress")
		time.Sleep(2 * resultsInterval)
		w.wantPhase("PartiallyFailed")
		w.wantTarget("RestorePartiallyFailed", "ended PartiallyFailed with 2 errors and 0 warnings: quota exceeded; no such class.")
	})
}

// TestErrorsThatCantBeRead holds an end up for no longer than is said.
func TestErrorsThatCantBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := partial(t, func() migration.Results { return migration.Results{Err: errors.New("connection refused")} })
		stop := w.drive()
		defer stop()
		w.apply(m2)
		time.Sleep(resultsPatience + resultsInterval + aMomentPasses)
		w.wantPhase("PartiallyFailed")
		w.wantTarget("RestorePartiallyFailed", "(what the errors are could not be read from the storage: connection refused)")
	})
}

// TestAnEndThatWasSeenStays has the Restore deleted while its errors are read.
func TestAnEndThatWasSeenStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read := make(chan struct{})
		w := partial(t, func() migration.Results {
			<-read
			return migration.Results{Errors: []string{"quota exceeded", "no such class"}}
		})
		stop := w.drive()
		defer stop()
		w.apply(m2)
		time.Sleep(aMomentPasses)
		w.members[m2].change(func() { w.members[m2].restore = nil })
		time.Sleep(aMomentPasses)
		w.wantPhase("RestoreInProgress")
		close(read)
		time.Sleep(aMomentPasses)
		w.wantPhase("PartiallyFailed")
		w.wantTarget("RestorePartiallyFailed", "quota exceeded; no such class")
	})
}
