// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package backup

import "slices"

// TerminalPhases returns the phases that a Migrate or one of its clusters never leaves.
func TerminalPhases() []MigratePhase {
	return []MigratePhase{
		MigratePhaseCompleted, MigratePhasePartiallyFailed, MigratePhaseFailed, MigratePhaseFailedValidation, MigratePhaseCanceled,
	}
}

// IsTerminal reports whether a Migrate or one of its clusters never leaves the phase.
func (p MigratePhase) IsTerminal() bool { return slices.Contains(TerminalPhases(), p) }
