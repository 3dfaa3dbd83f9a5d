// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package backup

// IsTerminal reports whether a Migrate or one of its clusters never leaves the phase.
func (p MigratePhase) IsTerminal() bool {
	switch p {
	case MigratePhaseCompleted, MigratePhasePartiallyFailed, MigratePhaseFailed, MigratePhaseFailedValidation, MigratePhaseCanceled:
		return true
	}
	return false
}
