// Copyright The Kurator Migrate Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"fmt"
	"io"

	"k8s.io/klog/v2"
)

// ExitError is an error with an exit code other than 1.
type ExitError struct {
	Code int
	Err  error
}

// Error returns the text of the error.
func (e *ExitError) Error() string { return e.Err.Error() }

// Unwrap returns the error.
func (e *ExitError) Unwrap() error { return e.Err }

// serverError is the error of the server, whose output is a log.
type serverError struct{ error }

func (e *serverError) Unwrap() error { return e.error }

// Report reports the error of the command, and returns the exit code.
func Report(to io.Writer, err error) int {
	var of *serverError
	if errors.As(err, &of) {
		klog.ErrorS(err, "command failed")
		klog.Flush()
	} else {
		_, _ = fmt.Fprintf(to, "Error: %v\n", err)
	}
	var exit *ExitError
	if errors.As(err, &exit) {
		return exit.Code
	}
	return 1
}
