// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"io"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kurator.dev/migrate-apiserver/cmd/kubectl-migrate/app/internal/view"
	"kurator.dev/migrate-apiserver/pkg/apis/backup/v1alpha1"
)

// The exit codes. Scripts rely on them, so they don't change.
const (
	exitOK         = 0
	exitError      = 1 // the command failed
	exitPartly     = 2 // the migration is PartiallyFailed, or its plan ReadyWithWarnings
	exitFailed     = 3 // the migration is Failed or FailedValidation, or its plan Blocked
	exitCanceled   = 4 // the migration is Canceled
	exitUnfinished = 5 // the migration had not ended when the time was over; or the command was interrupted
)

const exitCodes = `Exit codes:
  0  done: the migration is Completed, or its plan is Ready
  1  the command failed
  2  the migration is PartiallyFailed, or its plan is ReadyWithWarnings
  3  the migration is Failed or FailedValidation, or its plan is Blocked
  4  the migration is Canceled
  5  the migration goes on, because the time was over; or the command was interrupted`

// exit is the end of a command with an exit code of its own.
type exit struct {
	code int
	// message is what the user does not know yet.
	message string
}

func (e *exit) Error() string { return e.message }

// ofPhase returns the end of a command that has shown a migration that has ended in a phase.
func ofPhase(phase v1alpha1.MigratePhase) error {
	switch phase {
	case v1alpha1.MigratePhaseCompleted:
		return nil
	case v1alpha1.MigratePhasePartiallyFailed:
		return &exit{code: exitPartly}
	case v1alpha1.MigratePhaseCanceled:
		return &exit{code: exitCanceled}
	}
	return &exit{code: exitFailed}
}

// ofVerdict returns the end of a command that has shown a plan.
func ofVerdict(verdict v1alpha1.PreviewVerdict) error {
	switch verdict {
	case v1alpha1.PreviewReady:
		return nil
	case v1alpha1.PreviewReadyWithWarnings:
		return &exit{code: exitPartly}
	}
	return &exit{code: exitFailed}
}

// report writes why a command ended, and returns its exit code.
func report(out io.Writer, err error) int {
	if err == nil {
		return exitOK
	}
	code := exitError
	var e *exit
	switch {
	case errors.As(err, &e):
		code = e.code
	case errors.Is(err, context.Canceled):
		return exitUnfinished // by the user, who knows
	}
	if message := err.Error(); message != "" {
		// A part of it may come from a member.
		fmt.Fprintf(out, "error: %s\n", view.Style{}.Clean(message))
	}
	switch {
	case !apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse):
	case apierrors.IsServiceUnavailable(err):
		fmt.Fprintln(out, "If it is the API of Migrates that is not available, this says why: kubectl get apiservice v1alpha1.backup.kurator.dev -o yaml")
	case apierrors.IsNotFound(err):
		fmt.Fprintln(out, "This cluster does not have that API. Is it the host cluster of the fleet, and is migrate-apiserver installed in it? See also --context.")
	}
	return code
}
